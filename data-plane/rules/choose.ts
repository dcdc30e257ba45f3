// Rules at work: who of a route may answer this request, and why the others may not. All rules that exclude hold, wherever they stand,
// so that no choice gets around them; of the rules that choose (use, pin, split) the first that applies counts. Rules that leave
// nobody refuse the request: what was forbidden is not done because nothing else was left.
import { SignalboxError } from '#shared/errors.ts';
import type { CompiledRule, DeploymentTraits, RouteRules } from './compile.ts';
import type { Offer, RequestFacts } from './facts.ts';
import { placeOf, shareAt } from './split.ts';

export interface RuledMember {
  readonly model: string;
  readonly weight: number;
  readonly priority: number;
}

export interface RuledRoute {
  readonly slug: string;
  readonly members: readonly RuledMember[];
  readonly fallbacks: readonly string[];
}

export interface RouteChoice extends Restriction {
  readonly members: readonly RuledMember[];
  /** Whether the members are asked in this order, whatever the route's strategy. */
  readonly isOrdered: boolean;
  /** Whether nobody else is to be asked, whatever goes wrong. */
  readonly isPinned: boolean;
  readonly fallbacks: readonly string[];
  /** What was left out, and the rules that did something, in words. */
  readonly left: readonly LeftOut[];
  readonly trail: readonly string[];
}

/** What rules forbid, which holds for everything that is reached through the route. */
export interface Restriction {
  /** Why nobody of this public name may answer, directly or through another route; undefined when they may. */
  readonly whyNot: (name: string) => string | undefined;
  /** The same of a deployment. `cost`: what the request is expected to cost there, in billionths of a dollar. */
  readonly whyNotAt: (deployment: DeploymentTraits, cost: () => number | undefined) => string | undefined;
}

export interface LeftOut {
  readonly name: string;
  readonly why: string;
}

const noReason = (): undefined => undefined;
const nothingLeft: readonly LeftOut[] = Object.freeze([]);

export function chooseMembers(
  { rules }: Pick<RouteRules, 'rules'>,
  route: RuledRoute,
  facts: RequestFacts,
  costOf: Offer['costOf'],
): RouteChoice {
  const applying = rules.length === 0 ? rules : applyingTo(rules, route, facts, costOf);
  const wanted = wish(applying, route, facts);
  if (applying.length === 0) return { ...wanted, whyNot: noReason, whyNotAt: noReason, left: nothingLeft };
  const whyNot = nameFilter(applying);
  const left = [...wanted.members.map(({ model }) => model), ...wanted.fallbacks].flatMap((name) => {
    const why = whyNot(name);
    return why === undefined ? [] : [{ name, why }];
  });
  return {
    ...wanted,
    members: wanted.members.filter(({ model }) => whyNot(model) === undefined),
    fallbacks: wanted.fallbacks.filter((name) => whyNot(name) === undefined),
    whyNot,
    whyNotAt: deploymentFilter(applying),
    left,
    trail: [...wanted.trail, ...applying.flatMap(exclusionInWords)],
  };
}

function applyingTo<Ruled extends { readonly applies: CompiledRule['applies'] }>(
  ruled: readonly Ruled[],
  { members }: Pick<RuledRoute, 'members'>,
  facts: RequestFacts,
  costOf: Offer['costOf'],
): readonly Ruled[] {
  const offer = { names: members.map(({ model }) => model), costOf };
  return ruled.filter(({ applies }) => applies(facts, offer));
}

/** Where each copy of this request goes. */
export function mirrorsFor(
  { mirrors }: Pick<RouteRules, 'mirrors'>,
  route: Pick<RuledRoute, 'members'>,
  facts: RequestFacts,
  costOf: Offer['costOf'],
): readonly string[] {
  if (mirrors.length === 0) return [];
  return applyingTo(mirrors, route, facts, costOf)
    .filter(({ share, ownerOf, purpose }) => placeOf(purpose, ownerOf(facts)) < share)
    .map(({ to }) => to);
}

