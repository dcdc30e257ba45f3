import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Clock, systemClock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { type RedisServer, startRedis } from '#test/harness/redis.ts';
import { createMemoryStore } from './memory-store.ts';
import { createRedisStore } from './redis-store.ts';
import type { KeptAnswer, ResponseStore, StoreLimits } from './store.ts';

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

type Make = (change: Partial<StoreLimits>, clock?: Clock) => ResponseStore;

const stores: readonly (readonly [name: string, make: Make])[] = [
  ['memory', (change, clock = systemClock) => createMemoryStore(clock, { ...limits, ...change })],
  ['Redis', (change) => redisStore(change)],
];

function redisStore(change: Partial<StoreLimits> = {}): ResponseStore {
  return createRedisStore({
    url: redis.url,
    clock: systemClock,
    limits: { ...limits, ...change },
    log: createLogger('silent'),
  });
}

function answer(id: string, text = id, itemIds: readonly string[] = []): KeptAnswer {
  return { id, itemIds, document: Buffer.from(text) };
}

/** Keys are new in every test, so that none finds what another left. */
let serial = 0;
let key = '';

beforeEach(() => {
  serial += 1;
  key = `key_${serial}`;
});

describe.each(stores)('answers kept in %s', (_, make) => {
  let store: ResponseStore;

  async function open(change: Partial<StoreLimits> = {}): Promise<void> {
    store = make(change);
    // A connection takes a moment; nothing waits for it.
    await vi.waitFor(() => store.read(key, ['nothing']));
  }

  afterEach(() => store.close());

  const texts = async (...ids: string[]) =>
    (await store.read(key, ids)).map((document) => document?.toString());

  test('are found by their ids, in the order asked for', async () => {
    await open();
    store.put(key, answer('resp_1', 'one'));
    store.put(key, answer('resp_2', 'zwei 世界 \u0000'));
    expect(await texts('resp_2', 'resp_x', 'resp_1')).toEqual(['zwei 世界 \u0000', undefined, 'one']);
    expect(await texts()).toEqual([]);
  });

  test('are found right after they were put, without waiting', async () => {
    await open();
    for (let index = 0; index < 50; index += 1) {
      store.put(key, answer(`resp_${index}`));
      expect(await texts(`resp_${index}`)).toEqual([`resp_${index}`]);
    }
  });

  test('are nothing to another key', async () => {
    await open();
    store.put(key, answer('resp_1', 'secret', ['item_1']));
    const other = `${key}\nresp_1`;
    for (const stranger of ['key_other', other, `${key}:`, '']) {
      expect(await store.read(stranger, ['resp_1'])).toEqual([undefined]);
      expect(await store.findItems(stranger, ['item_1'])).toEqual([undefined]);
      expect(await store.remove(stranger, 'resp_1')).toBe(false);
    }
    expect(await texts('resp_1')).toEqual(['secret']);
  });

  test('of different keys may have the same id', async () => {
    await open();
    store.put(key, answer('resp_1', 'mine'));
    store.put(`${key}b`, answer('resp_1', 'theirs'));
    expect(await texts('resp_1')).toEqual(['mine']);
    expect(await store.remove(`${key}b`, 'resp_1')).toBe(true);
    expect(await texts('resp_1')).toEqual(['mine']);
  });

  test('are found by their items', async () => {
    await open();
    store.put(key, answer('resp_1', 'one', ['item_1', 'item_2']));
    store.put(key, answer('resp_2', 'two', ['item_3']));
    expect(await store.findItems(key, ['item_3', 'item_x', 'item_1'])).toEqual([
      'resp_2',
      undefined,
      'resp_1',
    ]);
    expect(await store.findItems(key, [])).toEqual([]);
  });

  test('that are put again are replaced', async () => {
    await open();
    store.put(key, answer('resp_1', 'old'));
    store.put(key, answer('resp_1', 'new'));
    expect(await texts('resp_1')).toEqual(['new']);
  });

  test('are gone once they are removed', async () => {
    await open();
    store.put(key, answer('resp_1', 'one', ['item_1']));
    expect(await store.remove(key, 'resp_1')).toBe(true);
    expect(await store.remove(key, 'resp_1')).toBe(false);
    expect(await texts('resp_1')).toEqual([undefined]);
  });

  test('too large to keep are forgotten', async () => {
    await open({ responseStoreDocumentBytesMax: 10 });
    store.put(key, answer('resp_1', 'x'.repeat(11)));
    store.put(key, answer('resp_2', 'x'.repeat(10)));
    expect(await texts('resp_1', 'resp_2')).toEqual([undefined, 'x'.repeat(10)]);
  });

  test('of one key push each other out, and nobody else', async () => {
    await open({ responseStorePerKeyMax: 3 });
    store.put(`${key}b`, answer('resp_0'));
    for (const id of ['resp_1', 'resp_2', 'resp_3', 'resp_4', 'resp_5']) store.put(key, answer(id));
    expect(await texts('resp_1', 'resp_2', 'resp_3', 'resp_5')).toEqual([
      undefined,
      undefined,
      'resp_3',
      'resp_5',
    ]);
    expect((await store.read(`${key}b`, ['resp_0']))[0]?.toString()).toBe('resp_0');
  });

  test('expire, unless they are used', async () => {
    await open({ responseStoreTtlMs: 400 });
    store.put(key, answer('resp_used', 'used', ['item_1']));
    store.put(key, answer('resp_idle', 'idle', ['item_2']));
    await expect
      .poll(
        async () => {
          expect(await texts('resp_used')).toEqual(['used']);
          const [item] = await store.findItems(key, ['item_2']);
          return item;
        },
        { interval: 50, timeout: 5000 },
      )
      .toBeUndefined();
    expect(await texts('resp_idle')).toEqual([undefined]);
  });
});

