// News over Redis: plain publish and subscribe, which keeps nothing. One connection speaks and listens (RESP3 allows both), so whoever
// speaks notices by the missing answers that it would not hear either. While Redis is away nothing is sent, and nothing later; while it
// is frozen, only so much that it is soon refused, and the connection that has it is given up, and with it the ears for old news.
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import { openRedis, type Redis, withoutCommand } from '../redis.ts';
import type { Broadcast, Listening } from './bus.ts';
import { heard } from './in-process-broadcast.ts';

export interface RedisBroadcastOptions {
  readonly url: string;
  readonly log: Logger;
  readonly silentMs?: number;
}

export interface RedisBroadcast extends Broadcast {
  close(): void;
}

interface Listener {
  readonly handle: (data: Uint8Array) => void;
}

export function openRedisBroadcast(options: RedisBroadcastOptions): RedisBroadcast {
  return new News(options);
}

class News implements RedisBroadcast {
  readonly #log: Logger;
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Set<Listener>>();
  #unansweredBytes = 0;
  /** Whether the log has been told. */
  #isAway = false;
  #isClosed = false;

  constructor({ url, log, silentMs = limits.redisSilentMs }: RedisBroadcastOptions) {
    this.#log = log;
    this.#redis = openRedis({ url, silentMs });
    this.#redis.on('error', (error: unknown) => this.#away(error));
    this.#redis.on('ready', () => this.#back());
    this.#redis.on('messageBuffer', (channel: Buffer, data: Buffer) => this.#hear(channel.toString(), data));
  }

  announce(subject: string, data: Uint8Array): boolean {
    const isRoom = this.#unansweredBytes + data.byteLength <= limits.newsUnansweredBytesMax;
    if (!this.#isOpen() || !isRoom) return false;
    this.#unansweredBytes += data.byteLength;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#redis
      .publish(this.#channel(subject), bytes)
      .catch((error: unknown) => this.#refused(error))
      .finally(() => {
        this.#unansweredBytes -= data.byteLength;
      });
    return true;
  }

  listen(subject: string, handle: (data: Uint8Array) => void): Listening {
    const channel = this.#channel(subject);
    const listener: Listener = { handle };
    const listeners = this.#listeners.get(channel) ?? new Set<Listener>();
    this.#listeners.set(channel, listeners.add(listener));
    if (listeners.size === 1) this.#subscribe([channel]);
    return {
      stop: () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        this.#listeners.delete(channel);
        if (this.#isOpen()) this.#redis.unsubscribe(channel).catch((error: unknown) => this.#refused(error));
      },
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#redis.disconnect();
  }

  #isOpen(): boolean {
    return !this.#isClosed && this.#redis.status === 'ready';
  }

  /** What is published is heard in all databases of a server; those who share one and have databases of their own mean to be apart. */
  #channel(subject: string): string {
    return `${subject.replaceAll('.', ':')}:${this.#redis.options.db ?? 0}`;
  }

  #hear(channel: string, data: Uint8Array): void {
    for (const { handle } of this.#listeners.get(channel) ?? []) heard(handle, data, this.#log);
  }

  /** A new connection listens to nothing. */
  #subscribe(channels: readonly string[]): void {
    if (!this.#isOpen() || channels.length === 0) return;
    this.#redis.subscribe(...channels).catch((error: unknown) => this.#refused(error));
  }

  /** That a connection has ended is said by the next one that cannot be made, and in better words. */
  #refused(error: unknown): void {
    if (this.#isOpen()) this.#away(error);
  }

  #away(error: unknown): void {
    if (this.#isAway || this.#isClosed) return;
    this.#isAway = true;
    this.#log.warn({ err: withoutCommand(error) }, 'Redis passes no news on, trying again in the background');
  }

  #back(): void {
    if (this.#isAway) this.#log.info('Redis can be reached again and passes news on');
    this.#isAway = false;
    this.#subscribe([...this.#listeners.keys()]);
  }
}
