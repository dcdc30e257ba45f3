// Which deployments may answer a request, best first. A route's members in the order of its strategy, each member's deployments in the
// order of the model's, then its fallbacks, which may be routes themselves. Whom a rule forbids, and who cannot do what the request
// needs, is left out before anyone is put in order. Each deployment appears once and each route is opened once, so a chain that leads back
// to itself ends. Every place carries its reason, so that the answer to "why there?", or "why not?", is never a guess.
import { SignalboxError } from '#shared/errors.ts';
import { whyUnable } from '../rules/capabilities.ts';
import {
  chooseMembers,
  type LeftOut,
  mirrorsFor,
  nobodyLeft,
  type Restriction,
  type RouteChoice,
} from '../rules/choose.ts';
import type { RequestFacts } from '../rules/facts.ts';
import type { Deployment, Route, RouteMember, Snapshot } from '../snapshot/snapshot.ts';
import { type DeploymentMember, deploymentMember, namedMember } from './members.ts';
import { resolve } from './resolve.ts';
import type { Routing } from './routing-state.ts';
import { expectedCost } from './strategies/expected-cost.ts';
import { strategyNamed } from './strategies/registry.ts';
import type { StrategyInput } from './strategies/strategy.ts';

/** What is known of a request when its targets are chosen. */
export interface RoutedRequest extends RequestFacts {
  readonly outputTokensExpected: number;
  /** What all requests of one conversation have in common; asked for only where a strategy wants to know. */
  readonly affinity: () => string;
}

export interface PlanOptions {
  readonly state: Routing;
  readonly random: () => number;
  readonly nowMs: number;
  readonly request: RoutedRequest;
  /** What the rules of another plan forbid, where this one takes its place. */
  readonly restrictions?: readonly Restriction[];
}

export interface Candidate {
  readonly deployment: Deployment;
  /** The member or fallback of the route that led here; the model itself where no route was asked for. */
  readonly via: string;
  readonly strategy: string;
  readonly score: number;
  readonly why: string;
}

/** A deployment that could be reached and must not be asked, or cannot be. */
export interface Excluded extends Pick<Candidate, 'deployment' | 'via'> {
  readonly reason: SignalboxError;
}

export interface Plan {
  /** The route that the name led to; empty when it named a model. */
  readonly route: string;
  readonly candidates: readonly Candidate[];
  readonly excluded: readonly Excluded[];
  /** Names that rules left out. */
  readonly left: readonly LeftOut[];
  /** What rules did, in words. */
  readonly trail: readonly string[];
  /** What the route's own rules forbid whoever else may be asked. */
  readonly restrictions: readonly Restriction[];
  /** Whether a rule says that nobody else is to be asked, whatever goes wrong. */
  readonly isPinned: boolean;
  /** Where copies of the request go. */
  readonly mirrors: readonly string[];
}

/** Undefined when the name means nothing here. */
export function planFor(snapshot: Snapshot, name: string, options: PlanOptions): Plan | undefined {
  const resolution = resolve(snapshot, name);
  if (!resolution) return undefined;
  const walk: Walk = {
    snapshot,
    options,
    restrictions: options.restrictions ?? [],
    because: [],
    routes: new Set(),
    found: new Map(),
    excluded: new Map(),
    left: new Map(),
    trail: [],
  };
  const route = resolution.kind === 'route' ? resolution.route : undefined;
  const isOpen = !isLeftOut(walk, name);
  const choice = route && isOpen ? openRoute(walk, route) : undefined;
  if (resolution.kind === 'deployments' && isOpen) openDeployments(walk, name, resolution.deployments);
  return {
    route: route?.slug ?? '',
    candidates: [...walk.found.values()],
    excluded: [...walk.excluded.values()],
    left: [...walk.left.values()],
    trail: walk.trail,
    restrictions: choice && choice.trail.length > 0 ? [choice] : [],
    isPinned: choice?.isPinned ?? false,
    mirrors: route ? mirrorsFor(route.rules, route, options.request, (member) => cheapest(walk, member)) : [],
  };
}

