import { expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { type FetchedToken, renewedToken } from './renewed-token.ts';

const HOUR_MS = 3_600_000;

/** A token whose fetches a test lets succeed or fail one by one, and its clock. */
function setUp({ lifeMs = HOUR_MS }: { lifeMs?: number } = {}) {
  const time = { nowMs: 1_000_000 };
  const fetches: PromiseWithResolvers<FetchedToken<string>>[] = [];
  const token = renewedToken<string>({
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    fetch() {
      const fetch = Promise.withResolvers<FetchedToken<string>>();
      fetches.push(fetch);
      return fetch.promise;
    },
  });
  const give = (value: string) => fetches.at(-1)!.resolve({ value, expiresAtMs: time.nowMs + lifeMs });
  return { time, fetches, token, give };
}

test('however many ask, it is fetched once, and then there without waiting', async () => {
  const { token, fetches, give } = setUp();
  const waiting = [token.current(), token.current(), token.current()];
  expect(fetches).toHaveLength(1);
  give('one');
  for (const one of waiting) expect(await one).toBe('one');
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(1);
});

test('it is renewed ahead of its end, while the old one is still given', async () => {
  const { token, fetches, give, time } = setUp();
  const first = token.current();
  give('one');
  await first;
  time.nowMs += HOUR_MS - 6 * 60_000;
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(1);
  time.nowMs += 2 * 60_000;
  expect(token.current()).toBe('one');
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(2);
  give('two');
  await fetches[1]!.promise;
  await expect.poll(() => token.current()).toBe('two');
  expect(fetches).toHaveLength(2);
});

test('a renewal that fails costs nothing while the old one works, and is not repeated at once', async () => {
  const { token, fetches, give, time } = setUp();
  const first = token.current();
  give('one');
  await first;
  time.nowMs += HOUR_MS - 4 * 60_000;
  expect(token.current()).toBe('one');
  fetches[1]!.reject(new Error('away'));
  await expect(fetches[1]!.promise).rejects.toThrow('away');
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(2);
  time.nowMs += 5_000;
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(3);
});

test('one that has run out is waited for', async () => {
  const { token, fetches, give, time } = setUp();
  const first = token.current();
  give('one');
  await first;
  time.nowMs += HOUR_MS - 5_000;
  const next = token.current();
  expect(next).toBeInstanceOf(Promise);
  give('two');
  expect(await next).toBe('two');
  expect(fetches).toHaveLength(2);
});

test('a token of a short life is used for most of it', async () => {
  const { token, fetches, give, time } = setUp({ lifeMs: 20_000 });
  const first = token.current();
  give('one');
  await first;
  time.nowMs += 14_000;
  expect(token.current()).toBe('one');
  expect(fetches).toHaveLength(1);
});

test('what is already over when it arrives is given once and fetched anew', async () => {
  const { token, fetches, give } = setUp({ lifeMs: -1 });
  const first = token.current();
  give('one');
  expect(await first).toBe('one');
  const second = token.current();
  expect(fetches).toHaveLength(2);
  give('two');
  expect(await second).toBe('two');
});

test('a refusal is told to all who wait, and for a moment to all who ask', async () => {
  const { token, fetches, give, time } = setUp();
  const refusal = new SignalboxError('upstream_unauthorized', 'no');
  const waiting = [token.current(), token.current()];
  fetches[0]!.reject(refusal);
  for (const one of waiting) await expect(one).rejects.toBe(refusal);
  await expect(token.current()).rejects.toBe(refusal);
  expect(fetches).toHaveLength(1);
  time.nowMs += 5_000;
  const later = token.current();
  give('one');
  expect(await later).toBe('one');
});

test('whatever else is thrown becomes an error that is safe to show', async () => {
  const { token, fetches } = setUp();
  const waiting = token.current();
  fetches[0]!.reject(new TypeError('secret detail'));
  await expect(waiting).rejects.toMatchObject({ code: 'internal' });
});
