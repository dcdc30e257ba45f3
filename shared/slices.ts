// Long work in short slices. Packing or applying 100,000 keys takes a second, and requests, acks and heartbeats must not wait
// for it: the work looks at the clock after every few steps and lets the event loop turn when its slice is used up.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, systemClock } from './clock.ts';
import { limits } from './limits.ts';

export class Slices {
  readonly #clock: Clock;
  #startedMs: number;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** Whether the slice is used up. Asked often, so that waiting costs a promise per slice and not per step. */
  get due(): boolean {
    return this.#clock.monotonicMs() - this.#startedMs >= limits.syncSliceMs;
  }

  async rest(): Promise<void> {
    await nextTurn();
    this.#startedMs = this.#clock.monotonicMs();
  }
}
