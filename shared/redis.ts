// Connections to Redis, all opened with the same intent: nobody ever waits for it. What cannot be sent now is refused now and never sent
// later; a Redis that owes an answer and keeps silent is given up together with what waits to be read by it, and sought again in the
// background for as long as it takes.
import { Redis } from 'ioredis';
import { backoffMs } from './backoff.ts';

export type { Redis } from 'ioredis';

export interface RedisConnectionOptions {
  /** `redis://user:password@host:6379/0` or `rediss://…`. */
  readonly url: string;
  /** For how long a Redis that owes an answer may say nothing at all. */
  readonly silentMs: number;
  /** For how long one answer may be waited for; as long as the connection lasts when undefined. */
  readonly answerMs?: number;
}

const RECONNECT = { msMin: 100, msMax: 5000 };

export function openRedis({ url, silentMs, answerMs }: RedisConnectionOptions): Redis {
  return new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // The client would do it where its failing cannot be caught.
    autoResubscribe: false,
    connectTimeout: answerMs ?? silentMs,
    socketTimeout: silentMs,
    ...(answerMs !== undefined && { commandTimeout: answerMs }),
    connectionName: 'signalbox',
    retryStrategy: (attempt) => backoffMs(attempt, RECONNECT),
  });
}

/** What went wrong, without the command it happened to: in the client's errors are passwords, and what callers said. */
export function withoutCommand(error: unknown): Error {
  const { code, message = '' } = error as Partial<NodeJS.ErrnoException>;
  // A server that does not know a command repeats what it was given.
  const said = message.replace(/,? with args beginning with.*/s, '');
  return new Error(said || code || 'Redis did not say what is wrong');
}
