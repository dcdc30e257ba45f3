// How fast a place serves, to tell those who are turned away when to come back. A decaying count of what has left, divided by how much
// of the past it covers, so that the first seconds of a rush are not mistaken for slowness.
import { DecayingSum } from '../health/decaying.ts';

/** Looks back about a minute and a half: an answer takes seconds, so a few dozen of them count. */
const HALF_LIFE_MS = 60_000;

export class ServiceRate {
  readonly #served = new DecayingSum(HALF_LIFE_MS);
  readonly #sinceMs: number;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  served(nowMs: number): void {
    this.#served.add(1, nowMs);
  }

  /** How long it takes to serve so many; undefined as long as nobody has been served. */
  msToServe(count: number, nowMs: number): number | undefined {
    const served = this.#served.read(nowMs);
    if (served === 0) return undefined;
    // What one for every millisecond of that time would have left in the count.
    const passedMs = Math.max(nowMs - this.#sinceMs, 1);
    const coveredMs = (HALF_LIFE_MS / Math.LN2) * (1 - 2 ** (-passedMs / HALF_LIFE_MS));
    return (count * coveredMs) / served;
  }
}
