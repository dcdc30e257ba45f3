import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { routedOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerKeyOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import type { Deployment, Snapshot } from '../snapshot/snapshot.ts';
import { type PlanOptions, planFor } from './plan.ts';
import { resolve } from './resolve.ts';
import { RoutingState } from './routing-state.ts';

const openai = providerOf('openai', { claims: (model) => model.startsWith('gpt-') });
const backup = providerOf('backup', { claims: (model) => model.startsWith('gpt-4') });
const never = providerOf('never');
const nowhere: PlanOptions = {
  state: new RoutingState(),
  random: () => 0.5,
  nowMs: 0,
  request: routedOf(),
};

function names(snapshot: Snapshot, name: string, options = nowhere): string[] | undefined {
  return planFor(snapshot, name, options)?.candidates.map(({ deployment }) => deployment.id);
}

describe('a name', () => {
  const pinned = deploymentOf('gpt-4o', openai, { upstreamModel: 'gpt-4o-2024-11-20' });
  const elsewhere = deploymentOf('gpt-4o', never);
  const slashed = deploymentOf('openai/odd', never);
  const snapshot = snapshotOf({
    providers: [openai, backup, never],
    deployments: [pinned, elsewhere, slashed],
    aliases: { fast: 'quick', quick: 'gpt-4o', round: 'about', about: 'round', lost: 'nothing' },
    routes: [routeOf('smart', ['gpt-4o'])],
  });

  test('follows a chain of aliases to a model', () => {
    expect(resolve(snapshot, 'fast')).toEqual(resolve(snapshot, 'gpt-4o'));
  });

  test('whose aliases lead in a circle means nothing', () => {
    expect(resolve(snapshot, 'round')).toBeUndefined();
  });

  test('whose alias leads nowhere means nothing', () => {
    expect(resolve(snapshot, 'lost')).toBeUndefined();
  });

  test('of a route leads to the route', () => {
    expect(planFor(snapshot, 'smart', nowhere)).toMatchObject({
      route: 'smart',
      candidates: [{ deployment: { model: 'gpt-4o' }, via: 'gpt-4o' }, {}],
    });
  });

  test('written provider/model takes that provider’s deployments of the model', () => {
    expect(names(snapshot, 'openai/gpt-4o')).toEqual([pinned.id]);
  });

  test('written provider/model without a deployment is taken at its word', () => {
    expect(planFor(snapshot, 'never/some/deep/model', nowhere)?.candidates).toMatchObject([
      {
        deployment: {
          id: 'never/some/deep/model',
          provider: { name: 'never' },
          upstreamModel: 'some/deep/model',
        },
      },
    ]);
  });

  test('of a model wins over provider/model', () => {
    expect(names(snapshot, 'openai/odd')).toEqual([slashed.id]);
  });

  test.each(['openai/', '/gpt-4o', 'unknown/gpt-4o', '', 'openai/..', 'openai/../x', 'openai/.', '..'])(
    '%j means nothing',
    (name) => {
      expect(resolve(snapshot, name)).toBeUndefined();
    },
  );

  test('that providers claim goes to the first of them and keeps the others for failover', () => {
    expect(names(snapshot, 'gpt-4.1')).toEqual(['openai/gpt-4.1', 'backup/gpt-4.1']);
    expect(names(snapshot, 'gpt-3.5')).toEqual(['openai/gpt-3.5']);
  });
});

describe('the order of candidates', () => {
  test('puts lower priorities first and the own region first among equals', () => {
    const far = deploymentOf('m', openai, { id: 'far', region: 'us' });
    const near = deploymentOf('m', openai, { id: 'near', region: 'eu' });
    const last = deploymentOf('m', openai, { id: 'last', region: 'eu', priority: 2 });
    const snapshot = snapshotOf({ deployments: [last, far, near] });
    expect(names(snapshot, 'm', { ...nowhere, request: routedOf({ region: 'eu' }) })).toEqual([
      'near',
      'far',
      'last',
    ]);
  });

  test('goes through the members of a route before its fallbacks, each deployment once', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((model) => deploymentOf(model, openai, { id: model }));
    const snapshot = snapshotOf({
      deployments: [a!, b!, c!],
      routes: [routeOf('main', ['b', 'a'], ['c', 'b', 'missing'])],
    });
    expect(names(snapshot, 'main')).toEqual(['b', 'a', 'c']);
  });

  test('ends when routes fall back to each other', () => {
    const snapshot = snapshotOf({
      deployments: ['a', 'b'].map((model) => deploymentOf(model, openai, { id: model })),
      routes: [routeOf('one', ['a'], ['two']), routeOf('two', ['b'], ['one', 'two'])],
    });
    expect(names(snapshot, 'two')).toEqual(['b', 'a']);
  });

  test('is a permutation without repetition, whatever the graph of names looks like', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'r1', 'r2', 'r3', 'x', 'y', 'nothing');
    const graph = fc.record({
      members: fc.array(fc.array(name, { maxLength: 4 }), { minLength: 3, maxLength: 3 }),
      fallbacks: fc.array(fc.array(name, { maxLength: 4 }), { minLength: 3, maxLength: 3 }),
      targets: fc.tuple(name, name),
      chances: fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
    });
    fc.assert(
      fc.property(graph, name, ({ members, fallbacks, targets, chances }, asked) => {
        const deployments = ['a', 'b', 'c'].flatMap((model) =>
          [1, 2].map((copy) => deploymentOf(model, openai, { id: `${model}${copy}` })),
        );
        const snapshot = snapshotOf({
          deployments,
          aliases: { x: targets[0], y: targets[1] },
          routes: members.map((list, index) => routeOf(`r${index + 1}`, list, fallbacks[index]!)),
        });
        const found =
          names(snapshot, asked, { ...nowhere, random: () => chances.next().value as number }) ?? [];
        expect(new Set(found).size).toBe(found.length);
        expect(found.every((id) => deployments.some((deployment) => deployment.id === id))).toBe(true);
      }),
    );
  });
});

describe('a single deployment', () => {
  test('is used without asking chance', () => {
    const only: Deployment = deploymentOf('m', providerOf('p', { keys: [providerKeyOf('k')] }));
    const random = () => {
      throw new RangeError('nobody should draw lots for one');
    };
    const plan = planFor(snapshotOf({ deployments: [only] }), 'm', { ...nowhere, random });
    expect(plan?.candidates).toMatchObject([{ deployment: { id: only.id } }]);
  });
});
