// What is explained is what happens: held against the plan and the walk of a real request made at the same moment with the same lots,
// for configurations and troubles that nobody would think of. And it is only looked at: whatever is explained in between, the real
// requests go the same way.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { strategyNames } from '#shared/routing-strategies.ts';
import {
  anyAskedName,
  anyConditions,
  anySnapshot,
  type Condition,
  stateWith,
} from '#test/harness/any-routing.ts';
import { routedOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerKeyOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type ExplainOptions, explain } from './explain.ts';
import { KeyUsage } from './key-usage.ts';
import { deploymentSubject } from './members.ts';
import { planFor } from './plan.ts';
import { RoutingState } from './routing-state.ts';
import { Targets } from './targets.ts';

const NOW_MS = 1_000_000;
const request = routedOf({ isStream: true, affinity: () => 'conversation' });

function optionsFor(snapshot: Snapshot, name: string, more: Partial<ExplainOptions> = {}): ExplainOptions {
  return {
    snapshot,
    name,
    state: new RoutingState(),
    keyUsage: new KeyUsage(),
    random: seededRandom(1),
    nowMs: NOW_MS,
    request,
    attemptsMax: limits.attemptsPerRequestMax,
    instead: () => [],
    exclusion: () => undefined,
    objection: () => undefined,
    ...more,
  };
}

/** Whom a real request would ask, one after the other, if everybody failed. */
function realWalk(options: ExplainOptions): readonly string[] {
  const { snapshot, name, state, keyUsage, random, objection, attemptsMax } = options;
  const plan = planFor(snapshot, name, options);
  if (plan === undefined) return [];
  const budget = state.budgetOf(plan.route === '' ? name : plan.route);
  budget.request(NOW_MS);
  const nowMs = () => NOW_MS;
  const heard = { onPassedOver: () => {}, onShutOff: () => {} };
  const { candidates } = plan;
  const targets = new Targets({ candidates, state, keyUsage, budget, nowMs, random, attemptsMax, ...heard });
  const asked: string[] = [];
  for (let chosen = targets.next(); chosen !== undefined; chosen = targets.next()) {
    const { candidate, key } = chosen;
    if (objection(candidate)) targets.impossible();
    else {
      asked.push(`${candidate.deployment.id} ${key?.id}`);
      targets.failed(new SignalboxError('upstream_error', 'It failed.'));
    }
  }
  return asked;
}

function explainedWalk(options: ExplainOptions): readonly string[] {
  const { candidates } = explain(options) ?? { candidates: [] };
  return candidates
    .filter(({ turn }) => turn > 0)
    .map(({ deployment, keys }) => `${deployment.id} ${keys.find(({ isChosen }) => isChosen)?.id}`);
}

const refused = new SignalboxError('unsupported_field', 'It does not know the field.');
const anyObjection = fc.constantFrom('', 'd0', 'd1').map(
  (id): ExplainOptions['objection'] =>
    ({ deployment }) =>
      deployment.id === id ? refused : undefined,
);

describe('an explanation of any request in any state', () => {
  const anything = [anySnapshot, anyAskedName, anyConditions, fc.nat(), anyObjection] as const;

  function optionsOf(
    snapshot: Snapshot,
    name: string,
    conditions: readonly Condition[],
    seed: number,
    objection: ExplainOptions['objection'],
  ) {
    const state = stateWith(snapshot, conditions, NOW_MS);
    return () => optionsFor(snapshot, name, { state, objection, random: seededRandom(seed) });
  }

  test('names whom a request with the same lots asks, in that order, with those keys', () => {
    fc.assert(
      fc.property(...anything, (...given) => {
        const options = optionsOf(...given);
        const explained = explainedWalk(options());
        expect(realWalk(options())).toEqual(explained);
      }),
    );
  });

  test('uses up nobody’s turn', () => {
    fc.assert(
      fc.property(...anything, (...given) => {
        const watched = optionsOf(...given);
        const alone = optionsOf(...given);
        for (let round = 0; round < 3; round += 1) {
          explain(watched());
          expect(realWalk(watched())).toEqual(realWalk(alone()));
        }
      }),
    );
  });

  test('says of everyone else why not', () => {
    fc.assert(
      fc.property(...anything, (...given) => {
        for (const { turn, passedOver, firstShare } of explain(optionsOf(...given)())?.candidates ?? []) {
          if (turn === 0) expect(passedOver).toBeDefined();
          expect(firstShare > 0 && turn === 0 && passedOver === undefined).toBe(false);
        }
      }),
    );
  });
});

const one = providerOf('one', { keys: [providerKeyOf('k1'), providerKeyOf('k2')], keyStrategy: 'priority' });
const other = providerOf('other');
const pair = [deploymentOf('m', one), deploymentOf('m', other)];

function pairWith(strategy: string) {
  return snapshotOf({ deployments: pair, modelStrategies: { m: strategy } });
}

