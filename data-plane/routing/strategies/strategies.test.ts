import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { strategyNames } from '#shared/routing-strategies.ts';
import { inputOf, memberOf, seededRandom } from '#test/harness/vitals.ts';
import { strategyNamed } from './registry.ts';
import type { Member, StrategyInput } from './strategy.ts';

const anyVitals = fc.record({
  weight: fc.constantFrom(0, 0.2, 5),
  successShare: fc.double({ min: 0, max: 1, noNaN: true }),
  latencyMs: fc.option(fc.integer({ min: 1, max: 60_000 }), { nil: undefined }),
  firstByteMs: fc.option(fc.integer({ min: 1, max: 60_000 }), { nil: undefined }),
  inFlight: fc.nat({ max: 500 }),
  warmth: fc.double({ min: 0.1, max: 1, noNaN: true }),
  requestsPerMinute: fc.nat({ max: 1000 }),
  tokensPerMinute: fc.nat({ max: 1_000_000 }),
  headroom: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
});
const anyMember = fc
  .record({
    weight: fc.nat({ max: 10 }),
    priority: fc.nat({ max: 5 }),
    isNear: fc.boolean(),
    requestsPerMinuteMax: fc.constantFrom(0, 600),
    tokensPerMinuteMax: fc.constantFrom(0, 100_000),
    price: fc.option(fc.constantFrom({ input: 10, inputCacheRead: 1, output: 40 }), { nil: undefined }),
    vitals: anyVitals,
  })
  .map((sketch) => sketch);
const anyMembers = fc
  .array(anyMember, { maxLength: 8 })
  .map((sketches) => sketches.map((sketch, index) => memberOf(`m${index}`, sketch)));

function first(name: string, members: readonly Member[], input: StrategyInput): string {
  return strategyNamed(name).order(members, input)[0]!.member.id;
}

function shares(name: string, members: readonly Member[], rounds: number, input: StrategyInput) {
  const counts: Record<string, number> = {};
  for (let round = 0; round < rounds; round += 1) {
    const id = first(name, members, input);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

test.each(strategyNames)('%s names every member once, with a reason', (name) => {
  const strategy = strategyNamed(name);
  expect(strategy.name).toBe(name);
  fc.assert(
    fc.property(anyMembers, fc.constantFrom('', 'conversation'), (members, affinity) => {
      const input = inputOf({ affinity, random: seededRandom(members.length) });
      const ranked = strategy.order(members, input);
      expect(ranked.map(({ member }) => member.id).toSorted()).toEqual(
        members.map(({ id }) => id).toSorted(),
      );
      expect(ranked.every(({ why, score }) => why !== '' && !Number.isNaN(score))).toBe(true);
    }),
  );
});

describe('weighted-round-robin', () => {
  test('gives exactly the weights over every run as long as their sum, wherever it begins', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 }),
        fc.nat({ max: 20 }),
        (weights, before) => {
          const members = weights.map((weight, index) => memberOf(`m${index}`, { weight }));
          const input = inputOf();
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          shares('weighted-round-robin', members, before, input);
          const counts = shares('weighted-round-robin', members, total, input);
          expect(members.map(({ id }) => counts[id])).toEqual(weights);
        },
      ),
    );
  });

  test('stays exact for those who stay when members come and go', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 10 })), { maxLength: 6 }),
        (weights, changes) => {
          const all = weights.map((weight, index) => memberOf(`m${index}`, { weight }));
          const input = inputOf();
          for (const [gone, rounds] of changes) {
            const left = all.filter((_, index) => index !== gone % all.length);
            shares('weighted-round-robin', left, rounds, input);
          }
          // Whatever was left over from before is paid within one run; from then on it is exact again.
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          shares('weighted-round-robin', all, total * 2, input);
          const counts = shares('weighted-round-robin', all, total, input);
          expect(all.map(({ id }) => counts[id])).toEqual(weights);
        },
      ),
    );
  });

  test('spreads out: the heavy one never has two turns more than its share in a row', () => {
    const members = [memberOf('a', { weight: 5 }), memberOf('b'), memberOf('c')];
    const input = inputOf();
    const turns = Array.from({ length: 7 }, () => first('weighted-round-robin', members, input));
    expect(turns).toEqual(['a', 'a', 'b', 'a', 'c', 'a', 'a']);
  });
});

