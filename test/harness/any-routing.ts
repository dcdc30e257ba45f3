// Configurations that nobody would write, for properties of routing that have to hold for them too: routes in routes and in themselves,
// fallbacks that lead back, members that do not exist, providers without keys, weights of nothing.
import fc from 'fast-check';
import type { Subject } from '#data-plane/routing/health/vitals.ts';
import { RoutingState } from '#data-plane/routing/routing-state.ts';
import type { Snapshot } from '#data-plane/snapshot/snapshot.ts';
import { strategyNames } from '#shared/routing-strategies.ts';
import { deploymentOf, providerKeyOf, providerOf, routeOf, snapshotOf } from './snapshots.ts';

const anyStrategy = fc.constantFrom(...strategyNames);
const anyWeight = fc.nat({ max: 3 });
const models = ['m0', 'm1', 'm2'];
const routes = ['r0', 'r1', 'r2'];
const anyName = fc.constantFrom(...models, ...routes, 'alias', 'nothing');

const anyProvider = fc.record({
  keys: fc.array(fc.record({ weight: anyWeight, rpm: fc.constantFrom(0, 2) }), { maxLength: 3 }),
  keyStrategy: anyStrategy,
});
const anyDeployment = fc.record({
  model: fc.constantFrom(...models),
  provider: fc.nat({ max: 2 }),
  weight: anyWeight,
  priority: fc.nat({ max: 2 }),
});
const anyRoute = fc.record({
  strategy: anyStrategy,
  members: fc.array(fc.record({ model: anyName, weight: anyWeight, priority: fc.nat({ max: 2 }) }), {
    maxLength: 4,
  }),
  fallbacks: fc.array(anyName, { maxLength: 3 }),
});

export const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .record({
    providers: fc.array(anyProvider, { minLength: 3, maxLength: 3 }),
    deployments: fc.array(anyDeployment, { maxLength: 8 }),
    routes: fc.array(anyRoute, { minLength: 3, maxLength: 3 }),
    modelStrategies: fc.array(anyStrategy, { minLength: 3, maxLength: 3 }),
    alias: fc.constantFrom(...models, ...routes, 'alias'),
  })
  .map((sketch) => {
    const providers = sketch.providers.map(({ keys, keyStrategy }, index) =>
      providerOf(`p${index}`, {
        keyStrategy,
        keys: keys.map((key, number) => providerKeyOf(`p${index}-k${number}`, key)),
      }),
    );
    return snapshotOf({
      deployments: sketch.deployments.map(({ model, provider, weight, priority }, index) =>
        deploymentOf(model, providers[provider]!, { id: `d${index}`, weight, priority }),
      ),
      modelStrategies: Object.fromEntries(
        models.map((name, index) => [name, sketch.modelStrategies[index]!]),
      ),
      routes: sketch.routes.map((route, index) => ({ ...routeOf(routes[index]!, []), ...route })),
      aliases: { alias: sketch.alias },
    });
  });

/** What a client may ask for. */
export const anyAskedName = anyName;

export type Condition = 'well' | 'resting' | 'broken';

/** For each deployment, provider and key by turns. */
export const anyConditions = fc.array(
  fc.constantFrom<Condition>('well', 'well', 'well', 'resting', 'broken'),
  { minLength: 20, maxLength: 20 },
);

export function subjectsIn(snapshot: Snapshot): readonly Subject[] {
  const deployments = [...snapshot.models.values()].flat();
  const providers = new Set(deployments.map(({ provider }) => provider));
  return [
    ...deployments.map(({ id }): Subject => `deployment:${id}`),
    ...[...providers].map(({ name }): Subject => `provider:${name}`),
    ...[...providers].flatMap(({ keys }) => keys.map(({ id }): Subject => `key:${id}`)),
  ];
}

const FAILURES_THAT_OPEN = 20;
const REST_MS = 60_000;

/** A node that has learnt all this a moment ago. */
export function stateWith(snapshot: Snapshot, conditions: readonly Condition[], nowMs: number): RoutingState {
  const state = new RoutingState();
  for (const [index, subject] of subjectsIn(snapshot).entries()) {
    const condition = conditions[index % conditions.length];
    if (condition === 'resting') state.health.rest(subject, nowMs + REST_MS, nowMs);
    if (condition === 'broken') breakDown(state, subject, nowMs);
  }
  return state;
}

function breakDown({ health }: RoutingState, subject: Subject, nowMs: number): void {
  for (let failure = 0; failure < FAILURES_THAT_OPEN; failure += 1) {
    health.began([subject], true, nowMs);
    health.ended([subject], {
      nowMs,
      outcome: 'failure',
      latencyMs: 1,
      isStream: true,
      firstByteMs: undefined,
      tokens: 0,
      error: undefined,
    });
  }
}
