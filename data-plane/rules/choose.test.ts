import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { factsOf, rulesOf } from '#test/harness/route-rules.ts';
import { chooseMembers, mirrorsFor, nobodyLeft, type RuledRoute } from './choose.ts';
import type { RequestFacts } from './facts.ts';

const traits = { model: 'm', provider: { name: 'openai' }, region: '', tags: [] };

const route: RuledRoute = {
  slug: 'smart',
  members: [
    { model: 'gpt', weight: 3, priority: 0 },
    { model: 'claude', weight: 1, priority: 1 },
  ],
  fallbacks: ['small', 'gpt-old'],
};

const unknown = () => undefined;

function choice(rules: readonly object[], facts: Partial<RequestFacts> = {}) {
  return chooseMembers(rulesOf({ rules }), route, factsOf(facts), unknown);
}

function names(rules: readonly object[], facts: Partial<RequestFacts> = {}): string[] {
  return choice(rules, facts).members.map(({ model }) => model);
}

describe('the rules of a route', () => {
  test('leave it as it is where none applies', () => {
    for (const rules of [[], [{ when: { tags: 'batch' }, pin: 'small' }]]) {
      const chosen = choice(rules);
      expect(chosen.members).toBe(route.members);
      expect(chosen.fallbacks).toBe(route.fallbacks);
      expect(chosen.isOrdered).toBe(false);
      expect(chosen.whyNot('gpt')).toBeUndefined();
    }
  });

  test('use some members, as the route has them, and others besides', () => {
    const chosen = choice([{ use: ['claude', 'llama'] }]);
    expect(chosen.members).toEqual([
      { model: 'claude', weight: 1, priority: 1 },
      { model: 'llama', weight: 1, priority: 1 },
    ]);
    expect(chosen.isOrdered).toBe(false);
    expect(chosen.fallbacks).toEqual(route.fallbacks);
  });

  test('pin one, without a fallback', () => {
    expect(choice([{ pin: 'llama' }])).toMatchObject({
      members: [{ model: 'llama' }],
      fallbacks: [],
      isPinned: true,
    });
  });

  test('exclude members and fallbacks, and whoever is reached through others', () => {
    const chosen = choice([{ name: 'no OpenAI', exclude: 'gpt*' }]);
    expect(chosen.members.map(({ model }) => model)).toEqual(['claude']);
    expect(chosen.fallbacks).toEqual(['small']);
    expect(chosen.left).toEqual([
      { name: 'gpt', why: 'excluded by rule "no OpenAI"' },
      { name: 'gpt-old', why: 'excluded by rule "no OpenAI"' },
    ]);
    expect(chosen.whyNot('gpt-behind-another-route')).toBeDefined();
    expect(chosen.whyNotAt({ ...traits, model: 'gpt-behind-an-alias' }, unknown)).toBeDefined();
  });

  test('take the first choice that applies, and every exclusion wherever it stands', () => {
    const rules = [{ when: { tags: 'batch' }, use: 'small' }, { use: ['gpt', 'claude'] }, { exclude: 'gpt' }];
    expect(names(rules, { tags: ['batch'] })).toEqual(['small']);
    expect(names(rules)).toEqual(['claude']);
  });

  test('exclude who would cost too much for this request, as far as that is known', () => {
    const { whyNotAt, trail } = choice([{ max_cost: 0.02 }]);
    expect(whyNotAt(traits, () => 20_000_000)).toBeUndefined();
    expect(whyNotAt(traits, () => 20_000_001)).toBe('too expensive for rule 1');
    expect(whyNotAt(traits, unknown)).toBeUndefined();
    expect(trail).toEqual(['rule 1: at most $0.02']);
  });

  test('keep to deployments like those that are named', () => {
    const { whyNotAt } = choice([
      { name: 'residency', only: { regions: ['eu', 'eu-*'], tags: 'certified' } },
    ]);
    const at = (region: string, tags: string[]) => whyNotAt({ ...traits, region, tags }, unknown);
    expect(at('eu-west', ['certified', 'fast'])).toBeUndefined();
    expect(at('us', ['certified'])).toBe('rule "residency": its region ("us") would have to be eu or eu-*');
    expect(at('eu', [])).toBe('rule "residency": its tags ("") would have to be certified');
  });

  test('that leave nobody refuse the request and say why', () => {
    const rules = [{ name: 'policy', exclude: 'gpt' }, { pin: 'gpt' }];
    const chosen = choice(rules);
    expect(chosen.members).toEqual([]);
    const error = nobodyLeft(route.slug, chosen.left);
    expect(error).toMatchObject({ code: 'excluded_by_rules', kind: { status: 403, retryable: false } });
    expect(error.message).toContain('gpt (excluded by rule "policy")');
  });

  test('say what they did', () => {
    expect(choice([{ use: 'claude' }, { name: 'policy', exclude: 'x' }]).trail).toEqual([
      'rule 1: use claude',
      'rule "policy": excludes',
    ]);
  });
});