test('round-robin gives everyone the same, whatever the weights', () => {
  const members = [memberOf('a', { weight: 9 }), memberOf('b'), memberOf('c')];
  expect(shares('round-robin', members, 30, inputOf())).toEqual({ a: 10, b: 10, c: 10 });
});

test('random follows the weights', () => {
  const members = [memberOf('a', { weight: 3 }), memberOf('b'), memberOf('never', { weight: 0 })];
  const counts = shares('random', members, 8000, inputOf({ random: seededRandom(7) }));
  expect(counts.a! / counts.b!).toBeGreaterThan(2.7);
  expect(counts.a! / counts.b!).toBeLessThan(3.3);
  expect(counts.never).toBeUndefined();
});

describe('least-latency', () => {
  const fast = memberOf('fast', { vitals: { weight: 5, firstByteMs: 100, latencyMs: 4000 } });
  const slow = memberOf('slow', { vitals: { weight: 5, firstByteMs: 300, latencyMs: 1000 } });

  test('looks at the first byte of streams and at the whole of bodies', () => {
    expect(first('least-latency', [slow, fast], inputOf({ isStream: true }))).toBe('fast');
    expect(first('least-latency', [slow, fast], inputOf({ isStream: false }))).toBe('slow');
  });

  test('tries the unmeasured first, one request at a time', () => {
    const idle = memberOf('new');
    const tried = memberOf('new', { vitals: { inFlight: 1 } });
    expect(first('least-latency', [slow, fast, idle], inputOf())).toBe('new');
    expect(first('least-latency', [slow, fast, tried], inputOf())).toBe('fast');
  });

  test('does not take a fast failure for speed', () => {
    const failing = memberOf('failing', { vitals: { weight: 5, firstByteMs: 20, successShare: 0.1 } });
    expect(first('least-latency', [failing, fast], inputOf())).toBe('fast');
  });
});

test('least-busy counts what is in flight for the weight', () => {
  const large = memberOf('large', { weight: 4, vitals: { inFlight: 5 } });
  const small = memberOf('small', { vitals: { inFlight: 2 } });
  expect(first('least-busy', [small, large], inputOf())).toBe('large');
});

describe('lowest-usage', () => {
  test('compares shares of the limits where everyone has limits', () => {
    const wide = memberOf('wide', { tokensPerMinuteMax: 100_000, vitals: { tokensPerMinute: 40_000 } });
    const tight = memberOf('tight', { requestsPerMinuteMax: 10, vitals: { requestsPerMinute: 6 } });
    expect(first('lowest-usage', [tight, wide], inputOf())).toBe('wide');
  });

  test('compares tokens for the weight elsewhere, and errors count as many', () => {
    const used = memberOf('used', { weight: 2, vitals: { tokensPerMinute: 9000 } });
    const failing = memberOf('failing', { vitals: { tokensPerMinute: 10, errorsPerMinute: 1 } });
    expect(first('lowest-usage', [failing, used], inputOf())).toBe('used');
  });
});

describe('lowest-cost', () => {
  const cheapInput = memberOf('cheap-input', { price: { input: 1, inputCacheRead: 1, output: 100 } });
  const cheapOutput = memberOf('cheap-output', { price: { input: 10, inputCacheRead: 1, output: 10 } });
  const unpriced = memberOf('unpriced');

  test('weighs this request, not a list price', () => {
    const reading = inputOf({ inputTokens: 10_000, outputTokensExpected: 10 });
    const writing = inputOf({ inputTokens: 10, outputTokensExpected: 1000 });
    expect(first('lowest-cost', [cheapOutput, cheapInput], reading)).toBe('cheap-input');
    expect(first('lowest-cost', [cheapInput, cheapOutput], writing)).toBe('cheap-output');
  });

  test('knows where the prompt is warm, and that unknown is not free', () => {
    const input = inputOf({
      inputTokens: 10_000,
      outputTokensExpected: 10,
      cachedTokens: (id) => (id === 'cheap-output' ? 10_000 : 0),
    });
    const ranked = strategyNamed('lowest-cost').order([unpriced, cheapInput, cheapOutput], input);
    expect(ranked.map(({ member }) => member.id)).toEqual(['cheap-output', 'cheap-input', 'unpriced']);
    expect(ranked[0]!.score).toBe(10_000 + 100);
  });
});

