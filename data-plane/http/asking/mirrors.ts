// Copies of requests, sent to targets that are to be tried with real traffic. The client must not notice: a copy is made when the
// request itself has gone out, is asked of whoever is free at this moment, once, and its answer is read and thrown away. It waits in no
// line, takes nothing out of anyone's retries, and whatever becomes of it ends here. What it shows of the target's health is believed:
// it is an attempt like all others. So is its cost real, which the ledger keeps apart.
import { SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import { runAttempt } from '../../attempt/attempt.ts';
import type { AttemptResult, AttemptServices, Target } from '../../attempt/attempt-record.ts';
import type { Passage, Task } from '../../passage/task.ts';
import type { Gate, Lease } from '../../routing/admission/gate.ts';
import type { Candidate } from '../../routing/plan.ts';
import { type ChosenTarget, Targets } from '../../routing/targets.ts';
import type { Exchange } from '../exchange.ts';
import { enterAtOnce } from './enter.ts';
import { UnreadAnswer } from './unread-answer.ts';

/** Where a copy goes. */
export interface CopyPlan {
  /** As the route names it. */
  readonly to: string;
  /** Who may be asked there for this request; planned when the copy is made. */
  candidates(): readonly Candidate[];
}

/** What became of a copy: `impossible` where nobody there may or can be asked for this, `dropped` where nobody was asked all the same. */
export type CopyOutcome = 'answered' | 'failed' | 'cancelled' | 'dropped' | 'impossible';

export interface MirrorLimits {
  readonly mirrorsAtOnceMax: number;
  readonly mirrorMsMax: number;
}

export interface MirrorsOptions {
  readonly attempts: AttemptServices;
  readonly gate: Gate;
  readonly random: () => number;
  readonly limits: MirrorLimits;
  readonly log: Logger;
  readonly onEnded: (outcome: CopyOutcome) => void;
}

interface Unsent {
  readonly outcome: 'dropped' | 'impossible';
  readonly reason: string;
}

interface Found {
  readonly chosen: ChosenTarget;
  readonly passage: Passage;
  readonly lease: Lease;
}

export class Mirrors {
  readonly #options: MirrorsOptions;
  readonly #underWay = new Set<UnreadAnswer>();
  #stopping: SignalboxError | undefined;

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  /** Copies are made as soon as the request itself has gone out, and none of a request that nobody is asked. */
  follow(exchange: Exchange, task: Task, plans: readonly CopyPlan[]): void {
    if (plans.length === 0 || task.copy === undefined) return;
    exchange.onCalled = () =>
      setImmediate(() => {
        for (const plan of plans) void this.#copy(task, plan);
      });
  }

  /** Ends what is under way at once, and makes no more. */
  close(): void {
    this.#stopping = new SignalboxError(
      'draining',
      'This instance is shutting down; copies are not waited for.',
    );
    for (const answer of this.#underWay) answer.stop(this.#stopping);
  }

  /** Never throws: nobody is there to hear of it. */
  async #copy(task: Task, plan: CopyPlan): Promise<void> {
    const { log, onEnded } = this.#options;
    try {
      const ended = await this.#ask(task, plan);
      onEnded(ended.outcome);
      if ('reason' in ended) log.debug({ ...describe(task, plan), ...ended }, 'copy not sent');
    } catch (thrown) {
      const { code, message, cause } = SignalboxError.from(thrown);
      const isOurs = code === 'internal';
      onEnded(isOurs ? 'failed' : 'dropped');
      if (isOurs) log.error({ ...describe(task, plan), err: cause }, 'copy failed');
      else log.debug({ ...describe(task, plan), outcome: 'dropped', reason: message }, 'copy not sent');
    }
  }

  async #ask(original: Task, plan: CopyPlan): Promise<Unsent | { readonly outcome: CopyOutcome }> {
    const { attempts, limits } = this.#options;
    if (this.#stopping) return dropped(this.#stopping.message);
    if (this.#underWay.size >= limits.mirrorsAtOnceMax) {
      return dropped(`${limits.mirrorsAtOnceMax} copies are under way already`);
    }
    const answer = new UnreadAnswer(limits.mirrorMsMax);
    this.#underWay.add(answer);
    try {
      const task = original.copy!();
      const found = this.#find(task, plan.candidates());
      if ('outcome' in found) return found;
      using _inside = found.lease;
      const result = await runAttempt(attempts, task, targetOf(found.chosen), found.passage, answer);
      return { outcome: outcomeOf(result) };
    } finally {
      answer.close();
      this.#underWay.delete(answer);
    }
  }

  /** Whoever is free now, can be asked for this, and is not shut off. */
  #find(task: Task, candidates: readonly Candidate[]): Found | Unsent {
    const { attempts, gate, random } = this.#options;
    let whyBusy: string | undefined;
    const targets = new Targets({
      candidates,
      state: attempts.routing,
      keyUsage: attempts.keyUsage,
      // One target is asked, so nothing is ever taken out of it.
      budget: attempts.routing.budgetOf(task.route),
      nowMs: () => attempts.clock.monotonicMs(),
      random,
      attemptsMax: 1,
      onPassedOver: (_, { message }) => {
        whyBusy = message;
      },
    });
    for (let chosen = targets.next(); chosen !== undefined; chosen = targets.next()) {
      const { id } = chosen.candidate.deployment;
      const passage = passageTo(task, chosen.candidate);
      if (passage !== undefined && !chosen.isLastResort) {
        // What the route takes at once is for those who wait for an answer.
        const lease = enterAtOnce(gate, undefined, chosen);
        if (lease !== undefined) return { chosen, passage, lease };
      }
      if (passage !== undefined) whyBusy = `"${id}" is ${chosen.isLastResort ? 'shut off' : 'full'}`;
      targets.impossible();
    }
    return whyBusy === undefined
      ? { outcome: 'impossible', reason: 'nobody there may or can be asked for this' }
      : dropped(whyBusy);
  }
}

function targetOf({ candidate, key }: ChosenTarget): Target {
  return { deployment: candidate.deployment, key, attemptNumber: 1, why: `copy, ${candidate.why}` };
}

/** What cannot be put to one may be possible for another; only a fault of ours ends it. */
function passageTo(task: Task, { deployment }: Candidate): Passage | undefined {
  try {
    return task.passageTo(deployment);
  } catch (thrown) {
    if (SignalboxError.from(thrown).code === 'internal') throw thrown;
    return undefined;
  }
}

function outcomeOf(result: AttemptResult): CopyOutcome {
  return result.kind === 'answered' && result.error !== undefined ? 'failed' : result.kind;
}

function dropped(reason: string): Unsent {
  return { outcome: 'dropped', reason };
}

function describe({ requestId, route }: Task, { to }: CopyPlan): Record<string, string> {
  return { requestId, route, to };
}