/** Why nobody can be asked, where that is because of what was left out; empty when it is not. */
export function refusalsOf({ route, candidates, excluded, left }: Plan): readonly SignalboxError[] {
  if (candidates.length > 0) return [];
  const ruledOut = excluded.filter(({ reason }) => reason.code === 'excluded_by_rules');
  const unable = excluded.filter((one) => !ruledOut.includes(one)).map(({ reason }) => reason);
  const reasons = ruledOut.map(({ deployment, reason }) => ({ name: deployment.id, why: reason.message }));
  const byRules = [...left, ...reasons];
  return byRules.length === 0 ? unable : [...unable, nobodyLeft(route, byRules)];
}

interface Walk {
  readonly snapshot: Snapshot;
  readonly options: PlanOptions;
  /** Of every route on the way here. */
  readonly restrictions: readonly Restriction[];
  /** What rules of the route on the way here did, for those whom they chose. */
  readonly because: readonly string[];
  readonly routes: Set<string>;
  /** In order of discovery, by deployment id. */
  readonly found: Map<string, Candidate>;
  readonly excluded: Map<string, Excluded>;
  readonly left: Map<string, LeftOut>;
  readonly trail: string[];
}

/** Undefined when it has been opened already. */
function openRoute(walk: Walk, route: Route): RouteChoice | undefined {
  if (walk.routes.has(route.slug)) return undefined;
  walk.routes.add(route.slug);
  const { request } = walk.options;
  const choice = chooseMembers(route.rules, route, request, (member) => cheapest(walk, member));
  for (const one of choice.left) walk.left.set(one.name, one);
  walk.trail.push(...choice.trail);
  const { trail } = choice;
  const restrictions = trail.length === 0 ? walk.restrictions : [...walk.restrictions, choice];
  const inside = { ...walk, restrictions };
  const names = choice.isOrdered
    ? choice.members.map(({ model }) => model)
    : orderMembers(inside, route, choice.members);
  for (const name of names) openName({ ...inside, because: trail }, name);
  for (const fallback of choice.fallbacks) openName(inside, fallback);
  return choice;
}

/** Those behind whom nobody may be asked come last: a turn is not given to who cannot take it. */
function orderMembers(walk: Walk, route: Route, members: readonly RouteMember[]): readonly string[] {
  if (members.length < 2) return members.map(({ model }) => model);
  const strategy = strategyNamed(route.strategy);
  const named = members.map((member) => ({ member, behind: deploymentsBehind(walk, member.model) }));
  const open = named.filter(({ behind }) => behind === undefined || behind.length > 0);
  const closed = named.filter((one) => !open.includes(one));
  const candidates = open.map(({ member, behind }) =>
    namedMember(member, behind ?? [], walk.options.request),
  );
  const ordered = strategy.order(candidates, inputFor(walk, `route:${route.slug}`));
  return [...ordered.map(({ member }) => member.name), ...closed.map(({ member }) => member.model)];
}

/** Who may answer under a name. Undefined for a route: what it would choose is its own affair. */
function deploymentsBehind(walk: Walk, name: string): readonly DeploymentMember[] | undefined {
  const resolution = resolve(walk.snapshot, name);
  if (resolution?.kind === 'route') return undefined;
  return (resolution?.deployments ?? [])
    .filter((deployment) => exclusionOf(walk, deployment) === undefined)
    .map((deployment) => memberOf(deployment, walk.options));
}

/** What the request is expected to cost at the cheapest deployment of a name. */
function cheapest({ snapshot, options }: Walk, name: string): number | undefined {
  const resolution = resolve(snapshot, name);
  const deployments = resolution?.kind === 'deployments' ? resolution.deployments : [];
  const costs = deployments.flatMap((deployment) => costAt(options, deployment) ?? []);
  return costs.length === 0 ? undefined : Math.min(...costs);
}

