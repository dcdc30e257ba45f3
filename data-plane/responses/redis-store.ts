// Answers kept in Redis, so that every data plane knows them. An answer never waits for Redis: it is sent to be kept and that is all,
// over the one connection on which it will be asked for again, so that whoever goes on from an answer at the same instance finds
// it. What cannot be sent is forgotten; what cannot be read is an error that says so, because to go on without knowing what was
// said would be worse.
import type { Clock } from '#shared/clock.ts';
import type { Logger } from '#shared/log.ts';
import { openRedis, type Redis, withoutCommand } from '#shared/redis.ts';
import { type KeptAnswer, type ResponseStore, type StoreLimits, storeUnavailable } from './store.ts';

export interface RedisStoreOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly limits: StoreLimits;
  readonly log: Logger;
}

/** What waits to be taken by a Redis that has stopped reading; beyond it, answers are forgotten. */
const UNSENT_BYTES_MAX = 64 * 1024 * 1024;
const PREFIX = 'signalbox:responses';

/**
 * Keeps the answer and its items, and forgets the oldest of a key that has too many. One script, so that no two instances count
 * past each other. KEYS: answer, index, items …; ARGV: document, id, how long, how many, now.
 */
const KEEP = `
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
for i = 3, #KEYS do redis.call('SET', KEYS[i], ARGV[2], 'PX', ARGV[3]) end
redis.call('ZADD', KEYS[2], ARGV[5], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[2], over)
  for i = 1, #popped, 2 do redis.call('DEL', popped[i]) end
end
`;

export function createRedisStore(options: RedisStoreOptions): ResponseStore {
  return new RedisStore(options);
}

class RedisStore implements ResponseStore {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #log: Logger;
  #unsentBytes = 0;
  /** Whether the log has been told that answers are being forgotten. */
  #isForgetting = false;
  #serial = 0;

  constructor({ url, clock, limits, log }: RedisStoreOptions) {
    this.#clock = clock;
    this.#limits = limits;
    this.#log = log;
    const { responseStoreWaitMs: answerMs, redisSilentMs: silentMs } = limits;
    this.#redis = openRedis({ url, answerMs, silentMs });
    this.#redis.on('error', (error: unknown) => this.#forgetting(withoutCommand(error)));
    this.#redis.on('ready', () => this.#remembering());
  }

  put(keyId: string, { id, itemIds, document }: KeptAnswer): void {
    const { responseStoreDocumentBytesMax, responseStoreTtlMs, responseStorePerKeyMax } = this.#limits;
    if (document.length > responseStoreDocumentBytesMax) return;
    if (this.#redis.status !== 'ready' || this.#unsentBytes + document.length > UNSENT_BYTES_MAX) {
      this.#forgetting(undefined);
      return;
    }
    this.#unsentBytes += document.length;
    const keys = [answerKey(keyId, id), indexKey(keyId), ...itemIds.map((item) => itemKey(keyId, item))];
    this.#serial += 1;
    this.#redis
      .eval(
        KEEP,
        keys.length,
        ...keys,
        document,
        id,
        responseStoreTtlMs,
        responseStorePerKeyMax,
        this.#order(),
      )
      .catch((error: unknown) => this.#forgetting(withoutCommand(error)))
      .finally(() => {
        this.#unsentBytes -= document.length;
      });
  }

  async read(keyId: string, ids: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    if (ids.length === 0) return [];
    const { responseStoreTtlMs } = this.#limits;
    const results = await this.#ask(() => {
      const commands = this.#redis.pipeline().pexpire(indexKey(keyId), responseStoreTtlMs);
      for (const id of ids) commands.getexBuffer(answerKey(keyId, id), 'PX', responseStoreTtlMs);
      return commands.exec();
    });
    return (results ?? []).slice(1).map(([error, document]) => {
      if (error) throw storeUnavailable(withoutCommand(error));
      return Buffer.isBuffer(document) ? document : undefined;
    });
  }

  async findItems(keyId: string, itemIds: readonly string[]): Promise<readonly (string | undefined)[]> {
    if (itemIds.length === 0) return [];
    const keys = itemIds.map((item) => itemKey(keyId, item));
    const found = await this.#ask(() => this.#redis.mget(keys));
    return found.map((id) => id ?? undefined);
  }

  async remove(keyId: string, id: string): Promise<boolean> {
    const key = answerKey(keyId, id);
    const results = await this.#ask(() => this.#redis.multi().del(key).zrem(indexKey(keyId), key).exec());
    return results?.[0]?.[1] === 1;
  }

  async close(): Promise<void> {
    // What was put is on its way before the connection ends.
    await this.#redis.quit().catch(() => this.#redis.disconnect());
  }

  async #ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question();
    } catch (error) {
      throw storeUnavailable(withoutCommand(error));
    }
  }

  /** Later answers have larger numbers, also within a millisecond. */
  #order(): number {
    return this.#clock.wallMs() * 1000 + (this.#serial % 1000);
  }

  #forgetting(error: Error | undefined): void {
    if (this.#isForgetting) return;
    this.#isForgetting = true;
    this.#log.warn({ err: error }, 'Redis takes no responses: they are answered and not kept');
  }

  #remembering(): void {
    if (this.#isForgetting) this.#log.info('Redis takes responses again');
    this.#isForgetting = false;
  }
}

/** All of a key's names carry the same tag, so that a cluster keeps them in one place. */
function answerKey(keyId: string, id: string): string {
  return `${PREFIX}:{${keyId}}:answer:${id}`;
}

function itemKey(keyId: string, id: string): string {
  return `${PREFIX}:{${keyId}}:item:${id}`;
}

function indexKey(keyId: string): string {
  return `${PREFIX}:{${keyId}}:index`;
}