test('whatever rules there are: nobody is left who is excluded, and nobody twice', () => {
  const name = fc.constantFrom('gpt', 'claude', 'small', 'gpt-old', 'llama');
  const names = fc.uniqueArray(name, { minLength: 1 });
  const rule = fc.oneof(
    fc.record({ exclude: fc.uniqueArray(fc.oneof(name, fc.constant('gpt*')), { minLength: 1 }) }),
    fc.record({ use: names }),
    fc.record({ pin: name }),
    names.map((all) => ({
      split: { shares: all.map((model, index) => ({ model, percent: index === 0 ? 100 : 0 })) },
    })),
  );
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), (rules) => {
      const chosen = choice(rules);
      const members = chosen.members.map(({ model }) => model);
      for (const model of [...members, ...chosen.fallbacks]) expect(chosen.whyNot(model)).toBeUndefined();
      for (const { name: gone } of chosen.left) expect(members).not.toContain(gone);
      expect(new Set(members).size).toBe(members.length);
      for (const written of rules) {
        if ('exclude' in written && written.exclude.includes('gpt*')) expect(members).not.toContain('gpt');
      }
    }),
  );
});

describe('a split', () => {
  const canary = (percent: number, more: object = {}) => [
    {
      name: 'canary',
      split: {
        shares: [
          { model: 'gpt', percent: 100 - percent },
          { model: 'next', percent },
        ],
        ...more,
      },
    },
  ];
  const ownersIn = (rules: readonly object[], model: string, count: number) =>
    new Set(
      Array.from({ length: count }, (_, index) => `key_${index}`).filter(
        (keyId) => names(rules, { keyId })[0] === model,
      ),
    );

  test('gives each its share of the keys', () => {
    const count = 4000;
    for (const percent of [1, 10, 50]) {
      const expected = (count * percent) / 100;
      // Five standard deviations: chance alone fails once in two million.
      const tolerance = 5 * Math.sqrt(expected * (1 - percent / 100));
      expect(Math.abs(ownersIn(canary(percent), 'next', count).size - expected)).toBeLessThan(tolerance);
    }
  });

  test('always gives the same key the same, and asks the others when that fails', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (keyId, requestId, user) => {
        const first = names(canary(30), { keyId, requestId, user });
        expect(first.toSorted()).toEqual(['gpt', 'next']);
        expect(names(canary(30), { keyId })).toEqual(first);
        expect(choice(canary(30), { keyId }).isOrdered).toBe(true);
      }),
    );
  });

  test('that grows keeps everyone it had', () => {
    const few = ownersIn(canary(5), 'next', 2000);
    const more = ownersIn(canary(20), 'next', 2000);
    expect(few.isSubsetOf(more)).toBe(true);
    expect(more.size).toBeGreaterThan(few.size);
  });

  test('places keys otherwise than another split', () => {
    const other = canary(50).map((rule) => ({ ...rule, name: 'other' }));
    const one = ownersIn(canary(50), 'next', 400);
    const both = one.intersection(ownersIn(other, 'next', 400));
    expect(both.size).toBeGreaterThan(60);
    expect(both.size).toBeLessThan(140);
  });

  test.each<[string, Partial<RequestFacts>]>([
    ['user', { user: 'ada' }],
    ['metadata.session', { metadata: { session: 's' } }],
    ['request', { requestId: 'r' }],
  ])('by %s looks at nothing else', (by, owner) => {
    const seen = new Set(
      Array.from({ length: 50 }, (_, index) => {
        const facts = { keyId: `k${index}`, requestId: `r${index}`, ...owner };
        return names(canary(50, { by }), facts)[0];
      }),
    );
    expect(seen.size).toBe(1);
  });

  test('by user goes by key for requests without one', () => {
    const byKey = Array.from({ length: 50 }, (_, index) => names(canary(50), { keyId: `k${index}` }));
    const byUser = Array.from({ length: 50 }, (_, index) =>
      names(canary(50, { by: 'user' }), { keyId: `k${index}` }),
    );
    expect(byUser).toEqual(byKey);
  });

  test('never gives anything to a share of nothing', () => {
    fc.assert(
      fc.property(fc.string(), (keyId) => {
        expect(names(canary(0), { keyId })).toEqual(['gpt']);
        expect(names(canary(100), { keyId })).toEqual(['next']);
      }),
    );
  });
});

describe('a mirror', () => {
  const copies = (mirrors: readonly object[], facts: Partial<RequestFacts>) =>
    mirrorsFor(rulesOf({ mirrors }), route, factsOf(facts), unknown);

  test('gets its share of the requests that meet its conditions', () => {
    const mirrors = [{ to: 'next', percent: 20, when: { tags: 'copy' } }];
    const requests = Array.from({ length: 4000 }, (_, index) => `request_${index}`);
    const copied = requests.filter((requestId) => copies(mirrors, { requestId, tags: ['copy'] }).length > 0);
    expect(Math.abs(copied.length - 800)).toBeLessThan(5 * Math.sqrt(640));
    expect(requests.some((requestId) => copies(mirrors, { requestId }).length > 0)).toBe(false);
  });

  test('gets all requests of a user, or none', () => {
    const mirrors = [{ to: 'next', percent: 50, by: 'user' }];
    for (const user of ['ada', 'grace', 'joan', 'mary']) {
      const seen = new Set(
        Array.from({ length: 20 }, (_, index) => copies(mirrors, { user, requestId: `r${index}` }).length),
      );
      expect(seen.size).toBe(1);
    }
  });

  test('is one of several, each by itself', () => {
    const mirrors = [{ to: 'next' }, { to: 'never', percent: 0 }, { to: 'shadow' }];
    expect(copies(mirrors, {})).toEqual(['next', 'shadow']);
    expect(copies([], {})).toEqual([]);
  });
});
