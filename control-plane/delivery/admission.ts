// Who may start when. A fleet that lost its control plane comes back all at once: new streams are spaced out, and full
// transfers wait in line for one of a few slots. Nobody is turned away for good: a node told to come back later is
// expected, and let in when it does.

/** A fixed number of slots and a fair line for them. */
export class Slots {
  #free: number;
  readonly #line: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /** Calls back, at once or later, with the way to give the slot back; giving it back twice counts once. */
  acquire(granted: (release: () => void) => void): void {
    if (this.#free > 0) {
      this.#free--;
      granted(this.#releaser());
    } else {
      this.#line.push(() => granted(this.#releaser()));
    }
  }

  #releaser(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#line.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }
}

export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly retryAfterMs: number };

/** Longer than any wait it gives out is worth keeping; a node that comes later asks anew. */
const KEEP_MS = 5 * 60_000;
const WAIT_MS_MAX = 60_000;

/** So many a second, with a second's worth at once. Whoever has to wait is given a time of its own, and kept to it. */
export class StreamGate {
  readonly #spacingMs: number;
  readonly #burstMs: number;
  /** When the next newcomer is due if all came evenly spaced (a virtual schedule). */
  #nextDueMs = Number.NEGATIVE_INFINITY;
  readonly #expected = new Map<string, number>();

  constructor({ perSecond, burst = perSecond }: { perSecond: number; burst?: number }) {
    this.#spacingMs = 1000 / perSecond;
    this.#burstMs = burst * this.#spacingMs;
  }

  ask(nodeId: string, nowMs: number): Admission {
    const expectedMs = this.#expected.get(nodeId);
    if (expectedMs !== undefined && nowMs >= expectedMs) {
      this.#expected.delete(nodeId);
      return { admitted: true };
    }
    if (expectedMs !== undefined) return { admitted: false, retryAfterMs: Math.ceil(expectedMs - nowMs) };
    const dueMs = Math.max(this.#nextDueMs, nowMs);
    const waitMs = dueMs + this.#spacingMs - this.#burstMs - nowMs;
    // Beyond the longest wait the line is not extended: those few come together rather than in an hour.
    if (waitMs <= WAIT_MS_MAX) this.#nextDueMs = dueMs + this.#spacingMs;
    if (waitMs <= 0) return { admitted: true };
    this.#forget(nowMs);
    this.#expected.set(nodeId, nowMs + waitMs);
    return { admitted: false, retryAfterMs: Math.ceil(waitMs) };
  }

  /** Insertion order is nearly the order of due times, so the stale ones are at the front. */
  #forget(nowMs: number): void {
    for (const [nodeId, expectedMs] of this.#expected) {
      if (expectedMs + KEEP_MS > nowMs) return;
      this.#expected.delete(nodeId);
    }
  }
}