/** For a route whose rules leave nobody. */
export function nobodyLeft(slug: string, left: readonly LeftOut[]): SignalboxError {
  const reasons = left.map(({ name, why }) => `${name} (${why})`).join('; ');
  return new SignalboxError(
    'excluded_by_rules',
    `The rules of the route "${slug}" leave nobody to ask: ${reasons}. Ask for another model, or the operator to change them.`,
    { param: 'model' },
  );
}

/** Whom the first rule that chooses wants, before exclusions. */
type Wish = Pick<RouteChoice, 'members' | 'isOrdered' | 'isPinned' | 'fallbacks' | 'trail'>;

function wish(applying: readonly CompiledRule[], route: RuledRoute, facts: RequestFacts): Wish {
  const { members, fallbacks } = route;
  const asIs: Wish = { members, fallbacks, isOrdered: false, isPinned: false, trail: [] };
  for (const { title, outcome } of applying) {
    if (outcome.kind === 'use') {
      const trail = [`${title}: use ${outcome.names.join(', ')}`];
      return { ...asIs, members: membersNamed(route, outcome.names), trail };
    }
    if (outcome.kind === 'pin') {
      const only = membersNamed(route, [outcome.name]);
      return {
        members: only,
        fallbacks: [],
        isOrdered: true,
        isPinned: true,
        trail: [`${title}: only ${outcome.name}`],
      };
    }
    if (outcome.kind === 'split') {
      const { shares, ownerOf, purpose } = outcome;
      const sizes = shares.map(({ percent }) => percent);
      const chosen = shares[shareAt(sizes, placeOf(purpose, ownerOf(facts)))]!;
      const others = shares.filter((share) => share !== chosen && share.percent > 0);
      const names = [chosen, ...others].map(({ name }) => name);
      const trail = [`${title}: in the ${chosen.percent} % of ${chosen.name}`];
      return { ...asIs, members: membersNamed(route, names), isOrdered: true, trail };
    }
  }
  return asIs;
}

/** As the route has them; whom it does not have gets what members get by default. */
function membersNamed({ members }: RuledRoute, names: readonly string[]): readonly RuledMember[] {
  return [...new Set(names)].map(
    (name) => members.find(({ model }) => model === name) ?? { model: name, weight: 1, priority: 1 },
  );
}

function nameFilter(applying: readonly CompiledRule[]): Restriction['whyNot'] {
  const excluding = applying.flatMap(({ title, outcome }) =>
    outcome.kind === 'exclude' ? [{ title, matches: outcome.matches }] : [],
  );
  return (name) => {
    const rule = excluding.find(({ matches }) => matches(name));
    return rule && `excluded by ${rule.title}`;
  };
}

function deploymentFilter(applying: readonly CompiledRule[]): Restriction['whyNotAt'] {
  const filters = applying.flatMap(({ title, outcome }): Restriction['whyNotAt'][] => {
    if (outcome.kind === 'only') {
      return [
        (deployment) => {
          const why = outcome.whyNot(deployment);
          return why && `${title}: ${why}`;
        },
      ];
    }
    if (outcome.kind !== 'cost') return [];
    // What nobody knows the price of is not taken to be dear.
    return [(_, cost) => ((cost() ?? 0) > outcome.costMax ? `too expensive for ${title}` : undefined)];
  });
  const byName = nameFilter(applying);
  return (deployment, cost) => {
    for (const filter of filters) {
      const why = filter(deployment, cost);
      if (why !== undefined) return why;
    }
    // Under its own name, too: an alias or a route may have led to it.
    return byName(deployment.model);
  };
}

const NANODOLLARS_PER_DOLLAR = 1e9;

function exclusionInWords({ title, outcome }: CompiledRule): readonly string[] {
  if (outcome.kind === 'exclude') return [`${title}: excludes`];
  if (outcome.kind === 'only') return [`${title}: only some deployments`];
  return outcome.kind === 'cost' ? [`${title}: at most $${outcome.costMax / NANODOLLARS_PER_DOLLAR}`] : [];
}
