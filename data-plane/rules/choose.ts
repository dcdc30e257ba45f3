// Rules at work: who of a route may answer this request, and why the others may not. All rules that exclude hold, wherever they stand,
// so that no choice gets around them; of the rules that choose (use, pin, split) the first that applies counts. Rules that leave
// nobody refuse the request: what was forbidden is not done because nothing else was left.
import { SignalboxError } from '#shared/errors.ts';
import type { CompiledRule, DeploymentTraits, RouteRules } from './compile.ts';
import type { RequestFacts } from './facts.ts';
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

export interface RouteChoice {
  readonly members: readonly RuledMember[];
  /** Whether the members are asked in this order, whatever the route's strategy. */
  readonly isOrdered: boolean;
  readonly fallbacks: readonly string[];
  /** Why nobody of this public name may answer, directly or through another route; undefined when they may. */
  readonly whyNot: (name: string) => string | undefined;
  /** The same of a deployment. */
  readonly whyNotAt: (deployment: DeploymentTraits) => string | undefined;
  /** What was left out, and the rules that did something, in words. */
  readonly left: readonly { readonly name: string; readonly why: string }[];
  readonly trail: readonly string[];
}

const noReason = (): undefined => undefined;

export function chooseMembers(
  { rules }: Pick<RouteRules, 'rules'>,
  route: RuledRoute,
  facts: RequestFacts,
): RouteChoice {
  const { members, fallbacks } = route;
  const names = rules.length === 0 ? [] : members.map(({ model }) => model);
  const applying = rules.filter(({ applies }) => applies(facts, names));
  if (applying.length === 0) {
    return {
      members,
      fallbacks,
      isOrdered: false,
      whyNot: noReason,
      whyNotAt: noReason,
      left: [],
      trail: [],
    };
  }
  const whyNot = nameFilter(applying, facts);
  const wanted = wish(applying, route, facts);
  const left = [...wanted.members.map(({ model }) => model), ...wanted.fallbacks].flatMap((name) => {
    const why = whyNot(name);
    return why === undefined ? [] : [{ name, why }];
  });
  return {
    members: wanted.members.filter(({ model }) => whyNot(model) === undefined),
    isOrdered: wanted.isOrdered,
    fallbacks: wanted.fallbacks.filter((name) => whyNot(name) === undefined),
    whyNot,
    whyNotAt: deploymentFilter(applying),
    left,
    trail: [...wanted.trail, ...applying.flatMap(exclusionInWords)],
  };
}

/** Where each copy of this request goes. */
export function mirrorsFor(
  { mirrors }: Pick<RouteRules, 'mirrors'>,
  { members }: Pick<RuledRoute, 'members'>,
  facts: RequestFacts,
): readonly string[] {
  if (mirrors.length === 0) return [];
  const names = members.map(({ model }) => model);
  return mirrors
    .filter(({ applies }) => applies(facts, names))
    .filter(({ share, ownerOf, purpose }) => placeOf(purpose, ownerOf(facts)) < share)
    .map(({ to }) => to);
}

/** For a route whose rules leave nobody. */
export function nobodyLeft({ slug }: RuledRoute, { left, trail }: RouteChoice): SignalboxError {
  const reasons = left.length > 0 ? left.map(({ name, why }) => `${name} (${why})`) : trail;
  return new SignalboxError(
    'excluded_by_rules',
    `The rules of the route "${slug}" leave nobody to ask: ${reasons.join('; ')}. Ask for another model, or the operator to change them.`,
    { param: 'model' },
  );
}

interface Wish {
  readonly members: readonly RuledMember[];
  readonly isOrdered: boolean;
  readonly fallbacks: readonly string[];
  readonly trail: readonly string[];
}

/** Whom the first rule that chooses wants, before exclusions. */
function wish(applying: readonly CompiledRule[], route: RuledRoute, facts: RequestFacts): Wish {
  const { fallbacks } = route;
  for (const { title, outcome } of applying) {
    if (outcome.kind === 'use') {
      const members = membersNamed(route, outcome.names);
      return { members, isOrdered: false, fallbacks, trail: [`${title}: use ${outcome.names.join(', ')}`] };
    }
    if (outcome.kind === 'pin') {
      const members = membersNamed(route, [outcome.name]);
      return { members, isOrdered: true, fallbacks: [], trail: [`${title}: only ${outcome.name}`] };
    }
    if (outcome.kind === 'split') {
      const { shares, ownerOf, purpose } = outcome;
      const sizes = shares.map(({ percent }) => percent);
      const chosen = shares[shareAt(sizes, placeOf(purpose, ownerOf(facts)))]!;
      const others = shares.filter((share) => share !== chosen && share.percent > 0);
      const members = membersNamed(
        route,
        [chosen, ...others].map(({ name }) => name),
      );
      const trail = [`${title}: in the ${chosen.percent} % of ${chosen.name}`];
      return { members, isOrdered: true, fallbacks, trail };
    }
  }
  return { members: route.members, isOrdered: false, fallbacks, trail: [] };
}

/** As the route has them; whom it does not have gets what members get by default. */
function membersNamed({ members }: RuledRoute, names: readonly string[]): readonly RuledMember[] {
  return [...new Set(names)].map(
    (name) => members.find(({ model }) => model === name) ?? { model: name, weight: 1, priority: 1 },
  );
}

function nameFilter(applying: readonly CompiledRule[], facts: RequestFacts): RouteChoice['whyNot'] {
  const filters = applying.flatMap(({ title, outcome }) => {
    if (outcome.kind === 'exclude') {
      return [(name: string) => (outcome.matches(name) ? `excluded by ${title}` : undefined)];
    }
    if (outcome.kind !== 'cost') return [];
    return [
      (name: string) =>
        // What nobody knows the price of is not taken to be dear.
        (facts.costOf(name) ?? 0) > outcome.costMax ? `too expensive for ${title}` : undefined,
    ];
  });
  return firstReason(filters);
}

function deploymentFilter(applying: readonly CompiledRule[]): RouteChoice['whyNotAt'] {
  const filters = applying.flatMap(({ title, outcome }) => {
    if (outcome.kind !== 'only') return [];
    return [
      (deployment: DeploymentTraits) => {
        const why = outcome.whyNot(deployment);
        return why === undefined ? undefined : `${title}: ${why}`;
      },
    ];
  });
  return firstReason(filters);
}

function firstReason<Item>(
  filters: readonly ((item: Item) => string | undefined)[],
): (item: Item) => string | undefined {
  if (filters.length === 0) return noReason;
  return (item) => {
    for (const filter of filters) {
      const why = filter(item);
      if (why !== undefined) return why;
    }
    return undefined;
  };
}

function exclusionInWords({ title, outcome }: CompiledRule): readonly string[] {
  if (outcome.kind === 'exclude') return [`${title}: excludes`];
  if (outcome.kind === 'only') return [`${title}: only some deployments`];
  return outcome.kind === 'cost' ? [`${title}: at most ${outcome.costMax} billionths of a dollar`] : [];
}
