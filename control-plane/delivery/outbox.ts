// What is on its way to one node. The stream takes messages one at a time, each when the one before has been written, so
// a slow reader slows its own transfer and nothing else, and chunks are made into messages only when their turn comes.
// The session keeps one transfer outstanding and heartbeat replies replace each other, so this never grows.
import type { SyncResponse } from '#proto/signalbox/sync/v1/sync_pb.ts';

type Item = SyncResponse | Iterator<SyncResponse>;

export class Outbox implements AsyncIterable<SyncResponse> {
  readonly #items: Item[] = [];
  readonly #onTaken: (message: SyncResponse) => void;
  #reply: SyncResponse | undefined;
  #end: { readonly error?: Error } | undefined;
  #wake: (() => void) | undefined;

  /** `onTaken` hears of every message that has been written. */
  constructor(onTaken: (message: SyncResponse) => void) {
    this.#onTaken = onTaken;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Only the newest reply is worth sending. */
  replaceReply(reply: SyncResponse): void {
    this.#reply = reply;
    this.#wake?.();
  }

  /** Ends the stream once what is before it has been written; with an error, at once. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SyncResponse, void, undefined> {
    for (;;) {
      if (this.#end?.error !== undefined) throw this.#end.error;
      const message = this.#take();
      if (message !== undefined) {
        yield message;
        this.#onTaken(message);
      } else if (this.#end !== undefined) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
        this.#wake = undefined;
      }
    }
  }

  #take(): SyncResponse | undefined {
    const reply = this.#reply;
    this.#reply = undefined;
    return reply ?? this.#takeItem();
  }

  #takeItem(): SyncResponse | undefined {
    for (let item = this.#items[0]; item !== undefined; item = this.#items[0]) {
      if (!('next' in item)) return this.#items.shift() as SyncResponse;
      const { value, done } = item.next();
      if (done !== true) return value;
      this.#items.shift();
    }
    return undefined;
  }
}
