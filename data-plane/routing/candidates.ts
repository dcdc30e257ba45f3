// Which deployments may answer a request, best first: the strategy `priority`. A route's members in order, each member's
// deployments in order, then its fallbacks, which may be routes themselves. Each deployment appears once and each route
// is opened once, so a chain that leads back to itself ends.
import type { Deployment, Route, Snapshot } from '../snapshot/snapshot.ts';
import { inOrder } from './order.ts';
import { resolve } from './resolve.ts';

export interface CandidateOptions {
  /** Where this node is; deployments of the same region go first among equals. Empty for nowhere in particular. */
  readonly region: string;
  readonly random: () => number;
}

export interface Plan {
  /** The route that the name led to; empty when it named a model. */
  readonly route: string;
  readonly candidates: readonly Deployment[];
}

/** Undefined when the name means nothing here. */
export function planFor(snapshot: Snapshot, name: string, options: CandidateOptions): Plan | undefined {
  const resolution = resolve(snapshot, name);
  if (!resolution) return undefined;
  if (resolution.kind === 'deployments') {
    return { route: '', candidates: orderDeployments(resolution.deployments, options) };
  }
  const walk: Walk = { snapshot, options, routes: new Set(), found: new Map() };
  openRoute(walk, resolution.route);
  return { route: resolution.route.slug, candidates: [...walk.found.values()] };
}

interface Walk {
  readonly snapshot: Snapshot;
  readonly options: CandidateOptions;
  readonly routes: Set<string>;
  /** In order of discovery, by deployment id. */
  readonly found: Map<string, Deployment>;
}

function openRoute(walk: Walk, route: Route): void {
  if (walk.routes.has(route.slug)) return;
  walk.routes.add(route.slug);
  for (const member of inOrder(route.members, { random: walk.options.random })) openName(walk, member.model);
  for (const fallback of route.fallbacks) openName(walk, fallback);
}

function openName(walk: Walk, name: string): void {
  const resolution = resolve(walk.snapshot, name);
  if (!resolution) return;
  if (resolution.kind === 'route') {
    openRoute(walk, resolution.route);
    return;
  }
  for (const deployment of orderDeployments(resolution.deployments, walk.options)) {
    if (!walk.found.has(deployment.id)) walk.found.set(deployment.id, deployment);
  }
}

function orderDeployments(
  deployments: readonly Deployment[],
  { region, random }: CandidateOptions,
): readonly Deployment[] {
  if (region === '') return inOrder(deployments, { random });
  return inOrder(deployments, { random, isNear: (deployment) => deployment.region === region });
}
