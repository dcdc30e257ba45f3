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
  const options = readRequestOptions(gateway, exchange.request.headers);
  admitRequest({ principal, model });
  const plan = planFor(snapshot, model, context);
  if (!plan) throw unknownModel(model);
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
    candidates: plan.candidates,
  };
}

export function unknownModel(model: string): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The model "${model}" does not exist here. GET /v1/models lists those that do.`,
    { param: 'model' },
  );
}