describe('where lots decide', () => {
  test('it says how often each comes first', () => {
    const options = optionsFor(pairWith('random'), 'm', { random: seededRandom(4) });
    const { isByLot, candidates } = explain(options)!;
    expect(isByLot).toBe(true);
    const shares = candidates.map(({ firstShare }) => firstShare);
    expect(shares.reduce((sum, share) => sum + share)).toBe(1);
    expect(Math.min(...shares)).toBeGreaterThan(0.2);
  });

  test.each(strategyNames.filter((name) => /priority|round-robin|affinity/.test(name)))(
    'and where they do not (%s) it says so',
    (strategy) => {
      // Equals of one priority are told apart by lot.
      const ranked = pair.map((deployment, priority) => ({ ...deployment, priority }));
      const snapshot = snapshotOf({ deployments: ranked, modelStrategies: { m: strategy } });
      const { isByLot, candidates } = explain(optionsFor(snapshot, 'm'))!;
      expect(isByLot).toBe(false);
      expect(candidates.map(({ firstShare }) => firstShare).toSorted()).toEqual([0, 1]);
    },
  );
});

test('the way of the name is told from what was asked for to where it led', () => {
  const snapshot = snapshotOf({
    deployments: pair,
    aliases: { a: 'b', b: 'r' },
    routes: [routeOf('r', ['m'], ['other/x'])],
  });
  const stepsOf = (name: string) => explain(optionsFor(snapshot, name))!.steps.map(({ kind }) => kind);
  expect(stepsOf('a')).toEqual(['alias', 'alias', 'route']);
  expect(stepsOf('m')).toEqual(['model']);
  expect(stepsOf('one/anything')).toEqual(['provider']);
  expect(explain(optionsFor(snapshot, 'a'))).toMatchObject({ route: 'r', fallbacks: ['other/x'] });
  expect(explain(optionsFor(snapshot, 'nobody'))).toBeUndefined();
});

test('a name that a provider claims is told as a pattern', () => {
  const claiming = providerOf('claiming', { claims: (name) => name.startsWith('gpt-') });
  const snapshot = snapshotOf({ providers: [claiming] });
  expect(explain(optionsFor(snapshot, 'gpt-9'))?.steps).toEqual([{ kind: 'pattern', name: 'gpt-9' }]);
});

test('who is left out from the start is told why, and nobody is asked', () => {
  const { candidates } = explain(optionsFor(pairWith('priority'), 'm', { exclusion: () => refused }))!;
  expect(candidates.map(({ turn, passedOver }) => [turn, passedOver])).toEqual([
    [0, refused],
    [0, refused],
  ]);
});

test('those who rest are asked when nobody else is left, and it says so', () => {
  const state = new RoutingState();
  for (const deployment of pair) state.health.rest(deploymentSubject(deployment), NOW_MS + 5000, NOW_MS);
  const { candidates } = explain(optionsFor(pairWith('priority'), 'm', { state }))!;
  expect(candidates.map(({ turn, passedOver }) => [turn, passedOver?.message])).toEqual([
    [1, expect.stringContaining('resting for another 5.0 s')],
    [0, expect.stringContaining('resting for another 5.0 s')],
  ]);
});

test('more than may be asked are passed over for that', () => {
  const { candidates } = explain(optionsFor(pairWith('priority'), 'm', { attemptsMax: 1 }))!;
  expect(candidates[1]).toMatchObject({
    turn: 0,
    passedOver: { message: 'It comes after the 1 that one request may ask at most.' },
  });
});

test('the retries that are left are those of the route, and none is taken', () => {
  const options = optionsFor(pairWith('priority'), 'm');
  const { retriesLeft } = explain(options)!;
  options.state.budgetOf('m').take(NOW_MS);
  expect(explain(options)!.retriesLeft).toBe(retriesLeft - 1);
  expect(explain(options)!.retriesLeft).toBe(retriesLeft - 1);
});

describe('a second attempt', () => {
  const facts = { isStream: true, choices: 1, isKept: false, hasEffects: false, isBound: false };
  const hedge = { delayMs: 300, requestShareMax: 0.05, spendShareMax: 0.05 };
  const hedging = snapshotOf({ deployments: pair, routes: [{ ...routeOf('smart', ['m']), hedge }] });
  const asked = (more: Partial<ExplainOptions> = {}, requests = 100) => {
    const options = optionsFor(hedging, 'smart', { hedgeFacts: () => facts, ...more });
    for (let request = 0; request < requests; request += 1) {
      options.state.hedgesOf('smart').request(NOW_MS);
    }
    return explain(options)!;
  };

  test('goes where it would go, and is none of the budget’s', () => {
    const { candidates, secondAttempt } = asked();
    const target = expect.objectContaining({ deployment: candidates[1]!.deployment });
    expect(secondAttempt).toEqual({ kind: 'hedge', delayMs: 300, target });
    const state = new RoutingState();
    const again = [asked({ state }, 20), asked({ state }, 0)];
    expect(again.map((explanation) => explanation.secondAttempt!.kind)).toEqual(['hedge', 'hedge']);
  });

  test.each<[string, Partial<ExplainOptions>, number, string]>([
    ['the route has had its share', {}, 10, 'none left just now'],
    ['such requests are never sent twice', { hedgeFacts: () => undefined }, 100, 'of this kind'],
    ['nobody else can be asked', { attemptsMax: 1 }, 100, 'nobody else'],
  ])('is none when %s, and it says so', (_, more, requests, why) => {
    expect(asked(more, requests).secondAttempt).toEqual({ kind: 'none', why: expect.stringContaining(why) });
  });

  test('is not spoken of where the route makes none', () => {
    expect(explain(optionsFor(pairWith('priority'), 'm'))!.secondAttempt).toBeUndefined();
  });
});
