// When the disk copy is written: after a change, off the request path, once for a burst of changes, and never so often
// that a busy configuration keeps the node busy with writing it down.
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Configuration } from './configuration.ts';

export interface CacheWriterOptions {
  readonly store: (configuration: Configuration) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A copy that took this long to write is not written again for this many times as long. */
const REST_FACTOR = 20;

export class CacheWriter {
  readonly #options: CacheWriterOptions;
  #waiting: Configuration | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #restMs = 0;

  constructor(options: CacheWriterOptions) {
    this.#options = options;
  }

  /** Remembers the newest configuration to be written soon. */
  offer(configuration: Configuration): void {
    this.#waiting = configuration;
    this.#timer ??= setTimeout(() => void this.flush(), Math.max(limits.syncCacheDelayMs, this.#restMs));
    this.#timer.unref();
  }

  /** Resolves when everything offered so far is on disk, or could not be written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#writeNewest());
    await this.#writing;
  }

  async #writeNewest(): Promise<void> {
    const configuration = this.#waiting;
    if (configuration === undefined) return;
    this.#waiting = undefined;
    const { clock, log, store } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      await store(configuration);
    } catch (error) {
      // Serving does not depend on the copy; a cold start without a control plane does.
      log.error(
        { err: error },
        'the configuration could not be written to disk; free space or mend the directory',
      );
    }
    this.#restMs = (clock.monotonicMs() - startedMs) * REST_FACTOR;
  }
}
