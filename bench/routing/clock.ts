// Time as a list of what is going to happen: the clock jumps from one event to the next, so that minutes of traffic pass in a second and
// the same seed gives the same minutes. What was planned for the same moment happens in the order it was planned in.

interface Planned {
  readonly atMs: number;
  readonly turn: number;
  /** Undefined once it has been called off. */
  action: (() => void) | undefined;
}

export interface Timer {
  cancel(): void;
}

export class SimulatedClock {
  nowMs = 0;
  #turns = 0;
  readonly #heap: Planned[] = [];

  after(delayMs: number, action: () => void): Timer {
    const planned: Planned = { atMs: this.nowMs + delayMs, turn: this.#turns, action };
    this.#turns += 1;
    this.#push(planned);
    return {
      cancel: () => {
        planned.action = undefined;
      },
    };
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (let next = this.#pop(); next !== undefined; next = this.#pop()) {
      if (next.action === undefined) continue;
      this.nowMs = next.atMs;
      next.action();
    }
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.push(planned) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(planned, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = planned;
  }

  #pop(): Planned | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(one: Planned, other: Planned): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.turn < other.turn);
}
