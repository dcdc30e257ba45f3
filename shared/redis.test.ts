// What may be told of a Redis that refuses: why, and nothing of what it was given.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type RedisServer, startRedis } from '#test/harness/redis.ts';
import { limits } from './limits.ts';
import { openRedis, type Redis, withoutCommand } from './redis.ts';

let server: RedisServer;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

function open(url: string): { redis: Redis; troubles: Error[] } {
  const redis = openRedis({ url, silentMs: limits.redisSilentMs });
  const troubles: Error[] = [];
  redis.on('error', (error: unknown) => void troubles.push(withoutCommand(error)));
  return { redis, troubles };
}

const everything = (error: Error) =>
  Object.getOwnPropertyNames(error)
    .map((name) => String(Reflect.get(error, name)))
    .join('\n');

test('a wrong password is complained of and not repeated', async () => {
  const { redis, troubles } = open(server.url.replace('//', '//somebody:hunter2@'));
  await vi.waitFor(() => expect(troubles[0]?.message).toContain('WRONGPASS'));
  expect(everything(troubles[0]!)).not.toContain('hunter2');
  redis.disconnect();
});

test('what a refused command was about is not repeated', async () => {
  const { redis } = open(server.url);
  await vi.waitFor(() => expect(redis.status).toBe('ready'));
  for (const refused of [redis.call('NOSUCH', 'private'), redis.call('SET', 'private')]) {
    const error = await refused.then(
      () => undefined,
      (thrown: unknown) => withoutCommand(thrown),
    );
    expect(error?.message).toMatch(/^ERR /);
    expect(everything(error!)).not.toContain('private');
  }
  redis.disconnect();
});

test('a server that is not there has its address in the complaint, or at least a code', async () => {
  const { redis, troubles } = open('redis://localhost:1');
  await vi.waitFor(() => expect(troubles[0]?.message).toContain('ECONNREFUSED'));
  redis.disconnect();
});
