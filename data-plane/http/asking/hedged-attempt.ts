// An attempt that gets another beside it when it takes long. What happens is decided by the race (routing/hedging/hedge-race.ts), a pure
// machine; here its orders are followed: the delay is a timer, the attempts are real ones, and the client stands behind both of them.

import { SignalboxError } from '#shared/errors.ts';
import type { AttemptResult } from '../../attempt/attempt-record.ts';
import { RacedAnswer } from '../../attempt/raced-answer.ts';
import {
  type LaneEnd,
  type LaneName,
  openRace,
  type RaceEvent,
  type RaceOrder,
  type RaceResult,
  raceStep,
} from '../../routing/hedging/hedge-race.ts';
import type { Exchange } from '../exchange.ts';
import type { TargetAttempt } from './target-attempt.ts';

export interface HedgedOptions {
  readonly exchange: Exchange;
  readonly first: TargetAttempt;
  readonly delayMs: number;
  /** Asked for when the first has taken that long; undefined when there is none to be made. */
  readonly beside: () => TargetAttempt | undefined;
}

export interface HedgedEnd {
  /** Those from which it follows how the request goes on, in the order in which they were asked: the winner, or all that failed. */
  readonly ended: readonly TargetAttempt[];
  /** Undefined when nobody has answered. */
  readonly winner: LaneName | undefined;
  readonly second: TargetAttempt | undefined;
}

const lanes: readonly LaneName[] = ['first', 'second'];

export class HedgedAttempt {
  readonly #options: HedgedOptions;
  readonly #answer: RacedAnswer;
  readonly #attempts: Partial<Record<LaneName, TargetAttempt>>;
  #race = openRace;
  #delay: NodeJS.Timeout | undefined;
  #resolve: (end: HedgedEnd) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};
  /** What an attempt threw instead of ending. */
  #fault: { readonly thrown: unknown } | undefined;

  constructor(options: HedgedOptions) {
    this.#options = options;
    this.#attempts = { first: options.first };
    this.#answer = new RacedAnswer(options.exchange, {
      mayBegin: (lane) => this.#mayBegin(lane),
      onStop: (reason) => this.#tell({ type: 'client-end', reason }),
    });
  }

  /** Resolves when every attempt that was begun is settled. */
  run(): Promise<HedgedEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<HedgedEnd>();
    this.#resolve = resolve;
    this.#reject = reject;
    this.#delay = setTimeout(() => this.#hedge(), this.#options.delayMs);
    this.#start('first');
    return promise;
  }

  #hedge(): void {
    const second = this.#options.beside();
    if (second) this.#attempts.second = second;
    this.#tell({ type: 'delay-end', mayHedge: second !== undefined });
  }

  #start(lane: LaneName): void {
    this.#attempts[lane]!.run(this.#answer.lane(lane)).then(
      (result) => this.#tell({ type: 'attempt-end', lane, end: laneEndOf(result) }),
      (thrown: unknown) => {
        this.#fault = { thrown };
        const error = SignalboxError.from(thrown);
        this.#attempts[lane]!.writeEnd(error.code);
        this.#tell({ type: 'attempt-end', lane, end: { kind: 'failed', error } });
      },
    );
  }

  #mayBegin(lane: LaneName): boolean {
    this.#tell({ type: 'answer-start', lane });
    const hasWon = this.#race.winner === lane;
    if (hasWon) this.#options.exchange.dropped = this.#attempts[lane]!.passage.dropped;
    return hasWon;
  }

  #tell(event: RaceEvent): void {
    const { race, orders } = raceStep(this.#race, event);
    this.#race = race;
    for (const order of orders) this.#follow(order);
  }

  #follow(order: RaceOrder): void {
    switch (order.type) {
      case 'attempt-start':
        this.#start(order.lane);
        break;
      case 'attempt-cancel': {
        const { lane, reason } = order;
        // At once, since the answer that tells of it may leave before the attempt is heard of again.
        const end = reason.code === 'client_closed' ? 'cancelled' : reason.code;
        if (this.#answer.stop(lane, reason)) this.#attempts[lane]!.writeEnd(end);
        break;
      }
      case 'delay-cancel':
        clearTimeout(this.#delay);
        break;
      case 'race-end':
        this.#conclude(order.result);
    }
  }

  #conclude(result: RaceResult): void {
    this.#answer.close();
    if (result.kind === 'failed' && this.#fault) {
      this.#reject(this.#fault.thrown);
      return;
    }
    const ended = this.#deciding(result).flatMap((lane) => this.#attempts[lane] ?? []);
    const winner = result.kind === 'answered' ? result.lane : undefined;
    this.#resolve({ ended, winner, second: this.#attempts.second });
  }

  #deciding(result: RaceResult): readonly LaneName[] {
    if (result.kind === 'answered') return [result.lane];
    const { failures, winner } = this.#race;
    const hasFailed = (lane: LaneName): boolean => failures.some((failure) => failure.lane === lane);
    if (result.kind === 'failed') return lanes.filter(hasFailed);
    return [winner ?? lanes.find((lane) => this.#attempts[lane] && !hasFailed(lane)) ?? 'first'];
  }
}

function laneEndOf(result: AttemptResult): LaneEnd {
  if (result.kind === 'cancelled') return result;
  const { error } = result;
  return result.kind === 'answered' ? { kind: 'answered', error } : { kind: 'failed', error: result.error };
}
