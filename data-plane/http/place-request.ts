// From a request whose key is known to the deployments that may answer it: what the client said to the gateway is read, the key
// is checked against the model's name, and the name is resolved. The same for everything that can be asked of a model.
import { SignalboxError } from '#shared/errors.ts';
import type { TaskIdentity } from '../passage/turn-task.ts';
import { admitRequest } from '../policy/admission.ts';
import {
  type Candidate,
  type Plan,
  type PlanOptions,
  planFor,
  type RoutedRequest,
  refusalsOf,
} from '../routing/plan.ts';
import type { TurnRequest } from '../turn/request.ts';
import { type FailoverRules, failoverRules, shorterOf } from './asking/failover-rules.ts';
import type { CopyPlan } from './asking/mirrors.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { headerOf } from './headers.ts';
import { type RequestOptions, readRequestOptions } from './request-options.ts';
import { SourcedRequest } from './routed-request.ts';

export interface PlacedRequest {
  readonly identity: TaskIdentity;
  readonly options: RequestOptions;
  readonly candidates: readonly Candidate[];
  /** Why nobody is among the candidates, where that is because of what was left out. */
  readonly refusals: readonly SignalboxError[];
  /** As it was when they were chosen. */
  readonly routed: RoutedRequest;
  readonly failover: FailoverRules;
  /** Where copies of it go. */
  readonly copies: readonly CopyPlan[];
  /** Who answered will have the conversation's prompt in its cache for a while. */
  readonly answeredBy: (candidate: Candidate) => void;
}

/** What is known of a request before it is read as a whole. */
export interface AskedRequest {
  readonly model: string;
  readonly gateway: unknown;
  readonly stream: boolean;
  readonly body: Buffer;
  /** The conversation, as far as it is understood here; undefined where there is none. */
  readonly turn?: () => TurnRequest | undefined;
}

export function placeRequest(
  context: GatewayContext,
  exchange: Exchange,
  { snapshot, principal }: Admitted,
  { model, gateway, stream, body, turn }: AskedRequest,
): PlacedRequest {
  exchange.requestedModel = model;
  const options = readRequestOptions(gateway, exchange.request.headers, principal);
  exchange.wantsTrail = options.wantsTrail;
  exchange.queuePriority = options.queuePriority;
  admitRequest({ principal, model });
  const { clock } = context.attempts;
  const request = new SourcedRequest({
    requestId: exchange.requestId,
    principal,
    model,
    options,
    header: (name) => headerOf(exchange.request.headers, name),
    isStream: stream,
    body,
    turn,
    region: context.region,
    wallMs: clock.wallMs(),
  });
  const { routing: state } = context.attempts;
  const planOptions: PlanOptions = { state, random: context.random, nowMs: clock.monotonicMs(), request };
  const plan = planFor(snapshot, model, planOptions);
  if (!plan) throw unknownModel(model);
  for (const { deployment, reason } of plan.excluded) {
    exchange.trail.passedOver(deployment.id, reason.code, exchange.elapsedMs());
  }
  const { provider, timeoutMs } = options;
  // What the rules of the route forbid holds for copies, too.
  const { restrictions } = plan;
  const deadlineMs = shorterOf(timeoutMs, snapshot.routes.get(plan.route));
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
    candidates: provider === undefined ? plan.candidates : onlyAt(provider, plan, model),
    refusals: refusalsOf(plan),
    failover: failoverRules(plan, {
      snapshot,
      timeoutMs,
      options: planOptions,
      mayAnswer: ({ deployment }) => provider === undefined || deployment.provider.name === provider,
    }),
    copies: plan.mirrors.map((to) => ({
      to,
      candidates: () => planFor(snapshot, to, { ...planOptions, restrictions })?.candidates ?? [],
    })),
    answeredBy: ({ deployment, via }) => {
      if (!request.isAffinityKnown) return;
      state.warm.answered({
        affinity: request.affinity(),
        places: [deployment.id, via],
        inputTokens: request.inputTokens,
        nowMs: clock.monotonicMs(),
      });
    },
  };
}

/** What the client wants of the provider counts among those that may answer it; what is left out there says why. */
export function onlyAt(
  name: string,
  { candidates, excluded }: Pick<Plan, 'candidates' | 'excluded'>,
  model: string,
): readonly Candidate[] {
  const isThere = ({ deployment }: Pick<Candidate, 'deployment'>): boolean =>
    deployment.provider.name === name;
  const there = candidates.filter(isThere);
  if (there.length > 0 || candidates.length === 0) return there;
  const leftOut = excluded.find(isThere);
  if (leftOut !== undefined) throw leftOut.reason;
  const others = [...new Set(candidates.map(({ deployment }) => deployment.provider.name))].join(', ');
  throw new SignalboxError(
    'invalid_request',
    `The model "${model}" is not answered by a provider called "${name}", but by: ${others}. Ask for one of them, or leave the provider out.`,
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
