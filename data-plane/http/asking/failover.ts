// Asking targets until one answers. Who is asked next, and when it is enough, routing says (routing/targets.ts); here is what becomes of
// each answer. Failures of the provider move on while the client has not seen a byte, and after that where another can go on with what it
// has seen; a prompt that was too long or that a filter refused moves on where the route says to whom. What else the caller has to mend
// ends the request at once, in the provider's own words.
import { backoffCeilingMs } from '#shared/backoff.ts';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { limits as sharedLimits } from '#shared/limits.ts';
import { type AttemptResult, servedBy, type Target } from '../../attempt/attempt-record.ts';
import type { Passage, Task } from '../../passage/task.ts';
import type { Lease } from '../../routing/admission/gate.ts';
import { mostInformative } from '../../routing/failures.ts';
import type { HedgeFacts } from '../../routing/hedging/hedge-plan.ts';
import type { Candidate } from '../../routing/plan.ts';
import { type ChosenTarget, Targets } from '../../routing/targets.ts';
import type { GatewayContext } from '../context.ts';
import { answerError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import type { PlacedRequest } from '../place-request.ts';
import { enter } from './enter.ts';
import type { FailoverRules } from './failover-rules.ts';
import { Hedging } from './hedging.ts';
import { type AskedTarget, type Asking, TargetAttempt } from './target-attempt.ts';

/** A failure, where it happened, and whether the client's answer had begun. */
interface Failed {
  readonly error: SignalboxError;
  readonly provider: string;
  readonly hasBegun: boolean;
}

type Answering = Pick<PlacedRequest, 'candidates' | 'refusals' | 'failover' | 'answeredBy' | 'routed'> & {
  /** Absent where requests of this kind are never sent twice. */
  readonly hedgeFacts?: (() => HedgeFacts | undefined) | undefined;
};

export async function answerTask(
  context: GatewayContext,
  exchange: Exchange,
  task: Task,
  answering: Answering,
): Promise<void> {
  const { candidates, refusals, failover, answeredBy } = answering;
  const failures: SignalboxError[] = [...refusals];
  const targets = targetsFor(context, task, candidates, { failures, exchange });
  // Who is known to be too small is not asked at all, so that those who are larger are asked at once.
  refusals.find(({ code }) => targets.insteadAsk(failover.insteadAfter(code)));
  const hedging = hedgingFor(context, answering);
  const asking: FailoverAsking = { context, exchange, task, failover, answeredBy, targets, hedging };
  let last: Failed | undefined;
  let broken: SignalboxError | undefined;
  for (let chosen = targets.next(); chosen !== undefined && !exchange.stopReason; chosen = targets.next()) {
    const passage = findPassage(task, chosen.candidate, failures);
    if (!passage) {
      passedOverIn(exchange, chosen.candidate, failures.at(-1)!);
      targets.impossible();
      continue;
    }
    await waitBefore(context, exchange, chosen, last, failures.length);
    if (exchange.stopReason) break;
    const failed = await tryTarget(asking, chosen, passage, last);
    if (failed === undefined) return;
    last = failed.at(-1);
    broken ??= failed.find(({ hasBegun }) => hasBegun)?.error;
    failures.push(...failed.map(({ error }) => error));
  }
  if (broken) endBroken(exchange, task, exchange.stopReason ?? broken);
  if (exchange.begun || exchange.gone) return;
  exchange.dropped = [];
  answerError(exchange, exchange.stopReason ?? mostInformative(failures) ?? leadsNowhere(task));
}

interface FailoverAsking extends Asking {
  readonly answeredBy: PlacedRequest['answeredBy'];
  /** Undefined where the route makes no second attempts. */
  readonly hedging: Hedging | undefined;
}

function hedgingFor(
  context: GatewayContext,
  { failover: { route }, routed, hedgeFacts = () => undefined }: Answering,
): Hedging | undefined {
  if (route?.hedge === undefined) return undefined;
  const budget = context.attempts.routing.hedgesOf(route.slug);
  return new Hedging({ context, settings: route.hedge, budget, routed, facts: hedgeFacts });
}

export function targetsFor(
  { attempts, limits, random }: GatewayContext,
  { route, requestedModel }: Pick<Task, 'route' | 'requestedModel'>,
  candidates: readonly Candidate[],
  { failures, exchange }: { readonly failures: SignalboxError[]; readonly exchange: Exchange },
): Targets {
  const nowMs = (): number => attempts.clock.monotonicMs();
  const budget = attempts.routing.budgetOf(route === '' ? requestedModel : route);
  budget.request(nowMs());
  return new Targets({
    candidates,
    state: attempts.routing,
    keyUsage: attempts.keyUsage,
    budget,
    nowMs,
    random,
    attemptsMax: limits.attemptsPerRequestMax,
    onPassedOver: (candidate, reason) => {
      failures.push(reason);
      passedOverIn(exchange, candidate, reason);
    },
    onShutOff: ({ deployment }) => exchange.trail.passedOver(deployment.id, 'shut off', exchange.elapsedMs()),
  });
}

/** The failures that another target may not share; undefined when the request is over, answered or refused for good. */
async function tryTarget(
  asking: FailoverAsking,
  chosen: ChosenTarget,
  passage: Passage,
  last: Failed | undefined,
): Promise<readonly Failed[] | undefined> {
  const { context, exchange, failover, targets } = asking;
  const { deployment, why } = chosen.candidate;
  const lease = await enterAt(context, exchange, failover, chosen);
  if (lease instanceof SignalboxError) {
    targets.failed(lease, { wasSent: false });
    return [{ error: lease, provider: deployment.provider.name, hasBegun: exchange.begun }];
  }
  using _inside = lease;
  exchange.dropped = passage.dropped;
  const reason = last === undefined ? why : `after ${last.error.code} at ${last.provider}`;
  const failed: Failed[] = [];
  for (const attempt of await attempts(asking, { chosen, passage, lease, why: reason })) {
    const failure = failureOf(asking, attempt);
    if (failure === undefined) return undefined;
    failed.push(failure);
  }
  return failed;
}

/** The attempt at a target, and another beside it where that takes long. Those from which it follows how the request goes on. */
async function attempts(asking: FailoverAsking, asked: AskedTarget): Promise<readonly TargetAttempt[]> {
  const { exchange, hedging, targets } = asking;
  const delayMs = exchange.begun ? undefined : hedging?.delayMs(asked.chosen.candidate, targets.others());
  const attempt = new TargetAttempt(asking, asked);
  if (hedging && delayMs !== undefined) return hedging.race(asking, attempt, delayMs);
  await attempt.run(exchange);
  hedging?.spent(attempt);
  return [attempt];
}

/** Undefined when another target could do no better, or need not: then the request is over. */
function failureOf(
  { exchange, task, failover, targets, answeredBy }: FailoverAsking,
  { chosen, target, passage, result, hasBegun }: TargetAttempt,
): Failed | undefined {
  const { candidate } = chosen;
  if (result?.kind === 'failed') {
    const { error } = result;
    const failed = { error, provider: candidate.deployment.provider.name, hasBegun };
    // An answer that has begun is no longer refused: whoever cannot go on with it leaves that to the next.
    if (error.kind.retryable || exchange.begun) {
      targets.failed(error, { target: chosen, wasSent: result.wasSent });
      return failed;
    }
    if (targets.insteadAsk(failover.insteadAfter(error.code))) return failed;
    exchange.dropped = passage.dropped;
  }
  if (result?.kind === 'answered' && !result.error) answeredBy(candidate);
  if (result) conclude(exchange, task, target, result);
  return undefined;
}

/** A place at the target, or why there is none: full, or waited for too long. */
async function enterAt(
  { attempts: { clock }, gate, limits }: GatewayContext,
  exchange: Exchange,
  { route }: FailoverRules,
  chosen: ChosenTarget,
): Promise<Lease | SignalboxError> {
  const deadlineMs = clock.monotonicMs() + limits.upstreamTimeoutMs;
  try {
    return await enter({ gate, exchange, route, chosen, deadlineMs });
  } catch (thrown) {
    const error = SignalboxError.from(thrown);
    exchange.trail.passedOver(chosen.candidate.deployment.id, error.code, exchange.elapsedMs());
    return error;
  }
}

const busy: readonly ErrorCode[] = ['upstream_overloaded', 'upstream_rate_limited'];

/** A provider that has just said it is busy is given a moment; any other is asked at once. */
async function waitBefore(
  { random }: GatewayContext,
  exchange: Exchange,
  { candidate }: ChosenTarget,
  last: Failed | undefined,
  failures: number,
): Promise<void> {
  if (last === undefined || last.provider !== candidate.deployment.provider.name) return;
  const { code, retryAfterMs } = last.error;
  if (!busy.includes(code) || retryAfterMs !== undefined) return;
  const bounds = { msMin: sharedLimits.failoverBackoffMsMin, msMax: sharedLimits.failoverBackoffMsMax };
  await pause(exchange, random() * backoffCeilingMs(failures, bounds));
}

/** Ends early when the client leaves or the time is up. */
function pause(exchange: Exchange, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      exchange.listener = undefined;
      resolve();
    };
    const timer = setTimeout(over, ms);
    exchange.listener = { onStop: over };
  });
}

