import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RoutingState } from '../routing-state.ts';
import { type Headroom, type LimitHeaders, noteHeaders, readHeadroom } from './headroom.ts';

const date = 'Tue, 05 Mar 2030 10:00:00 GMT';
const nothing: Headroom = { headroom: undefined, restMs: undefined };

describe('what headers say of limits', () => {
  test.each<[string, LimitHeaders, Partial<Headroom>]>([
    ['nothing', { 'content-type': 'application/json' }, nothing],
    [
      'the tighter of requests and tokens, as OpenAI writes it',
      {
        'x-ratelimit-limit-requests': '100',
        'x-ratelimit-remaining-requests': '90',
        'x-ratelimit-reset-requests': '6ms',
        'x-ratelimit-limit-tokens': '2000',
        'x-ratelimit-remaining-tokens': '500',
        'x-ratelimit-reset-tokens': '45s',
      },
      { headroom: 0.25 },
    ],
    [
      'Anthropic’s way',
      {
        'anthropic-ratelimit-requests-limit': '50',
        'anthropic-ratelimit-requests-remaining': '40',
        'anthropic-ratelimit-input-tokens-limit': '1000',
        'anthropic-ratelimit-input-tokens-remaining': '100',
        'anthropic-ratelimit-input-tokens-reset': '2030-03-05T10:00:30Z',
      },
      { headroom: 0.1 },
    ],
    [
      'one limit without a name',
      { 'x-ratelimit-limit': '20', 'x-ratelimit-remaining': '5' },
      { headroom: 0.25 },
    ],
    ['without the x-', { 'ratelimit-limit': '10, 10;w=60', 'ratelimit-remaining': '7' }, { headroom: 0.7 }],
    ['what is left of nobody knows what', { 'x-ratelimit-remaining-tokens': '500' }, nothing],
    [
      'more left than there is',
      { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '12' },
      { headroom: 1 },
    ],
    ['a limit of nothing', { 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': '3' }, nothing],
    ['no numbers', { 'x-ratelimit-limit': 'many', 'x-ratelimit-remaining': '-1' }, nothing],
    ['nothing left, and not for how long', { 'x-ratelimit-remaining-requests': '0' }, { headroom: 0 }],
  ])('%s', (_what, headers, expected) => {
    expect(readHeadroom(headers)).toEqual({ ...nothing, ...expected });
  });

  test.each([
    ['1s', 1000],
    ['120ms', 120],
    ['1m6.5s', 60_000],
    ['6.5s', 6500],
    ['8m38s', 60_000],
    ['12', 12_000],
    ['0', 0],
    ['2030-03-05T10:00:30Z', 30_000],
    ['2030-03-05T09:59:30Z', 0],
    [String(Date.parse(date) / 1000 + 20), 20_000],
    [String(Date.parse(date) + 20_000), 20_000],
    ['soon', undefined],
    ['', undefined],
  ])('a limit that is used up until %s is a rest of %s ms, a minute at most', (reset, restMs) => {
    const headers = { date, 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': reset };
    expect(readHeadroom(headers)).toEqual({ headroom: 0, restMs });
  });

  test('a moment cannot be told without the provider’s own clock', () => {
    const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2030-03-05T10:00:30Z' };
    expect(readHeadroom(headers)).toEqual({ headroom: 0, restMs: undefined });
  });

  test('Retry-After is more exact than the reset of a limit that is used up, and nothing without one', () => {
    const usedUp = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60s', 'retry-after': '7' };
    expect(readHeadroom(usedUp)).toEqual({ headroom: 0, restMs: 7000 });
    expect(readHeadroom({ 'retry-after': '7' })).toEqual(nothing);
  });

  test('a limit with room to spare does not make an account rest when another is used up', () => {
    const headers = {
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '2s',
      'x-ratelimit-remaining-tokens': '100',
      'x-ratelimit-reset-tokens': '50s',
    };
    expect(readHeadroom(headers).restMs).toBe(2000);
  });
});

test('the health book learns the headroom, and that a key with nothing left rests', () => {
  const { health } = new RoutingState();
  noteHeaders(health, 'key:a', { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '4' }, 1000);
  expect(health.read('key:a', 1000)).toMatchObject({ headroom: 0.4, coolingUntilMs: 0 });
  noteHeaders(health, 'key:a', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3' }, 1000);
  expect(health.read('key:a', 1000)).toMatchObject({ headroom: 0, coolingUntilMs: 4000 });
});

const recordings = process.env.RECORDINGS_DIR;

test.runIf(recordings !== undefined)('recorded answers that name a limit all have a headroom', () => {
  const files = readdirSync(recordings!, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.json'),
  );
  let told = 0;
  for (const file of files) {
    const { headers = {} } = JSON.parse(readFileSync(join(recordings!, file), 'utf8')) as {
      headers?: LimitHeaders;
    };
    const names = Object.keys(headers);
    const isComplete = names.some(
      (name) =>
        /ratelimit-limit-/.test(name) &&
        headers[name.replace('ratelimit-limit-', 'ratelimit-remaining-')] !== undefined,
    );
    if (!isComplete) continue;
    const { headroom } = readHeadroom(headers);
    expect(headroom, file).toBeGreaterThanOrEqual(0);
    expect(headroom, file).toBeLessThanOrEqual(1);
    told += 1;
  }
  expect(told).toBeGreaterThan(0);
});
