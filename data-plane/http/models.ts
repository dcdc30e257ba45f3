// GET /v1/models and /v1/models/{id}: what this key may ask for by name, routes and aliases included. Names that are
// only addressed (`provider/model`) or claimed by a pattern are not listed: there is no list of them.
import { SignalboxError } from '#shared/errors.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import type { PathParameters } from './router.ts';

interface ModelObject {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

/** Clients want a number here; when a vendor made a model is not known, and a changing one would defeat caches. */
const CREATED = Date.UTC(2025, 0, 1) / 1000;
const OURS = 'signalbox';

const lists = new WeakMap<Snapshot, readonly ModelObject[]>();

export function listModels(
  _context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
): void {
  const data = allModels(snapshot).filter(({ id }) => principal.mayUse(id));
  exchange.answerJson(200, { object: 'list', data });
}

export function showModel(
  _context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
  parameters: PathParameters,
): void {
  const id = decode(parameters.id!);
  const found = allModels(snapshot).find((model) => model.id === id);
  if (!found || !principal.mayUse(found.id)) {
    throw new SignalboxError(
      'model_not_found',
      `The model "${id}" does not exist here, or this key may not use it. GET /v1/models lists those it may use.`,
      { param: 'model' },
    );
  }
  exchange.answerJson(200, found);
}

/** Sorted by name, so that the order never depends on how the configuration arrived. */
function allModels(snapshot: Snapshot): readonly ModelObject[] {
  const known = lists.get(snapshot);
  if (known) return known;
  const owners = new Map<string, string>();
  for (const [name, deployments] of snapshot.models) owners.set(name, deployments[0]?.provider.name ?? OURS);
  for (const name of snapshot.routes.keys()) owners.set(name, OURS);
  for (const name of snapshot.aliases.keys()) owners.set(name, OURS);
  const list = [...owners]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([id, owner]): ModelObject => ({ id, object: 'model', created: CREATED, owned_by: owner }));
  lists.set(snapshot, list);
  return list;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new SignalboxError(
      'invalid_request',
      `The model in the path is not valid percent-encoding: "${segment}".`,
    );
  }
}
