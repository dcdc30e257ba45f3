// From a request whose key is known to the deployments that may answer it: what the client said to the gateway is read, the key
// is checked against the model's name, and the name is resolved. The same for everything that can be asked of a model.
import { SignalboxError } from '#shared/errors.ts';
import type { TaskIdentity } from '../passage/turn-task.ts';
import { admitRequest } from '../policy/admission.ts';
import { planFor } from '../routing/candidates.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { type RequestOptions, readRequestOptions } from './request-options.ts';

export interface PlacedRequest {
  readonly identity: TaskIdentity;
  readonly options: RequestOptions;
  readonly candidates: readonly Deployment[];
}

export function placeRequest(
  context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
  { model, gateway }: { readonly model: string; readonly gateway: unknown },
): PlacedRequest {
  exchange.requestedModel = model;
  const options = readRequestOptions(gateway, exchange.request.headers, principal);
  if (options.timeoutMs !== undefined) exchange.limitTime(options.timeoutMs);
  admitRequest({ principal, model });
  const plan = planFor(snapshot, model, context);
  if (!plan) throw unknownModel(model);
  const { provider } = options;
  return {
    identity: {
      requestId: exchange.requestId,
      keyId: principal.keyId,
      requestedModel: model,
      route: plan.route,
      metadata: options.metadata,
      tags: options.tags,
    },
    options,
    candidates: provider === undefined ? plan.candidates : onlyAt(provider, plan.candidates, model),
  };
}

function onlyAt(name: string, candidates: readonly Deployment[], model: string): readonly Deployment[] {
  const there = candidates.filter(({ provider }) => provider.name === name);
  if (there.length > 0) return there;
  const others = [...new Set(candidates.map(({ provider }) => provider.name))].join(', ');
  throw new SignalboxError(
    'invalid_request',
    `The model "${model}" is not answered by a provider called "${name}"${others === '' ? '' : `, but by: ${others}`}. Ask for one of them, or leave the provider out.`,
    { param: 'x-gateway.provider' },
  );
}

export function unknownModel(model: string): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The model "${model}" does not exist here. GET /v1/models lists those that do.`,
    { param: 'model' },
  );
}
