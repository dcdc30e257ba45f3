// Rules and abilities against plans of any shape: whoever is left out is nowhere in the plan, however a chain of names leads to it, and
// whoever is not left out is still there.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Capability } from '#shared/capabilities.ts';
import { anyAskedName, anySnapshot } from '#test/harness/any-routing.ts';
import { routedOf, rulesOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerOf, routeOf, snapshotOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import type { Deployment, Route, Snapshot } from '../snapshot/snapshot.ts';
import { type PlanOptions, planFor, refusalsOf } from './plan.ts';
import { RoutingState } from './routing-state.ts';

const NOW_MS = 1000;

function options(request = routedOf()): PlanOptions {
  return { state: new RoutingState(), random: seededRandom(1), nowMs: NOW_MS, request };
}

function ids(plan: ReturnType<typeof planFor>): string[] {
  return (plan?.candidates ?? []).map(({ deployment }) => deployment.id);
}

/** The same configuration, with more said of its routes and deployments. */
function furnished(
  snapshot: Snapshot,
  rulesFor: (route: Route) => readonly object[],
  more: (deployment: Deployment, index: number) => Partial<Deployment>,
): Snapshot {
  const deployments = [...snapshot.models.values()].flat();
  return snapshotOf({
    deployments: deployments.map((deployment, index) => ({ ...deployment, ...more(deployment, index) })),
    modelStrategies: Object.fromEntries(snapshot.modelStrategies),
    aliases: Object.fromEntries(snapshot.aliases),
    routes: [...snapshot.routes.values()].map((route) => ({
      ...route,
      rules: rulesOf({ slug: route.slug, rules: rulesFor(route) }),
    })),
  });
}

const regions = ['eu', 'us', ''];

describe('in any configuration', () => {
  test('nobody is asked whom an exclusion of the route forbids, and everybody else still is', () => {
    fc.assert(
      fc.property(
        anySnapshot,
        anyAskedName,
        fc.constantFrom('m0', 'm1', 'm*', 'r1'),
        (made, name, pattern) => {
          const plain = furnished(
            made,
            () => [],
            () => ({}),
          );
          const ruled = furnished(
            made,
            () => [{ exclude: pattern }],
            () => ({}),
          );
          const plan = planFor(ruled, name, options());
          const isExcluded = (model: string) =>
            pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern;
          if (plan?.route === '') return;
          for (const { deployment, via } of plan?.candidates ?? [])
            expect([deployment.model, via].some(isExcluded)).toBe(false);
          if (pattern.startsWith('r')) return;
          const allowed = (planFor(plain, name, options())?.candidates ?? []).filter(
            ({ deployment }) => !isExcluded(deployment.model),
          );
          expect(new Set(ids(plan))).toEqual(new Set(allowed.map(({ deployment }) => deployment.id)));
        },
      ),
    );
  });

  test('nobody is asked outside the regions of a route, through whatever it leads to', () => {
    fc.assert(
      fc.property(anySnapshot, anyAskedName, (made, name) => {
        const place = (_: Deployment, index: number) => ({ region: regions[index % regions.length]! });
        const plain = furnished(made, () => [], place);
        const ruled = furnished(
          made,
          ({ slug }) => (slug === 'r0' ? [{ only: { regions: 'eu' } }] : []),
          place,
        );
        const plan = planFor(ruled, name, options());
        if (plan?.route !== 'r0') return;
        for (const { deployment } of plan.candidates) expect(deployment.region).toBe('eu');
        const everyone = planFor(plain, name, options())!.candidates;
        const eu = everyone.filter(({ deployment }) => deployment.region === 'eu');
        expect(new Set(ids(plan))).toEqual(new Set(eu.map(({ deployment }) => deployment.id)));
        const told = plan.excluded.map(({ deployment }) => deployment.id);
        expect(new Set([...told, ...ids(plan)])).toEqual(
          new Set(everyone.map(({ deployment }) => deployment.id)),
        );
        expect(refusalsOf(plan).length > 0).toBe(plan.candidates.length === 0 && everyone.length > 0);
      }),
    );
  });

  test('nobody is asked who cannot do what the request needs', () => {
    const able = (_: Deployment, index: number): Partial<Deployment> => ({
      abilities:
        index % 3 === 0 ? undefined : { can: new Set<Capability>(['tools']), contextTokens: 100 * index },
    });
    fc.assert(
      fc.property(anySnapshot, anyAskedName, fc.nat({ max: 900 }), (made, name, inputTokens) => {
        const snapshot = furnished(made, () => [], able);
        const request = routedOf({ needs: new Set<Capability>(['vision']), inputTokens });
        for (const { deployment } of planFor(snapshot, name, options(request))?.candidates ?? [])
          expect(deployment.abilities).toBeUndefined();
        const tooling = routedOf({ needs: new Set<Capability>(['tools']), inputTokens });
        for (const { deployment } of planFor(snapshot, name, options(tooling))?.candidates ?? []) {
          const contextTokens = deployment.abilities?.contextTokens ?? 0;
          if (contextTokens > 0) expect(inputTokens).toBeLessThanOrEqual(contextTokens * 1.25);
        }
      }),
    );
  });
});

describe('a plan', () => {
  const price = { input: 1000, inputCacheRead: 1000, output: 2000 };
  const dear = { input: 10_000, inputCacheRead: 10_000, output: 20_000 };
  const deployments = [
    deploymentOf('gpt', providerOf('openai'), { id: 'us', region: 'us', price }),
    deploymentOf('gpt', providerOf('azure'), { id: 'eu', region: 'eu', price: dear }),
    deploymentOf('small', providerOf('local'), { id: 'small', region: 'eu' }),
  ];
  const ruled = (rules: readonly object[], more: Partial<Route> = {}) =>
    snapshotOf({
      deployments,
      aliases: { nick: 'gpt' },
      routes: [
        { ...routeOf('smart', ['gpt'], ['small']), rules: rulesOf({ rules }), ...more },
        { ...routeOf('outer', ['smart']), rules: rulesOf({ slug: 'outer', rules: [{ exclude: 'gpt' }] }) },
      ],
    });
  const planned = (rules: readonly object[], request = routedOf(), name = 'smart') =>
    planFor(ruled(rules), name, options(request))!;

  test('says in the reason of those who were chosen which rule did it', () => {
    const { candidates, trail } = planned([{ name: 'home', only: { regions: 'eu' } }, { pin: 'gpt' }]);
    expect(candidates).toMatchObject([
      {
        deployment: { id: 'eu' },
        why: 'rule 2: only gpt, rule "home": only some deployments, the only deployment left',
      },
    ]);
    expect(trail).toEqual(['rule 2: only gpt', 'rule "home": only some deployments']);
  });

  test('of an outer route holds its rules over the routes in it', () => {
    expect(ids(planned([], routedOf(), 'outer'))).toEqual(['small']);
  });

  test('does not get around an exclusion by another name', () => {
    const snapshot = snapshotOf({
      deployments,
      aliases: { nick: 'inner', short: 'gpt' },
      routes: [
        routeOf('inner', ['small']),
        {
          ...routeOf('smart', ['short', 'nick']),
          rules: rulesOf({ rules: [{ exclude: ['gpt', 'inner'] }] }),
        },
      ],
    });
    const plan = planFor(snapshot, 'smart', options())!;
    expect(ids(plan)).toEqual([]);
    expect(refusalsOf(plan)).toMatchObject([{ code: 'excluded_by_rules' }]);
  });

  test('leaves out deployments that would cost too much, and keeps those nobody has a price of', () => {
    // 1000 tokens in and 500 expected out: two and twenty thousandths of a dollar.
    const plan = planned([{ max_cost: 0.01 }]);
    expect(ids(plan)).toEqual(['us', 'small']);
    expect(plan.excluded).toMatchObject([
      {
        deployment: { id: 'eu' },
        reason: { code: 'excluded_by_rules', message: 'too expensive for rule 1' },
      },
    ]);
    expect(ids(planned([{ max_cost: 0.001 }]))).toEqual(['small']);
  });

  test('asks rules about the cheapest member', () => {
    const rules = [{ when: { cost: '<=0.002' }, use: 'small' }];
    expect(ids(planned(rules))).toEqual(['small']);
    expect(ids(planned(rules, routedOf({ inputTokens: 2000 }))).toSorted()).toEqual(['eu', 'small', 'us']);
  });

  test('that is empty because of rules says so in one error, with every reason', () => {
    const plan = planned([{ exclude: 'small' }, { only: { providers: 'nobody' } }]);
    expect(plan.candidates).toEqual([]);
    const [refusal, ...others] = refusalsOf(plan);
    expect(others).toEqual([]);
    expect(refusal).toMatchObject({ code: 'excluded_by_rules' });
    for (const reason of ['small (excluded by rule 1)', 'us (rule 2: its provider ("openai")'])
      expect(refusal?.message).toContain(reason);
  });

  test('knows who gets copies', () => {
    const snapshot = ruled([], { rules: rulesOf({ mirrors: [{ to: 'small' }, { to: 'gpt', percent: 0 }] }) });
    expect(planFor(snapshot, 'smart', options())?.mirrors).toEqual(['small']);
    expect(planFor(snapshot, 'gpt', options())?.mirrors).toEqual([]);
  });
});
