import { describe, expect, test } from 'vitest';
import { readError } from './read-error.ts';

function waitOf(body: unknown, headers: Readonly<Record<string, string>> = {}, status = 429) {
  return readError(status, headers, Buffer.from(JSON.stringify(body))).retryAfterMs;
}

const saying = (message: string) => ({ error: { message, type: 'requests', code: null } });

describe('a header says', () => {
  test.each<[string, Record<string, string>, number | undefined]>([
    ['seconds', { 'retry-after': '7' }, 7000],
    ['fractions', { 'retry-after': '0.5' }, 500],
    ['a duration', { 'retry-after': '48s' }, 48_000],
    ['milliseconds first', { 'retry-after-ms': '1250', 'retry-after': '2' }, 1250],
    [
      'a date, by the vendor’s clock',
      { 'retry-after': 'Wed, 21 Oct 2015 07:28:30 GMT', date: 'Wed, 21 Oct 2015 07:28:00 GMT' },
      30_000,
    ],
    ['a date that has passed', { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, 0],
    ['an absurd time', { 'retry-after': '99999999' }, 86_400_000],
    ['nonsense', { 'retry-after': 'soon' }, undefined],
    ['nothing', {}, undefined],
  ])('%s', (_, headers, expected) => {
    expect(waitOf(saying('x'), headers)).toBe(expected);
  });
});

describe('a limit’s own headers say when it is lifted', () => {
  const date = 'Wed, 21 Oct 2015 07:28:00 GMT';
  const dateMs = Date.parse(date);

  test.each<[string, Record<string, string>, number]>([
    [
      'OpenAI: of two limits the one that is used up',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '2m59.56s',
        'x-ratelimit-remaining-tokens': '900',
        'x-ratelimit-reset-tokens': '17ms',
      },
      179_560,
    ],
    [
      'both used up: the later one',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '6m0s',
      },
      360_000,
    ],
    [
      'none used up: the sooner one',
      { 'x-ratelimit-reset-requests': '8.64s', 'x-ratelimit-reset-tokens': '7.66s' },
      7660,
    ],
    ['Azure: seconds', { 'x-ratelimit-reset-requests': '10' }, 10_000],
    ['milliseconds since 1970', { 'x-ratelimit-reset': String(dateMs + 2500), date }, 2500],
    ['seconds since 1970', { 'x-ratelimit-reset': String(dateMs / 1000 + 3), date }, 3000],
    [
      'Anthropic: a date',
      {
        'anthropic-ratelimit-tokens-remaining': '0',
        'anthropic-ratelimit-tokens-reset': '2015-10-21T07:28:04Z',
        date,
      },
      4000,
    ],
  ])('%s', (_, headers, expected) => {
    expect(waitOf(saying('x'), headers)).toBe(expected);
  });

  test('OpenRouter: repeated in the body', () => {
    const metadata = {
      headers: { 'X-RateLimit-Reset': String(dateMs + 1000), 'X-RateLimit-Remaining': '0' },
    };
    expect(waitOf({ error: { message: 'Rate limit exceeded', code: 429, metadata } }, { date })).toBe(1000);
  });

  test('and mean nothing where no limit was hit: every answer has them', () => {
    expect(waitOf(saying('x'), { 'x-ratelimit-reset-requests': '10' }, 500)).toBeUndefined();
  });

  test('what is asked for plainly comes first', () => {
    expect(waitOf(saying('x'), { 'retry-after': '1', 'x-ratelimit-reset-requests': '10' })).toBe(1000);
  });
});

describe('the message says', () => {
  test.each<[string, number | undefined]>([
    ['Please try again in 1m6.5s. Visit', 66_500],
    ['Please try again in 20ms.', 20],
    ['Please retry after 6 seconds.', 6000],
    ['Please retry in 48.5s.', 48_500],
    ['Too many requests, wait 2 minutes, 5 seconds', 125_000],
    ['Try again in 1 hour.', 3_600_000],
    ['Rate limit reached', undefined],
    ['Please try again in a while.', undefined],
    ['Please try again in 5 steps.', undefined],
  ])('%s', (message, expected) => {
    expect(waitOf(saying(message))).toBe(expected);
  });
});

test('a detail of the body', () => {
  const details = [
    { '@type': 'q' },
    { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '48s' },
  ];
  expect(waitOf({ error: { code: 429, message: 'x', details } })).toBe(48_000);
  expect(waitOf([{ error: { code: 429, message: 'x', details } }])).toBe(48_000);
});

test('a message made to be slow is read all the same', () => {
  expect(waitOf(saying(`try again in ${'1m'.repeat(5000)}!`))).toBeUndefined();
  expect(waitOf(saying(`try again in ${'1 '.repeat(5000)}`))).toBeUndefined();
});

test('the vendor’s advice on trying again', () => {
  const read = (status: number, advice: string) =>
    readError(status, { 'x-should-retry': advice }, Buffer.from(JSON.stringify(saying('locked'))));
  expect(read(409, 'true').kind.retryable).toBe(true);
  expect(read(409, '').kind.retryable).toBe(false);
  expect(read(429, 'false').code).toBe('upstream_quota_exhausted');
});
