import { expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { backoffMs, throttledMs } from './backoff.ts';

const almostOne = () => 1 - Number.EPSILON;

test('the ceiling doubles from the first wait to the longest and stays there', () => {
  const ceilings = [1, 2, 3, 7, 8, 50, 5000].map((failures) => Math.round(backoffMs(failures, almostOne)));
  expect(ceilings).toEqual([500, 1000, 2000, 32_000, 60_000, 60_000, 60_000]);
  expect(backoffMs(5, () => 0)).toBe(0);
});

test('a node that was asked to stay away stays away at least that long, but not for ever', () => {
  expect(throttledMs(2000, () => 0)).toBe(2000);
  expect(throttledMs(2000, almostOne)).toBeLessThanOrEqual(3000);
  expect(throttledMs(4_000_000_000, () => 0)).toBe(limits.syncReconnectMsMax);
});
