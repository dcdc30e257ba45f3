// Trying targets until one answers. Only failures of the provider move on, and only while the client has not seen a
// byte: first to another key of the same deployment where the key was at fault, then to the next deployment. What the
// caller has to mend ends the request at once, in the provider's own words. Each target is tried at most once.
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { runAttempt } from '../attempt/attempt.ts';
import { type AttemptResult, servedBy, type Target } from '../attempt/attempt-record.ts';
import type { Passage, Task } from '../passage/task.ts';
import { type ChooseKeyOptions, chooseKey } from '../routing/choose-key.ts';
import { isAboutKey, mostInformative } from '../routing/failures.ts';
import type { Deployment, ProviderKey } from '../snapshot/snapshot.ts';
import type { GatewayContext } from './context.ts';
import { answerError } from './errors.ts';
import type { Exchange } from './exchange.ts';

export async function answerTask(
  context: GatewayContext,
  exchange: Exchange,
  task: Task,
  candidates: readonly Deployment[],
): Promise<void> {
  const failures: SignalboxError[] = [];
  for (const deployment of candidates) {
    const settled = await tryDeployment(context, exchange, task, deployment, failures);
    if (settled || exchange.stopReason || exchange.attempts >= context.limits.attemptsPerRequestMax) break;
  }
  if (exchange.begun || exchange.gone) return;
  exchange.dropped = [];
  answerError(exchange, exchange.stopReason ?? mostInformative(failures) ?? leadsNowhere(task));
}

/** Whether the request is over: answered, refused for good, or without anyone to answer. */
async function tryDeployment(
  context: GatewayContext,
  exchange: Exchange,
  task: Task,
  deployment: Deployment,
  failures: SignalboxError[],
): Promise<boolean> {
  const { keyUsage, clock } = context.attempts;
  const tried = new Set<ProviderKey>();
  const passage = findPassage(task, deployment, failures);
  if (!passage) return false;
  exchange.dropped = passage.dropped;
  while (exchange.attempts < context.limits.attemptsPerRequestMax && !exchange.stopReason) {
    const options: ChooseKeyOptions = {
      usage: keyUsage,
      nowMs: clock.monotonicMs(),
      random: context.random,
      exclude: tried,
    };
    const choice = chooseKey(deployment.provider, options);
    if (choice.kind === 'exhausted') {
      if (tried.size === 0) failures.push(keysExhausted(deployment, choice.retryAfterMs));
      return false;
    }
    const key = choice.kind === 'key' ? choice.key : undefined;
    exchange.attempts += 1;
    const target: Target = { deployment, key, attemptNumber: exchange.attempts };
    const result = await runAttempt(context.attempts, task, target, passage, exchange);
    if (result.kind !== 'failed' || !result.error.kind.retryable) {
      conclude(exchange, task, target, result);
      return true;
    }
    failures.push(result.error);
    if (!key || !isAboutKey(result.error)) return false;
    tried.add(key);
  }
  return false;
}

/** A deployment that cannot be asked for what the client wants is passed over; another of the chain may know the field. */
const passedOver: readonly ErrorCode[] = ['unsupported_field', 'unsupported_by_provider'];

function findPassage(task: Task, deployment: Deployment, failures: SignalboxError[]): Passage | undefined {
  try {
    return task.passageTo(deployment);
  } catch (thrown) {
    if (!(thrown instanceof SignalboxError) || !passedOver.includes(thrown.code)) throw thrown;
    failures.push(thrown);
    return undefined;
  }
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

function keysExhausted({ provider }: Deployment, retryAfterMs: number): SignalboxError {
  return new SignalboxError(
    'upstream_rate_limited',
    `Every key of the provider "${provider.name}" has reached its requests or tokens per minute. Try again later.`,
    { retryAfterMs },
  );
}

function leadsNowhere({ route }: Task): SignalboxError {
  return new SignalboxError(
    'model_not_found',
    `The route "${route}" leads to no model that exists. The operator has to give it a member or a fallback.`,
    { param: 'model' },
  );
}
