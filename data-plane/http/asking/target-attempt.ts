// One target that is asked for one request: its place at the gates, its line in the trail, and how it ended. Whoever fails over has one
// at a time; whoever hedges may have two.
import { limits as sharedLimits } from '#shared/limits.ts';
import { runAttempt } from '../../attempt/attempt.ts';
import type { AttemptResult, Target } from '../../attempt/attempt-record.ts';
import type { ClientAnswer } from '../../attempt/relay.ts';
import type { Passage, Task } from '../../passage/task.ts';
import type { Lease } from '../../routing/admission/gate.ts';
import type { ChosenTarget, Targets } from '../../routing/targets.ts';
import type { Usage } from '../../turn/usage.ts';
import type { GatewayContext } from '../context.ts';
import type { Exchange } from '../exchange.ts';
import type { FailoverRules } from './failover-rules.ts';

/** What all attempts at a request have in common. */
export interface Asking {
  readonly context: GatewayContext;
  readonly exchange: Exchange;
  readonly task: Task;
  readonly failover: FailoverRules;
  readonly targets: Targets;
}

export interface AskedTarget {
  readonly chosen: ChosenTarget;
  readonly passage: Passage;
  /** Given back when the attempt is over. */
  readonly lease: Lease;
  readonly why: string;
}

export class TargetAttempt {
  readonly chosen: ChosenTarget;
  readonly passage: Passage;
  readonly target: Target;
  /** Undefined until it has ended. */
  result: AttemptResult | undefined;
  /** Whether the client has seen any of an answer by then; of another attempt's, where this one goes on with it. */
  hasBegun = false;
  /** Undefined where the provider did not say. */
  usage: Usage | undefined;
  readonly #asking: Asking;
  readonly #lease: Lease;
  readonly #writeEnd: (end: string, atMs: number) => void;
  #isEndWritten = false;

  constructor(asking: Asking, { chosen, passage, lease, why }: AskedTarget) {
    const { exchange, failover } = asking;
    exchange.attempts += 1;
    const reason = chosen.isLastResort ? `${why}, last resort` : why;
    this.chosen = chosen;
    this.passage = passage;
    this.target = {
      ...timesOf(chosen, failover),
      deployment: chosen.candidate.deployment,
      key: chosen.key,
      attemptNumber: exchange.attempts,
      why: reason,
      onSettled: (usage) => {
        this.usage = usage;
      },
    };
    this.#asking = asking;
    this.#lease = lease;
    this.#writeEnd = exchange.trail.asked(this.target.deployment.id, reason, exchange.elapsedMs());
  }

  async run(client: ClientAnswer): Promise<AttemptResult> {
    const { context, task } = this.#asking;
    try {
      const result = await runAttempt(context.attempts, task, this.target, this.passage, client);
      this.result = result;
      this.hasBegun = client.begun;
      this.writeEnd(endOf(result));
      return result;
    } finally {
      this.#lease.release();
    }
  }

  /** Into the trail; what is said first counts. */
  writeEnd(end: string): void {
    if (this.#isEndWritten) return;
    this.#isEndWritten = true;
    this.#writeEnd(end, this.#asking.exchange.elapsedMs());
  }
}

function timesOf(
  { candidate: { deployment }, isLastResort }: ChosenTarget,
  { attemptTimeoutMs, isHurried }: FailoverRules,
): Pick<Target, 'timeoutMs' | 'isHurried'> {
  const usualMs = Math.min(attemptTimeoutMs ?? deployment.timeoutMs, deployment.timeoutMs);
  return {
    timeoutMs: isLastResort ? Math.ceil(usualMs * sharedLimits.lastResortTimeShare) : usualMs,
    // Who is not given the usual time is not to blame for needing it.
    isHurried: isLastResort || (isHurried && usualMs < deployment.timeoutMs),
  };
}

function endOf(result: AttemptResult): string {
  if (result.kind === 'cancelled') return 'cancelled';
  return result.error?.code ?? 'answered';
}
