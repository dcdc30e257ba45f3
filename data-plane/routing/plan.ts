// Which deployments may answer a request, best first. A route's members in the order of its strategy, each member's deployments in the
// order of the model's, then its fallbacks, which may be routes themselves. Each deployment appears once and each route is opened once,
// so a chain that leads back to itself ends. Every place carries its reason, so that the answer to "why there?" is never a guess.
import type { Deployment, Route, Snapshot } from '../snapshot/snapshot.ts';
import { type DeploymentMember, deploymentMember, namedMember } from './members.ts';
import { resolve } from './resolve.ts';
import type { Routing } from './routing-state.ts';
import { strategyNamed } from './strategies/registry.ts';
import type { StrategyInput } from './strategies/strategy.ts';

/** What is known of a request when its targets are chosen. */
export interface RoutedRequest {
  readonly isStream: boolean;
  readonly inputTokens: number;
  readonly outputTokensExpected: number;
  /** What all requests of one conversation have in common; asked for only where a strategy wants to know. */
  readonly affinity: () => string;
}

export interface PlanOptions {
  readonly state: Routing;
  /** Where this node is; deployments of the same region go first among equals. Empty for nowhere in particular. */
  readonly region: string;
  readonly random: () => number;
  readonly nowMs: number;
  readonly request: RoutedRequest;
}

export interface Candidate {
  readonly deployment: Deployment;
  /** The member or fallback of the route that led here; the model itself where no route was asked for. */
  readonly via: string;
  readonly strategy: string;
  readonly score: number;
  readonly why: string;
}

export interface Plan {
  /** The route that the name led to; empty when it named a model. */
  readonly route: string;
  readonly candidates: readonly Candidate[];
}

/** Undefined when the name means nothing here. */
export function planFor(snapshot: Snapshot, name: string, options: PlanOptions): Plan | undefined {
  const resolution = resolve(snapshot, name);
  if (!resolution) return undefined;
  const walk: Walk = { snapshot, options, routes: new Set(), found: new Map() };
  if (resolution.kind === 'route') openRoute(walk, resolution.route);
  else openDeployments(walk, name, resolution.deployments);
  const route = resolution.kind === 'route' ? resolution.route.slug : '';
  return { route, candidates: [...walk.found.values()] };
}

interface Walk {
  readonly snapshot: Snapshot;
  readonly options: PlanOptions;
  readonly routes: Set<string>;
  /** In order of discovery, by deployment id. */
  readonly found: Map<string, Candidate>;
}

function openRoute(walk: Walk, route: Route): void {
  if (walk.routes.has(route.slug)) return;
  walk.routes.add(route.slug);
  for (const name of orderMembers(walk, route)) openName(walk, name);
  for (const fallback of route.fallbacks) openName(walk, fallback);
}

function orderMembers(walk: Walk, route: Route): readonly string[] {
  const { members } = route;
  if (members.length < 2) return members.map(({ model }) => model);
  const strategy = strategyNamed(route.strategy);
  const named = members.map((member) =>
    namedMember(member, deploymentsBehind(walk, member.model), walk.options.request),
  );
  return strategy.order(named, inputFor(walk, `route:${route.slug}`)).map(({ member }) => member.name);
}

/** Not through further routes: what those would choose is their own affair. */
function deploymentsBehind({ snapshot, options }: Walk, name: string): readonly DeploymentMember[] {
  const resolution = resolve(snapshot, name);
  if (resolution?.kind !== 'deployments') return [];
  return resolution.deployments.map((deployment) => memberOf(deployment, options));
}

function openName(walk: Walk, name: string): void {
  const resolution = resolve(walk.snapshot, name);
  if (!resolution) return;
  if (resolution.kind === 'route') openRoute(walk, resolution.route);
  else openDeployments(walk, name, resolution.deployments);
}

function openDeployments(walk: Walk, via: string, deployments: readonly Deployment[]): void {
  const [only] = deployments;
  if (deployments.length === 1 && only !== undefined) {
    note(walk, { deployment: only, via, strategy: 'only one', score: 0, why: 'the only deployment' });
    return;
  }
  const strategy = strategyNamed(walk.snapshot.modelStrategies.get(via) ?? 'priority');
  const members = deployments.map((deployment) => memberOf(deployment, walk.options));
  for (const { member, score, why } of strategy.order(members, inputFor(walk, `model:${via}`))) {
    note(walk, { deployment: member.deployment, via, strategy: strategy.name, score, why });
  }
}

function note({ found }: Walk, candidate: Candidate): void {
  if (!found.has(candidate.deployment.id)) found.set(candidate.deployment.id, candidate);
}

function memberOf(deployment: Deployment, { state, nowMs, region }: PlanOptions): DeploymentMember {
  return deploymentMember(deployment, { health: state.health, nowMs, region });
}

function inputFor({ options }: Walk, place: string): StrategyInput {
  const { state, random, nowMs, request } = options;
  return {
    nowMs,
    random,
    isStream: request.isStream,
    inputTokens: request.inputTokens,
    outputTokensExpected: request.outputTokensExpected,
    get affinity() {
      return request.affinity();
    },
    cachedTokens: (place) => state.warm.tokensAt(request.affinity(), place, nowMs),
    memory: state.memoryOf(place),
  };
}
