// From a request whose key is known to the deployments that may answer it: what the client said to the gateway is read, the key
// is checked against the model's name, and the name is resolved. The same for everything that can be asked of a model.
import { SignalboxError } from '#shared/errors.ts';
import type { TaskIdentity } from '../passage/turn-task.ts';
import { admitRequest } from '../policy/admission.ts';
import { type Candidate, type PlanOptions, planFor, type RoutedRequest } from '../routing/plan.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { type FailoverRules, failoverRules, shorterOf } from './failover-rules.ts';
import { type RequestOptions, readRequestOptions } from './request-options.ts';

export interface PlacedRequest {
  readonly identity: TaskIdentity;
  readonly options: RequestOptions;
  readonly candidates: readonly Candidate[];
  /** As it was when they were chosen. */
  readonly routed: RoutedRequest;
  readonly failover: FailoverRules;
  /** Who answered will have the conversation's prompt in its cache for a while. */
  readonly answeredBy: (candidate: Candidate) => void;
}

/** What is known of a request before it is read as a whole. */
export interface AskedRequest {
  readonly model: string;
  readonly gateway: unknown;
  readonly stream: boolean;
  readonly body: Buffer;
  /** What all requests of this conversation begin with; undefined where there is no conversation. */
  readonly opening?: () => string;
}

/** A token is about so many bytes of text; good enough to compare prices by. */
const BYTES_PER_TOKEN = 3.5;
/** What an answer comes to where nothing is known of others. */
const OUTPUT_TOKENS_EXPECTED = 500;

export function placeRequest(
  context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
  { model, gateway, ...asked }: AskedRequest,
): PlacedRequest {
  exchange.requestedModel = model;
  const options = readRequestOptions(gateway, exchange.request.headers, principal);
  exchange.wantsTrail = options.wantsTrail;
  admitRequest({ principal, model });
  const { routing, clock } = context.attempts;
  const request = routedRequest(asked, principal.keyId);
  const planOptions: PlanOptions = {
    state: routing,
    region: context.region,
    random: context.random,
    nowMs: clock.monotonicMs(),
    request,
  };
  const plan = planFor(snapshot, model, planOptions);
  if (!plan) throw unknownModel(model);
  const { provider, timeoutMs } = options;
  const route = snapshot.routes.get(plan.route);
  const deadlineMs = shorterOf(timeoutMs, route);
  if (deadlineMs !== undefined) exchange.limitTime(deadlineMs);
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
    routed: request,
    candidates: provider === undefined ? plan.candidates : onlyAt(provider, plan.candidates, model),
    failover: failoverRules({
      snapshot,
      route,
      timeoutMs,
      plan: planOptions,
      mayAnswer: ({ deployment }) => provider === undefined || deployment.provider.name === provider,
    }),
    answeredBy: ({ deployment, via }) => {
      // To know a conversation its request has to be understood: not for nothing, where no strategy asks for it.
      if (!request.isAffinityKnown()) return;
      const { inputTokens } = request;
      const nowMs = clock.monotonicMs();
      routing.warm.answered({
        affinity: request.affinity(),
        places: [deployment.id, via],
        inputTokens,
        nowMs,
      });
    },
  };
}

export function routedRequest(
  { stream, body, opening }: Omit<AskedRequest, 'model' | 'gateway'>,
  keyId: string,
): RoutedRequest & { readonly isAffinityKnown: () => boolean } {
  let affinity: string | undefined;
  return {
    isStream: stream,
    inputTokens: Math.ceil(body.length / BYTES_PER_TOKEN),
    outputTokensExpected: OUTPUT_TOKENS_EXPECTED,
    // Two keys never share a prompt cache at a provider that keeps accounts apart, and never learn of each other here.
    affinity: () => {
      affinity ??= opening === undefined ? '' : `${keyId} ${opening()}`;
      return affinity;
    },
    isAffinityKnown: () => affinity !== undefined,
  };
}

export function onlyAt(name: string, candidates: readonly Candidate[], model: string): readonly Candidate[] {
  const there = candidates.filter(({ deployment }) => deployment.provider.name === name);
  if (there.length > 0) return there;
  const others = [...new Set(candidates.map(({ deployment }) => deployment.provider.name))].join(', ');
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
