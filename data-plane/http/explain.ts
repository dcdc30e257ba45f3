// What would become of a request, asked by a person and not by its client. The request is read, admitted and placed by what serves real
// ones, and put into the words of every provider that might be asked, to see who could not be; then it is let go. What the gateway
// refuses a client for before it looks at a model is thrown here too.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AnswerErrorSchema,
  ExplainedCandidateSchema,
  ExplainedKeySchema,
  ExplainedRequest,
  ExplainedVitalsSchema,
  ExplanationSchema,
  SecondAttemptSchema,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Task } from '../passage/task.ts';
import { admitRequest } from '../policy/admission.ts';
import { refuseExpired } from '../policy/authenticate.ts';
import { type ExplainedCandidate, type ExplainedKey, type Explanation, explain } from '../routing/explain.ts';
import { mostInformative } from '../routing/failures.ts';
import type { Vitals } from '../routing/health/vitals.ts';
import type { HedgePlan } from '../routing/hedging/hedge-plan.ts';
import type { Candidate } from '../routing/plan.ts';
import type { Principal, Snapshot } from '../snapshot/snapshot.ts';
import { leadsNowhere, passedOver } from './asking/failover.ts';
import { failoverRules, shorterOf } from './asking/failover-rules.ts';
import type { GatewayContext } from './context.ts';
import { type DescribedRequest, readDescribed } from './explain-body.ts';
import { onlyAt, unknownModel } from './place-request.ts';
import { type RequestOptions, readRequestOptions } from './request-options.ts';
import { SourcedRequest } from './routed-request.ts';

type ExplanationContent = MessageInitShape<typeof ExplanationSchema>;

/** Someone who may use everything. */
const nobody: Principal = Object.freeze({
  keyId: '',
  name: '',
  mayUse: () => true,
  expiresAtMs: Number.POSITIVE_INFINITY,
  dropsUnsupported: false,
  metadata: Object.freeze({}),
  queuePriority: 0,
});

export function explainRequest(
  context: GatewayContext,
  snapshot: Snapshot,
  asked: ExplainedRequest,
): ExplanationContent {
  const { model } = asked;
  const { clock, routing, keyUsage } = context.attempts;
  const principal = principalOf(snapshot, asked.keyId);
  const described = readDescribed(asked);
  const options = readRequestOptions(described.gateway, {}, principal);
  const refused = admissionRefusal(principal, model, clock.wallMs());
  const task = described.task(
    { requestId: '', keyId: principal.keyId, requestedModel: model, route: '', metadata: {}, tags: [] },
    options.dropsUnsupported,
    clock,
  );
  const nowMs = clock.monotonicMs();
  const planOptions = {
    state: routing,
    random: context.random,
    nowMs,
    request: requestOf(context, asked, described, { principal, options }),
  };
  const mayAnswer = ({ deployment }: Pick<Candidate, 'deployment'>): boolean =>
    notThere(options.provider, deployment.provider.name) === undefined;
  const { timeoutMs } = options;
  const explanation = explain({
    ...planOptions,
    snapshot,
    name: model,
    keyUsage,
    instead: (code, plan) =>
      failoverRules(plan, { snapshot, timeoutMs, options: planOptions, mayAnswer }).insteadAfter(code),
    attemptsMax: context.limits.attemptsPerRequestMax,
    exclusion: ({ deployment }) => refused ?? notThere(options.provider, deployment.provider.name),
    objection: (candidate) => objectionTo(task, candidate),
    ...(described.hedgeFacts && { hedgeFacts: described.hedgeFacts }),
  });
  if (explanation === undefined) throw unknownModel(model);
  const refusal = refused ?? refusalOf(explanation, options.provider, model);
  return {
    revision: snapshot.revision,
    ...shownExplanation(explanation, nowMs),
    deadlineMs: shorterOf(options.timeoutMs, snapshot.routes.get(explanation.route)) ?? 0,
    ...(refusal && { refusal: shownError(refusal) }),
  };
}

function principalOf(snapshot: Snapshot, keyId: string): Principal {
  if (keyId === '') return nobody;
  const principal = snapshot.keys.findById(keyId);
  if (principal !== undefined) return principal;
  throw new SignalboxError(
    'not_found',
    `There is no API key with the id "${keyId}", or it was revoked. GET /api/v1/keys lists the ids of those there are.`,
    { param: 'key_id' },
  );
}

function admissionRefusal(principal: Principal, model: string, wallMs: number): SignalboxError | undefined {
  try {
    refuseExpired(principal, wallMs);
    admitRequest({ principal, model });
    return undefined;
  } catch (thrown) {
    return SignalboxError.from(thrown);
  }
}

function requestOf(
  { region, attempts }: GatewayContext,
  { model, inputTokens, stream, headers }: ExplainedRequest,
  { body, turn }: DescribedRequest,
  { principal, options }: { readonly principal: Principal; readonly options: RequestOptions },
): SourcedRequest {
  return new SourcedRequest({
    requestId: '',
    principal,
    model,
    options,
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    isStream: stream,
    body,
    turn,
    inputTokens: inputTokens === 0n ? undefined : Number(inputTokens),
    region,
    wallMs: attempts.clock.wallMs(),
  });
}