function costAt({ state, nowMs, request }: PlanOptions, { id, price }: Deployment): number | undefined {
  if (price === undefined) return undefined;
  const { inputTokens, outputTokensExpected } = request;
  const cachedTokens = state.warm.tokensAt(request.affinity(), id, nowMs);
  return expectedCost(price, { inputTokens, cachedTokens, outputTokensExpected });
}

function openName(walk: Walk, name: string): void {
  const resolution = isLeftOut(walk, name) ? undefined : resolve(walk.snapshot, name);
  if (!resolution) return;
  if (resolution.kind === 'deployments') openDeployments(walk, name, resolution.deployments);
  // Under its own name, too: an alias may have led to it.
  else if (!isLeftOut(walk, resolution.route.slug)) openRoute(walk, resolution.route);
}

function isLeftOut({ restrictions, left }: Walk, name: string): boolean {
  const why = restrictions.map(({ whyNot }) => whyNot(name)).find((reason) => reason !== undefined);
  if (why !== undefined) left.set(name, { name, why });
  return why !== undefined;
}

function openDeployments(walk: Walk, via: string, deployments: readonly Deployment[]): void {
  const able = deployments.filter((deployment) => !isExcluded(walk, via, deployment));
  const [only] = able;
  if (able.length === 1 && only !== undefined) {
    const why = deployments.length === 1 ? 'the only deployment' : 'the only deployment left';
    note(walk, { deployment: only, via, strategy: 'only one', score: 0, why });
    return;
  }
  if (only === undefined) return;
  const strategy = strategyNamed(walk.snapshot.modelStrategies.get(via) ?? 'priority');
  const members = able.map((deployment) => memberOf(deployment, walk.options));
  for (const { member, score, why } of strategy.order(members, inputFor(walk, `model:${via}`))) {
    note(walk, { deployment: member.deployment, via, strategy: strategy.name, score, why });
  }
}

function isExcluded(walk: Walk, via: string, deployment: Deployment): boolean {
  const reason = exclusionOf(walk, deployment);
  if (reason !== undefined && !walk.found.has(deployment.id))
    walk.excluded.set(deployment.id, { deployment, via, reason });
  return reason !== undefined;
}

function exclusionOf({ options, restrictions }: Walk, deployment: Deployment): SignalboxError | undefined {
  for (const { whyNotAt } of restrictions) {
    const why = whyNotAt(deployment, () => costAt(options, deployment));
    if (why !== undefined) return new SignalboxError('excluded_by_rules', why);
  }
  const inability = whyUnable(deployment.abilities, options.request);
  if (inability === undefined) return undefined;
  const code = inability.kind === 'size' ? 'context_length_exceeded' : 'unsupported_by_provider';
  return new SignalboxError(code, `The deployment "${deployment.id}" ${inability.why}.`);
}

function note({ found, excluded, because }: Walk, candidate: Candidate): void {
  const { id } = candidate.deployment;
  // Another way may lead to whom one was closed.
  excluded.delete(id);
  if (!found.has(id)) found.set(id, { ...candidate, why: [...because, candidate.why].join(', ') });
}

function memberOf(deployment: Deployment, { state, nowMs, request }: PlanOptions): DeploymentMember {
  return deploymentMember(deployment, { health: state.health, nowMs, region: request.region });
}

function inputFor({ options }: Walk, place: string): StrategyInput {
  const { state, random, nowMs, request } = options;
  return {
    nowMs,
    random,
    isStream: request.isStream,
    get inputTokens() {
      return request.inputTokens;
    },
    outputTokensExpected: request.outputTokensExpected,
    get affinity() {
      return request.affinity();
    },
    cachedTokens: (place) => state.warm.tokensAt(request.affinity(), place, nowMs),
    memory: state.memoryOf(place),
  };
}