describe('adaptive', () => {
  test('takes the best of three, and asks who is far behind only to find out how it is', () => {
    const members = [100, 110, 120, 130, 3000].map((firstByteMs, index) =>
      memberOf(`m${index}`, { vitals: { weight: 5, firstByteMs } }),
    );
    const counts = shares('adaptive', members, 2000, inputOf({ random: seededRandom(3) }));
    expect(counts.m4 ?? 0).toBeLessThan(20);
    expect(Math.min(counts.m0!, counts.m1!)).toBeGreaterThan(300);
  });

  test('minds who is busy more than who is a little slower, and who is ill more than who is busy', () => {
    const busy = memberOf('busy', { vitals: { weight: 5, firstByteMs: 100, inFlight: 20 } });
    const slower = memberOf('slower', { vitals: { weight: 5, firstByteMs: 250, inFlight: 10 } });
    const ill = memberOf('ill', { vitals: { weight: 5, firstByteMs: 1000, inFlight: 5 } });
    expect(first('adaptive', [busy, slower], inputOf())).toBe('slower');
    expect(first('adaptive', [busy, ill], inputOf())).toBe('busy');
  });

  test('leaves those with little room and much in flight', () => {
    const squeezed = memberOf('squeezed', { vitals: { weight: 5, firstByteMs: 100, headroom: 0.01 } });
    const busy = memberOf('busy', { vitals: { weight: 5, firstByteMs: 100, inFlight: 40 } });
    const free = memberOf('free', { vitals: { weight: 5, firstByteMs: 150 } });
    expect(first('adaptive', [squeezed, free], inputOf())).toBe('free');
    expect(first('adaptive', [busy, free], inputOf())).toBe('free');
  });
});

describe('cache-affinity', () => {
  const members = ['a', 'b', 'c', 'd'].map((id) => memberOf(id));

  test('keeps a conversation in one place, and moves only those of a member that leaves', () => {
    for (let conversation = 0; conversation < 200; conversation += 1) {
      const input = inputOf({ affinity: `conversation ${conversation}` });
      const place = first('cache-affinity', members, input);
      expect(first('cache-affinity', members.toReversed(), input)).toBe(place);
      const left = members.filter(({ id }) => id !== 'a');
      if (place !== 'a') expect(first('cache-affinity', left, input)).toBe(place);
    }
  });

  test('spreads conversations by weight', () => {
    const weighted = [memberOf('a', { weight: 3 }), memberOf('b')];
    const counts = { a: 0, b: 0 };
    for (let conversation = 0; conversation < 4000; conversation += 1) {
      counts[first('cache-affinity', weighted, inputOf({ affinity: `c${conversation}` })) as 'a' | 'b'] += 1;
    }
    expect(counts.a / counts.b).toBeGreaterThan(2.6);
    expect(counts.a / counts.b).toBeLessThan(3.4);
  });

  test('leaves a member that fails or is overloaded, and returns', () => {
    const input = inputOf({ affinity: 'conversation' });
    const place = first('cache-affinity', members, input);
    const changed = (vitals: Parameters<typeof memberOf>[1]) =>
      members.map((member) => (member.id === place ? memberOf(place, vitals) : member));
    expect(first('cache-affinity', changed({ vitals: { successShare: 0.2 } }), input)).not.toBe(place);
    expect(first('cache-affinity', changed({ vitals: { inFlight: 50 } }), input)).not.toBe(place);
    expect(first('cache-affinity', changed({ vitals: { inFlight: 5 } }), input)).toBe(place);
  });
});