function notThere(wanted: string | undefined, provider: string): SignalboxError | undefined {
  if (wanted === undefined || wanted === provider) return undefined;
  return new SignalboxError(
    'invalid_request',
    `The request asks for the provider "${wanted}" and no other ("x-gateway.provider").`,
  );
}

function objectionTo(task: Task, candidate: Candidate): SignalboxError | undefined {
  try {
    task.passageTo(candidate.deployment);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof SignalboxError && passedOver.includes(thrown.code)) return thrown;
    throw thrown;
  }
}

/** What the client of a request would be told that nobody would be asked for. */
function refusalOf(
  { candidates, route, refusals }: Explanation,
  provider: string | undefined,
  model: string,
): SignalboxError | undefined {
  if (candidates.some(({ turn }) => turn > 0)) return undefined;
  // Whom nothing put in order was left out before.
  const planned = candidates.filter(({ strategy }) => strategy !== '');
  try {
    if (provider !== undefined) onlyAt(provider, { candidates: planned, excluded: [] }, model);
  } catch (thrown) {
    return SignalboxError.from(thrown);
  }
  const failures = [...refusals, ...planned.flatMap(({ passedOver }) => passedOver ?? [])];
  return mostInformative(failures) ?? leadsNowhere({ route });
}

function shownExplanation(explanation: Explanation, nowMs: number) {
  const { candidates, isByLot, steps, fallbacks, rules, left, mirrors } = explanation;
  return {
    steps: steps.slice(0, limits.explainCandidatesMax).map(({ kind, name }) => ({ kind, name: cut(name) })),
    route: explanation.route,
    fallbacks: fallbacks.slice(0, limits.explainCandidatesMax).map(cut),
    rules: rules.slice(0, limits.explainCandidatesMax).map(cut),
    leftOut: left.slice(0, limits.explainCandidatesMax).map(({ name, why }) => ({ name, why: cut(why) })),
    mirrors: [...mirrors],
    candidates: candidates
      .slice(0, limits.explainCandidatesMax)
      .map((candidate) => shownCandidate(candidate, nowMs)),
    moreCandidates: candidates.length > limits.explainCandidatesMax,
    byLot: isByLot,
    attemptsMax: explanation.attemptsMax,
    retriesLeft: explanation.retriesLeft,
    ...(explanation.secondAttempt && { secondAttempt: shownSecondAttempt(explanation.secondAttempt) }),
  };
}

function shownSecondAttempt(plan: HedgePlan<Candidate>): MessageInitShape<typeof SecondAttemptSchema> {
  if (plan.kind === 'none') return { whyNot: plan.why };
  return { deployment: cut(plan.target.deployment.id), afterMs: plan.delayMs };
}

function shownCandidate(
  candidate: ExplainedCandidate,
  nowMs: number,
): MessageInitShape<typeof ExplainedCandidateSchema> {
  const { deployment, passedOver: reason, keys } = candidate;
  return {
    deployment: cut(deployment.id),
    provider: deployment.provider.name,
    model: cut(deployment.upstreamModel),
    via: cut(candidate.via),
    strategy: candidate.strategy,
    score: candidate.score,
    why: cut(candidate.why),
    turn: candidate.turn,
    firstShare: candidate.firstShare,
    timeoutMs: deployment.timeoutMs,
    deploymentVitals: shownVitals(candidate.deploymentVitals, nowMs),
    providerVitals: shownVitals(candidate.providerVitals, nowMs),
    keys: keys.slice(0, limits.explainKeysMax).map(shownKey),
    moreKeys: keys.length > limits.explainKeysMax,
    ...(reason && { passedOver: shownError(reason) }),
  };
}

function shownKey({
  id,
  state,
  waitMs,
  isChosen,
  vitals,
}: ExplainedKey): MessageInitShape<typeof ExplainedKeySchema> {
  const { successShare, inFlight, headroom } = vitals;
  return {
    id,
    state,
    waitMs,
    chosen: isChosen,
    successShare,
    inFlight,
    ...(headroom !== undefined && { headroom }),
  };
}

function shownVitals(vitals: Vitals, nowMs: number): MessageInitShape<typeof ExplainedVitalsSchema> {
  const { latencyMs, firstByteMs, headroom } = vitals;
  return {
    seen: vitals.weight,
    successShare: vitals.successShare,
    inFlight: vitals.inFlight,
    breaker: vitals.breaker,
    restingMs: Math.max(0, vitals.coolingUntilMs - nowMs),
    ...(latencyMs !== undefined && { latencyMs }),
    ...(firstByteMs !== undefined && { firstByteMs }),
    ...(headroom !== undefined && { headroom }),
  };
}

function shownError({ code, message }: SignalboxError): MessageInitShape<typeof AnswerErrorSchema> {
  return { code, message: cut(message) };
}

/** Names come from configurations and, in messages, from requests. */
const TEXT_LENGTH_MAX = 600;

function cut(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : `${text.slice(0, TEXT_LENGTH_MAX - 1)}…`.toWellFormed();
}
