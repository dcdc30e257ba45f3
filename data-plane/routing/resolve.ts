// What a public name means, asked in this order: an alias, a route, a model, `provider/model`, and last a bare name that
// a provider claims by pattern. Pure look-ups over one snapshot; nothing here chooses.
import type { Deployment, ProviderEntry, Route, Snapshot } from '../snapshot/snapshot.ts';
import { usualDeployment } from '../snapshot/usual-deployment.ts';

export type Resolution =
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'deployments'; readonly deployments: readonly Deployment[] };

/** A segment of dots alone: where a provider has the model in its path, it would be a step to somewhere else. */
const step = /(^|\/)\.{1,2}(\/|$)/;

export function resolve(snapshot: Snapshot, name: string): Resolution | undefined {
  if (step.test(name)) return undefined;
  const target = followAliases(snapshot.aliases, name);
  if (target === undefined) return undefined;
  const route = snapshot.routes.get(target);
  if (route) return { kind: 'route', route };
  const deployments =
    snapshot.models.get(target) ?? addressed(snapshot, target) ?? claimed(snapshot.providers, target);
  return deployments && { kind: 'deployments', deployments };
}

/** Undefined for aliases that lead back to themselves. */
function followAliases(aliases: ReadonlyMap<string, string>, name: string): string | undefined {
  let current = name;
  for (let hops = 0; hops <= aliases.size; hops++) {
    const next = aliases.get(current);
    if (next === undefined) return current;
    current = next;
  }
  return undefined;
}

/**
 * `provider/model`: that provider's deployments of the public model where there are any, so that their time-outs and
 * pinned versions hold; else the provider's own name for a model, as it is written.
 */
function addressed(snapshot: Snapshot, name: string): readonly Deployment[] | undefined {
  const slash = name.indexOf('/');
  if (slash <= 0 || slash === name.length - 1) return undefined;
  const provider = snapshot.providers.get(name.slice(0, slash));
  if (!provider) return undefined;
  const model = name.slice(slash + 1);
  const configured = snapshot.models
    .get(model)
    ?.filter((deployment) => deployment.provider.name === provider.name);
  return configured?.length ? configured : [undeclared(provider, model, 0)];
}

/** Every provider that claims the name, in the snapshot's order: the first is preferred, the others are failover. */
function claimed(
  providers: ReadonlyMap<string, ProviderEntry>,
  model: string,
): readonly Deployment[] | undefined {
  let found: Deployment[] | undefined;
  for (const provider of providers.values()) {
    if (!provider.matchesModel(model)) continue;
    found ??= [];
    found.push(undeclared(provider, model, found.length));
  }
  return found;
}

/** A deployment that nobody configured: the provider is known, the model is taken at its word. */
function undeclared(provider: ProviderEntry, model: string, priority: number): Deployment {
  const id = `${provider.name}/${model}`;
  return { ...usualDeployment, id, model, provider, upstreamModel: model, priority };
}
