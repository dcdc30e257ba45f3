import fc from 'fast-check';
import { expect, test } from 'vitest';
import { strategyNames } from '#shared/routing-strategies.ts';
import { anyAskedName, anyConditions, anySnapshot, stateWith } from '#test/harness/any-routing.ts';
import { routedOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type Candidate, type PlanOptions, planFor } from './plan.ts';
import { resolve } from './resolve.ts';
import { RoutingState } from './routing-state.ts';

const request = routedOf({ isStream: true, affinity: () => 'chat' });

function optionsFor(state: RoutingState, seed: number): PlanOptions {
  return { state, random: seededRandom(seed), nowMs: 1000, request };
}

/** Everything that can be reached from a name, found without any order and without the code under test. */
function reachable(snapshot: Snapshot, name: string, opened = new Set<string>()): ReadonlySet<string> {
  if (opened.has(name)) return new Set();
  opened.add(name);
  const resolution = resolve(snapshot, name);
  if (resolution === undefined) return new Set();
  if (resolution.kind === 'deployments') return new Set(resolution.deployments.map(({ id }) => id));
  const { members, fallbacks } = resolution.route;
  const names = [...members.map(({ model }) => model), ...fallbacks];
  return new Set(names.flatMap((next) => [...reachable(snapshot, next, opened)]));
}

test('whatever leads to whatever, everyone who can be reached is named once, and nobody else', () => {
  fc.assert(
    fc.property(anySnapshot, anyAskedName, anyConditions, fc.nat(), (snapshot, name, conditions, seed) => {
      const plan = planFor(snapshot, name, optionsFor(stateWith(snapshot, conditions, 1000), seed));
      const ids = (plan?.candidates ?? []).map(({ deployment }) => deployment.id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.toSorted()).toEqual([...reachable(snapshot, name)].toSorted());
      expect((plan?.candidates ?? []).every(({ why }) => why !== '')).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test('a deployment without weight comes after all that have some, whatever the strategy and the figures', () => {
  fc.assert(
    fc.property(anySnapshot, anyConditions, fc.nat(), (snapshot, conditions, seed) => {
      const state = stateWith(snapshot, conditions, 1000);
      for (const name of snapshot.models.keys()) {
        const { candidates } = planFor(snapshot, name, optionsFor(state, seed))!;
        const weights = candidates.map(({ deployment }) => Math.min(deployment.weight, 1));
        expect(weights).toEqual(weights.toSorted().toReversed());
      }
    }),
    { numRuns: 100 },
  );
});

test('an unknown name has no plan, and a route to nowhere an empty one', () => {
  const snapshot = snapshotOf({ routes: [routeOf('round', [], ['round', 'nothing'])] });
  expect(planFor(snapshot, 'nothing', optionsFor(new RoutingState(), 1))).toBeUndefined();
  expect(planFor(snapshot, 'round', optionsFor(new RoutingState(), 1))).toMatchObject({
    route: 'round',
    candidates: [],
  });
});

test.each(strategyNames)(
  '%s shares a model among its deployments so that nobody with weight is left out',
  (strategy) => {
    const deployments = ['a', 'b', 'c'].map((name) => deploymentOf('m', providerOf(name), { id: name }));
    const snapshot = snapshotOf({ deployments, modelStrategies: { m: strategy } });
    const state = new RoutingState();
    const random = seededRandom(5);
    const firsts = new Set<string>();
    for (let count = 0; count < 200; count += 1) {
      const asked = { ...request, affinity: () => `conversation ${count}` };
      const options = { ...optionsFor(state, 1), random, request: asked };
      const [first] = planFor(snapshot, 'm', options)!.candidates as [Candidate];
      firsts.add(first.deployment.id);
      state.health.began([`deployment:${first.deployment.id}`], true, 1000);
    }
    expect([...firsts].toSorted()).toEqual(['a', 'b', 'c']);
  },
);
