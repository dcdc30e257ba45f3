// News between machines: plain NATS, beside the stream that carries usage. While the connection is down nothing is handed to the
// client library, which would keep it and send old news later. A server that is frozen is noticed by its missing pongs; what is
// written until then waits in the socket, a second's digest at a time.
import type { NatsConnection, Status, Subscription } from '@nats-io/transport-node';
import type { Logger } from '../log.ts';
import type { Broadcast, Listening } from './bus.ts';
import { heard } from './in-process-broadcast.ts';

interface Listener {
  readonly subject: string;
  readonly handle: (data: Uint8Array) => void;
  subscription: Subscription | undefined;
}

export class NatsBroadcast implements Broadcast {
  readonly #log: Logger;
  readonly #listeners = new Set<Listener>();
  #connection: NatsConnection | undefined;
  #isConnected = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  announce(subject: string, data: Uint8Array): boolean {
    if (this.#connection === undefined || !this.#isConnected) return false;
    try {
      this.#connection.publish(subject, data);
      return true;
    } catch (error) {
      // Closing, or a message larger than the server takes.
      this.#log.debug({ err: error, subject }, 'NATS did not take a piece of news');
      return false;
    }
  }

  listen(subject: string, handle: (data: Uint8Array) => void): Listening {
    const listener: Listener = { subject, handle, subscription: undefined };
    this.#listeners.add(listener);
    this.#subscribe(listener);
    return {
      stop: () => {
        this.#listeners.delete(listener);
        if (this.#connection?.isClosed() === false) listener.subscription?.unsubscribe();
      },
    };
  }

  /** A connection renews its subscriptions by itself after a break; a new connection has none. */
  attach(connection: NatsConnection): void {
    this.#connection = connection;
    this.#isConnected = true;
    for (const listener of this.#listeners) this.#subscribe(listener);
  }

  setConnected(event: Status['type']): void {
    if (event === 'disconnect') this.#isConnected = false;
    if (event === 'reconnect') this.#isConnected = true;
  }

  detach(): void {
    this.#connection = undefined;
    this.#isConnected = false;
  }

  #subscribe(listener: Listener): void {
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    try {
      listener.subscription = connection.subscribe(listener.subject, {
        callback: (error, message) => {
          if (error === null) heard(listener.handle, message.data, this.#log);
        },
      });
    } catch (error) {
      this.#log.warn({ err: error, subject: listener.subject }, 'NATS cannot be listened to');
    }
  }
}
