// Stopping in order. Parts register how they stop as they start; stopping runs the steps last-started-first, each with a
// bounded time, so that a request path closes before the journal it writes to.
import type { Logger } from './log.ts';

type Step = { readonly name: string; readonly stop: () => Promise<void> | void; readonly withinMs: number };

export class Shutdown {
  readonly #steps: Step[] = [];
  readonly #log: Logger;
  #running: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(name: string, stop: () => Promise<void> | void, { withinMs = 10_000 } = {}): void {
    this.#steps.push({ name, stop, withinMs });
  }

  /** Safe to call twice; the second call waits for the first. */
  run(): Promise<void> {
    this.#running ??= this.#runAll();
    return this.#running;
  }

  async #runAll(): Promise<void> {
    for (const step of this.#steps.toReversed()) await this.#runOne(step);
  }

  async #runOne({ name, stop, withinMs }: Step): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => resolve('late'), withinMs);
    try {
      const outcome = await Promise.race([Promise.resolve(stop()), late]);
      if (outcome === 'late') this.#log.warn({ part: name, withinMs }, 'part did not stop in time');
    } catch (error) {
      this.#log.error({ part: name, err: error }, 'part failed to stop');
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Ctrl-C under npm arrives twice, from the terminal and from npm; within this time it is one request. */
const SAME_REQUEST_MS = 500;

/** Calls back on the first request to stop; a second one ends the process at once. */
export function onStopSignal(callback: (signal: NodeJS.Signals) => void): void {
  let askedMs: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (askedMs !== undefined && nowMs - askedMs > SAME_REQUEST_MS) process.exit(130);
      if (askedMs !== undefined) return;
      askedMs = nowMs;
      callback(signal);
    });
  }
}
