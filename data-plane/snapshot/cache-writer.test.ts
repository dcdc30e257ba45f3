import { expect, test, vi } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { CacheWriter } from './cache-writer.ts';
import type { Configuration } from './configuration.ts';

const at = (revision: bigint) => ({ revision }) as Configuration;

function writer(store: (configuration: Configuration) => Promise<void>): CacheWriter {
  return new CacheWriter({ store, clock: systemClock, log: createLogger('silent') });
}

test('a burst of changes is written once, as it is after the last of them', async () => {
  const stored: bigint[] = [];
  const cache = writer(async ({ revision }) => void stored.push(revision));
  for (const revision of [1n, 2n, 3n]) cache.offer(at(revision));
  await vi.waitFor(() => expect(stored).toEqual([3n]), { timeout: 10_000 });
  await cache.flush();
  expect(stored).toEqual([3n]);
});

test('what is still to be written is written when the node stops', async () => {
  const stored: bigint[] = [];
  const cache = writer(async ({ revision }) => void stored.push(revision));
  cache.offer(at(7n));
  await cache.flush();
  expect(stored).toEqual([7n]);
});

test('two copies are never written at the same time, and a failed one does not stop the next', async () => {
  let writing = 0;
  const stored: bigint[] = [];
  const cache = writer(async ({ revision }) => {
    writing += 1;
    expect(writing).toBe(1);
    await new Promise(setImmediate);
    writing -= 1;
    if (revision === 1n) throw new Error('no space left');
    stored.push(revision);
  });
  cache.offer(at(1n));
  const first = cache.flush();
  cache.offer(at(2n));
  await Promise.all([first, cache.flush()]);
  expect(stored).toEqual([2n]);
});
