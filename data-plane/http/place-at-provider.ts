// A model's name where the provider is settled already: inside a session, inside a batch. Admitted and resolved as in every request, and
// under the same rules, but it can only lead to what is there.
import { SignalboxError } from '#shared/errors.ts';
import { admitRequest } from '../policy/admission.ts';
import { findAtProvider } from '../routing/at-provider.ts';
import { planFor } from '../routing/plan.ts';
import type { Deployment, ProviderEntry } from '../snapshot/snapshot.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { headerOf } from './headers.ts';
import { unknownModel } from './place-request.ts';
import type { RequestOptions } from './request-options.ts';
import { SourcedRequest } from './routed-request.ts';

/** Throws `model_not_allowed` or `model_not_found`. */
export function deploymentAt(
  { snapshot, principal }: Admitted,
  provider: ProviderEntry,
  model: string,
  mayAnswer: (deployment: Deployment) => boolean = () => true,
): Deployment {
  admitRequest({ principal, model });
  const found = findAtProvider(
    snapshot,
    model,
    (deployment) => deployment.provider.name === provider.name && mayAnswer(deployment),
  );
  if (found.kind === 'found') return found.deployment;
  if (found.kind === 'unknown') throw unknownModel(model);
  throw new SignalboxError(
    'model_not_found',
    `The model "${model}" is not at the provider "${provider.name}", which this is for. Name one that is, or "${provider.name}/<its own name>".`,
    { param: 'model' },
  );
}

const noBody = Buffer.alloc(0);

/** For what is asked now, and not only looked up: throws `excluded_by_rules`, too. What is asked is not known, only by whom. */
export function deploymentAskedAt(
  { attempts: { clock, routing }, random, region }: GatewayContext,
  { requestId, request: { headers } }: Exchange,
  {
    admitted,
    options,
  }: { readonly admitted: Admitted; readonly options: Pick<RequestOptions, 'metadata' | 'tags'> },
  provider: ProviderEntry,
  model: string,
): Deployment {
  const { snapshot, principal } = admitted;
  const request = new SourcedRequest({
    requestId,
    principal,
    model,
    options,
    header: (name) => headerOf(headers, name),
    isStream: false,
    body: noBody,
    turn: undefined,
    region,
    wallMs: clock.wallMs(),
  });
  const plan = planFor(snapshot, model, {
    state: routing.rehearsal(),
    random,
    nowMs: clock.monotonicMs(),
    request,
  });
  const allowed = new Set(plan?.candidates.map(({ deployment }) => deployment.id));
  const leftOut = plan?.excluded.find(({ deployment }) => deployment.provider.name === provider.name);
  const isLeft = plan?.candidates.some(({ deployment }) => deployment.provider.name === provider.name);
  if (leftOut !== undefined && isLeft !== true) throw leftOut.reason;
  return deploymentAt(admitted, provider, model, ({ id }) => allowed.has(id));
}
