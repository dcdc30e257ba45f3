// Where a name leads at one provider. For what has to stay at a provider, there is nothing to choose and nothing to fail over to: the
// first of its deployments that the name can lead to and that may answer, in the order of priority, is the one.
import type { Deployment, Snapshot } from '../snapshot/snapshot.ts';
import { resolve } from './resolve.ts';

export type AtProvider =
  | { readonly kind: 'found'; readonly deployment: Deployment }
  /** The name means something, but nothing at this provider. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'unknown' };

type MayAnswer = (deployment: Deployment) => boolean;

export function findAtProvider(snapshot: Snapshot, name: string, mayAnswer: MayAnswer): AtProvider {
  if (!resolve(snapshot, name)) return { kind: 'unknown' };
  const deployment = firstOf(snapshot, name, mayAnswer, new Set());
  return deployment ? { kind: 'found', deployment } : { kind: 'elsewhere' };
}

/** Each route is opened once, so a chain that leads back to itself ends. */
function firstOf(
  snapshot: Snapshot,
  name: string,
  mayAnswer: MayAnswer,
  opened: Set<string>,
): Deployment | undefined {
  const resolution = resolve(snapshot, name);
  if (!resolution) return undefined;
  if (resolution.kind === 'deployments') return preferred(resolution.deployments, mayAnswer);
  const { slug, members, fallbacks } = resolution.route;
  if (opened.has(slug)) return undefined;
  opened.add(slug);
  const ordered = members.toSorted((one, other) => one.priority - other.priority);
  for (const next of [...ordered.map(({ model }) => model), ...fallbacks]) {
    const found = firstOf(snapshot, next, mayAnswer, opened);
    if (found) return found;
  }
  return undefined;
}

function preferred(deployments: readonly Deployment[], mayAnswer: MayAnswer): Deployment | undefined {
  return deployments.filter(mayAnswer).toSorted((one, other) => one.priority - other.priority)[0];
}
