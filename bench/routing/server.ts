// A provider as routing meets it: it answers so many requests at once and lets the others queue, its times are lognormal, and it can be
// made slow, refuse connections, swallow requests without a word, or limit them by the minute.
import { SignalboxError } from '#shared/errors.ts';
import type { SimulatedClock, Timer } from './clock.ts';
import type { SimulatedRequest } from './traffic.ts';

export interface ServerSketch {
  readonly name: string;
  /** Medians, when nothing is wrong. */
  readonly firstByteMs: number;
  readonly tokenMs: number;
  readonly concurrencyMax: number;
  /** In billionths of a dollar for a token of input; output costs four times as much, what is cached a tenth. */
  readonly price: number;
  /** Waiting beyond those being answered; who comes later is sent away. */
  readonly queueMax: number;
}

export interface Fault {
  /** 1 is its usual speed. */
  readonly slowness?: number;
  /** Refuses connections. */
  readonly isDown?: boolean;
  /** Takes requests, and answers with errors. */
  readonly isBroken?: boolean;
  readonly isSilent?: boolean;
  /** For each key, by the minute of the clock. */
  readonly requestsPerMinuteMax?: number;
}

/** How the caller hears of its answer: `firstByte` at most once, then exactly one of the others unless it was cancelled. */
export interface Reply {
  firstByte(): void;
  completed(): void;
  failed(error: SignalboxError, wasSent: boolean): void;
}

/** How much first bytes vary: one in a hundred takes 2.5 times the median. */
const SPREAD = 0.4;
const REFUSAL_MS = 5;
const MINUTE_MS = 60_000;

interface Job {
  readonly request: SimulatedRequest;
  readonly reply: Reply;
  timer: Timer | undefined;
  isOver: boolean;
}

export class Server {
  readonly #clock: SimulatedClock;
  readonly #sketch: ServerSketch;
  readonly #index: number;
  readonly #working = new Set<Job>();
  readonly #queue: Job[] = [];
  readonly #used = new Map<string, number>();
  #usedMinute = 0;
  #fault: Fault = {};

  constructor(clock: SimulatedClock, sketch: ServerSketch, index: number) {
    this.#clock = clock;
    this.#sketch = sketch;
    this.#index = index;
  }

  /** What was wrong before is no longer. Going down breaks off everything under way. */
  change(fault: Fault): void {
    this.#fault = fault;
    if (fault.isDown !== true) return;
    const lost = [...this.#working, ...this.#queue];
    this.#working.clear();
    this.#queue.length = 0;
    for (const job of lost) this.#fail(job, { error: unreachable(), wasSent: true });
  }

  ask(request: SimulatedRequest, key: string, reply: Reply): { cancel(): void } {
    const job: Job = { request, reply, timer: undefined, isOver: false };
    const refusal = this.#refusal(key);
    if (refusal !== undefined) {
      job.timer = this.#clock.after(REFUSAL_MS, () => this.#fail(job, refusal));
    } else if (this.#fault.isSilent !== true) {
      if (this.#working.size < this.#sketch.concurrencyMax) this.#begin(job);
      else this.#queue.push(job);
    }
    return { cancel: () => this.#cancel(job) };
  }

  /** What a key has left of its minute, as headers would say; undefined where there is no limit. */
  headroom(key: string): number | undefined {
    const { requestsPerMinuteMax } = this.#fault;
    if (requestsPerMinuteMax === undefined) return undefined;
    return Math.max(0, 1 - (this.#used.get(key) ?? 0) / requestsPerMinuteMax);
  }

  #refusal(key: string): Refusal | undefined {
    const { isDown, isBroken, isSilent, requestsPerMinuteMax } = this.#fault;
    if (isDown === true) return { error: unreachable(), wasSent: false };
    if (isBroken === true) return sent(new SignalboxError('upstream_error', 'It failed.'));
    if (requestsPerMinuteMax !== undefined && !this.#takeFromMinute(key, requestsPerMinuteMax)) {
      const retryAfterMs = MINUTE_MS - (this.#clock.nowMs % MINUTE_MS);
      return sent(new SignalboxError('upstream_rate_limited', 'The minute is used up.', { retryAfterMs }));
    }
    const isFull = this.#working.size >= this.#sketch.concurrencyMax;
    if (isSilent !== true && isFull && this.#queue.length >= this.#sketch.queueMax) {
      return sent(new SignalboxError('upstream_overloaded', 'The queue is full.'));
    }
    return undefined;
  }

  #takeFromMinute(key: string, max: number): boolean {
    const minute = Math.floor(this.#clock.nowMs / MINUTE_MS);
    if (minute !== this.#usedMinute) this.#used.clear();
    this.#usedMinute = minute;
    const used = this.#used.get(key) ?? 0;
    if (used >= max) return false;
    this.#used.set(key, used + 1);
    return true;
  }

  #begin(job: Job): void {
    const { slowness = 1 } = this.#fault;
    const { request } = job;
    const varies = Math.exp(SPREAD * request.luck[this.#index]!);
    const firstByteMs = this.#sketch.firstByteMs * varies * slowness;
    const restMs = this.#sketch.tokenMs * request.outputTokens * slowness;
    this.#working.add(job);
    job.timer = this.#clock.after(request.isStream ? firstByteMs : firstByteMs + restMs, () => {
      job.timer = this.#clock.after(request.isStream ? restMs : 0, () => {
        this.#leave(job);
        job.reply.completed();
      });
      job.reply.firstByte();
    });
  }

  #leave(job: Job): void {
    job.isOver = true;
    this.#working.delete(job);
    if (this.#working.size >= this.#sketch.concurrencyMax) return;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      if (next.isOver) continue;
      this.#begin(next);
      return;
    }
  }

  #fail(job: Job, { error, wasSent }: Refusal): void {
    if (job.isOver) return;
    job.isOver = true;
    job.timer?.cancel();
    job.reply.failed(error, wasSent);
  }

  #cancel(job: Job): void {
    if (job.isOver) return;
    job.timer?.cancel();
    this.#leave(job);
  }
}

interface Refusal {
  readonly error: SignalboxError;
  /** Whether it got the request. */
  readonly wasSent: boolean;
}

function sent(error: SignalboxError): Refusal {
  return { error, wasSent: true };
}

function unreachable(): SignalboxError {
  return new SignalboxError('upstream_unreachable', 'The connection was refused.');
}