/** A deployment that cannot be asked for what the client wants is passed over; another of the chain may know the field. */
export const passedOver: readonly ErrorCode[] = ['unsupported_field', 'unsupported_by_provider'];

export function findPassage(
  task: Task,
  { deployment }: Candidate,
  failures: SignalboxError[],
): Passage | undefined {
  try {
    return task.passageTo(deployment);
  } catch (thrown) {
    if (!(thrown instanceof SignalboxError) || !passedOver.includes(thrown.code)) throw thrown;
    failures.push(thrown);
    return undefined;
  }
}

function passedOverIn(exchange: Exchange, { deployment }: Candidate, { code }: SignalboxError): void {
  exchange.trail.passedOver(deployment.id, code, exchange.elapsedMs());
}

function conclude(exchange: Exchange, task: Task, target: Target, result: AttemptResult): void {
  if (result.kind === 'answered') exchange.error = result.error;
  if (result.kind !== 'failed') return;
  exchange.served = servedBy(task, target);
  if (!result.refusal) {
    answerError(exchange, result.error);
    return;
  }
  exchange.error = result.error;
  const { status, contentType, body } = result.refusal;
  exchange.answer(status, contentType, body);
}

/** A stream that nobody went on with ends with the reason why it broke off. */
function endBroken(exchange: Exchange, task: Task, error: SignalboxError): void {
  if (exchange.gone) return;
  exchange.error = error;
  const frame = task.streamError(error);
  if (frame === undefined) exchange.breakOff();
  else exchange.end(frame);
}

export function leadsNowhere({ route }: Pick<Task, 'route'>): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The route "${route}" leads to no model that exists. The operator has to give it a member or a fallback.`,
    { param: 'model' },
  );
}
