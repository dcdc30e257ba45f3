import { describe, expect, test } from 'vitest';
import { concurrencyOf, concurrencySpec } from './capacity.ts';
import { rangeOf } from './range.ts';
import { hedgeSpec, mirrorsSpec, namesInRules, routeRuleSpec, routeRulesSpec } from './route-rules.ts';
import { minuteOfDay, weekdaysOf } from './times.ts';

function complaints(rule: object): string[] {
  const { error } = routeRuleSpec.safeParse(rule);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('a rule of a route', () => {
  test('may ask for everything at once', () => {
    const rule = {
      name: 'night shift',
      when: {
        keys: ['key_1', 'batch-*'],
        teams: 'research',
        users: ['ada'],
        metadata: { feature: ['chat', 'search'], session: '*' },
        tags: 'batch',
        headers: { 'x-environment': 'staging' },
        models: 'fast',
        input_tokens: '>=4000',
        needs: ['tools', 'vision'],
        stream: true,
        regions: 'eu',
        times: [{ days: ['mon-fri'], from: '22:00', to: '06:00', zone: 'Europe/Berlin' }],
        cost: '<=0.5',
      },
      unless: { tags: 'urgent' },
      use: ['gpt-4o-mini'],
    };
    expect(complaints(rule)).toEqual([]);
  });

  test.each<[string, object, string]>([
    ['nothing to do', {}, ': needs exactly one of use, exclude, pin, split, only, max_cost'],
    ['two things to do', { pin: 'a', use: 'b' }, ': needs exactly one of'],
    ['an unknown condition', { when: { colour: 'red' }, pin: 'a' }, 'when: Unrecognized key'],
    ['an asterisk in the middle', { exclude: 'gpt-*-mini' }, 'exclude: may hold * at its end only'],
    [
      'a header with a credential',
      { when: { headers: { authorization: '*' } }, pin: 'a' },
      'when.headers.authorization',
    ],
    [
      'a time zone on no map',
      { when: { times: [{ zone: 'Moon/Base' }] }, pin: 'a' },
      'when.times.0.zone: must be a time zone',
    ],
    ['a range backwards', { when: { input_tokens: '9..3' }, pin: 'a' }, 'must not end before it begins'],
    ['a range of nothing', { when: { input_tokens: '..' }, pin: 'a' }, 'must be a range such as ">=4000"'],
    [
      'shares of something else than all',
      { split: { shares: [{ model: 'a', percent: 90 }] } },
      'split.shares: must add up to 100 percent',
    ],
    ['an unknown owner', { split: { by: 'moon', shares: [] } }, 'split.by: must be request, key, user or'],
    ['only, but nothing', { only: {} }, 'only: needs providers, regions or tags'],
  ])('is refused with %s', (_, rule, complaint) => {
    expect(complaints(rule).join('\n')).toContain(complaint);
  });

  test('says which names it leads to, and where', () => {
    const rules = routeRulesSpec.parse([
      { use: ['a', 'b'] },
      { use: 'c' },
      { pin: 'd' },
      { exclude: ['x*'] },
      { split: { shares: [{ model: 'e', percent: 100 }] } },
    ]);
    const mirrors = mirrorsSpec.parse([{ to: 'f' }]);
    expect(namesInRules({ rules, mirrors }).map(({ name, path }) => `${path} ${name}`)).toEqual([
      'rules[0].use[0] a',
      'rules[0].use[1] b',
      'rules[1].use c',
      'rules[2].pin d',
      'rules[4].split.shares[0].model e',
      'mirrors[0].to f',
    ]);
  });
});

test('second attempts are modest unless told otherwise', () => {
  expect(hedgeSpec.parse({})).toEqual({ delay: 'p95', requests: 5, spend: 5 });
  expect(hedgeSpec.safeParse({ delay: '800ms' }).success).toBe(true);
  const complaint = (delay: string) => JSON.stringify(hedgeSpec.safeParse({ delay }).error?.issues);
  expect(complaint('soon')).toContain('must be p95, or a duration');
  expect(complaint('2h')).toContain('must be between 1ms and 1h');
});

test('concurrency is a number, or says who may wait', () => {
  const read = (written: unknown) => concurrencyOf(concurrencySpec.parse(written));
  expect(read(20)).toEqual({ max: 20, waitingMax: 100, waitMsMax: 10_000 });
  expect(read({ max: 5, queue: 0, wait: '2s' })).toEqual({ max: 5, waitingMax: 0, waitMsMax: 2000 });
  expect(read(0)).toBeUndefined();
  expect(read({ max: 0 })).toBeUndefined();
  expect(concurrencyOf(undefined)).toBeUndefined();
});

test.each([
  ['>=4000', { min: 4000 }],
  ['<= 0.25', { max: 0.25 }],
  ['200..4000', { min: 200, max: 4000 }],
  [' 0.01 .. 10.5 ', { min: 0.01, max: 10.5 }],
])('the range %j', (written, range) => {
  expect(rangeOf(written)).toEqual(range);
});

test('days and times of day', () => {
  expect(weekdaysOf(['mon'])).toEqual([1]);
  expect(weekdaysOf(['tue-thu', 'sun', 'wed'])).toEqual([2, 3, 4, 7]);
  expect(weekdaysOf(['sat-mon'])).toEqual([1, 6, 7]);
  expect(weekdaysOf([])).toEqual([]);
  expect(minuteOfDay('08:30')).toBe(510);
  expect(minuteOfDay('24:00')).toBe(1440);
});