describe('the memory of a data plane', () => {
  test('has a size, and forgets first what was used least recently', async () => {
    const store = createMemoryStore(systemClock, { ...limits, responseStoreBytesMax: 5000 });
    const text = 'x'.repeat(1000);
    for (const id of ['resp_1', 'resp_2', 'resp_3']) store.put('key_a', answer(id, text));
    await store.read('key_a', ['resp_1']);
    store.put('key_b', answer('resp_4', text));
    const kept = async (id: string, keyId = 'key_a') => (await store.read(keyId, [id]))[0] !== undefined;
    expect(await kept('resp_2')).toBe(false);
    expect(await kept('resp_1')).toBe(true);
    expect(await kept('resp_4', 'key_b')).toBe(true);
  });

  test('copies what it keeps', async () => {
    const store = createMemoryStore(systemClock, limits);
    const document = Buffer.from('before');
    store.put('key_a', { id: 'resp_1', itemIds: [], document });
    document.write('after!');
    expect((await store.read('key_a', ['resp_1']))[0]?.toString()).toBe('before');
  });
});

describe('when Redis is away', () => {
  test('nothing is kept, reading says so at once, and all is well when it is back', async () => {
    await using own = await startRedis();
    const log = createLogger('silent');
    const store = createRedisStore({ url: own.url, clock: systemClock, limits, log });
    await vi.waitFor(() => store.read(key, ['resp_1']));
    await own.stop();
    await expect
      .poll(() => codeOf(store.read(key, ['resp_1'])), { timeout: 5000 })
      .toBe('response_store_unavailable');
    store.put(key, answer('resp_1'));
    expect(await codeOf(store.findItems(key, ['item_1']))).toBe('response_store_unavailable');
    expect(await codeOf(store.remove(key, 'resp_1'))).toBe('response_store_unavailable');
    await own.start();
    await expect.poll(() => codeOf(store.read(key, ['resp_1'])), { timeout: 10_000 }).toBe('');
    store.put(key, answer('resp_2'));
    expect((await store.read(key, ['resp_2']))[0]?.toString()).toBe('resp_2');
    await store.close();
  });

  test('a Redis that has stopped answering is not waited for', async () => {
    await using own = await startRedis();
    const change = { ...limits, responseStoreWaitMs: 100 };
    const log = createLogger('silent');
    const store = createRedisStore({ url: own.url, clock: systemClock, limits: change, log });
    await vi.waitFor(() => store.read(key, ['resp_1']));
    own.signal('SIGSTOP');
    store.put(key, answer('resp_1'));
    expect(await codeOf(store.read(key, ['resp_1']))).toBe('response_store_unavailable');
    own.signal('SIGCONT');
    await store.close();
  });

  test('a Redis that keeps silent is given up, with everything that waits for it, and found again', async () => {
    await using own = await startRedis();
    // Longer than this test may take: what does not end by itself ends with the connection.
    const change = { ...limits, responseStoreWaitMs: 60_000, redisSilentMs: 200 };
    const log = createLogger('silent');
    const store = createRedisStore({ url: own.url, clock: systemClock, limits: change, log });
    await vi.waitFor(() => store.read(key, ['resp_1']));
    own.signal('SIGSTOP');
    expect(await codeOf(store.read(key, ['resp_1']))).toBe('response_store_unavailable');
    own.signal('SIGCONT');
    await expect.poll(() => codeOf(store.read(key, ['resp_1'])), { timeout: 10_000 }).toBe('');
    await store.close();
  });

  test('from the beginning, everything else goes on', async () => {
    const log = createLogger('silent');
    const store = createRedisStore({ url: 'redis://127.0.0.1:1', clock: systemClock, limits, log });
    store.put(key, answer('resp_1'));
    expect(await codeOf(store.read(key, ['resp_1']))).toBe('response_store_unavailable');
    await store.close();
  });
});

/** Empty where there is no error. */
async function codeOf(question: Promise<unknown>): Promise<string> {
  return question.then(
    () => '',
    (error: { code: string }) => error.code,
  );
}
