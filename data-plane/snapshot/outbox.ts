// What this node has to say on one stream, in order. Heartbeats wait in a slot of one and are made when they are sent,
// so that a slow line carries the newest state instead of a queue of old ones, and never one from before an Ack.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { SyncRequestSchema } from '#proto/signalbox/sync/v1/sync_pb.ts';

type Outgoing = MessageInitShape<typeof SyncRequestSchema>;

export class Outbox implements AsyncIterable<Outgoing> {
  readonly #waiting: Outgoing[] = [];
  #heartbeat: (() => Outgoing) | undefined;
  #ended = false;
  #wake: () => void = () => {};

  send(message: Outgoing): void {
    this.#waiting.push(message);
    this.#wake();
  }

  beat(make: () => Outgoing): void {
    this.#heartbeat = make;
    this.#wake();
  }

  /** Nothing more will be said; what is waiting is dropped. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Outgoing> {
    while (!this.#ended) {
      const message = this.#next();
      if (message !== undefined) {
        yield message;
        continue;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  #next(): Outgoing | undefined {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting;
    const made = this.#heartbeat?.();
    this.#heartbeat = undefined;
    return made;
  }
}
