// News within one process. Listeners hear it in a turn of their own, so that whoever speaks never waits for them.
import type { Logger } from '../log.ts';
import type { Broadcast, Listening } from './bus.ts';

class InProcessBroadcast implements Broadcast {
  readonly #log: Logger;
  readonly #isOpen: () => boolean;
  readonly #listeners = new Set<{ readonly subject: string; readonly handle: (data: Uint8Array) => void }>();

  constructor(log: Logger, isOpen: () => boolean) {
    this.#log = log;
    this.#isOpen = isOpen;
  }

  announce(subject: string, data: Uint8Array): boolean {
    if (!this.#isOpen()) return false;
    for (const listener of this.#listeners) {
      if (listener.subject !== subject) continue;
      setImmediate(() => {
        if (this.#listeners.has(listener)) heard(listener.handle, data, this.#log);
      });
    }
    return true;
  }

  listen(subject: string, handle: (data: Uint8Array) => void): Listening {
    const listener = { subject, handle };
    this.#listeners.add(listener);
    return { stop: () => void this.#listeners.delete(listener) };
  }
}

export function createInProcessBroadcast(log: Logger, isOpen: () => boolean = () => true): Broadcast {
  return new InProcessBroadcast(log, isOpen);
}

/** Hands one piece of news over; a listener that throws harms nobody else. */
export function heard(handle: (data: Uint8Array) => void, data: Uint8Array, log: Logger): void {
  try {
    handle(data);
  } catch (error) {
    log.warn({ err: error }, 'news from the bus could not be handled');
  }
}
