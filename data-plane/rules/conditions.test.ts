import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConditionSchema, TimeWindowSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { conditionsSpec } from '#shared/configuration/route-rules.ts';
import { factsOf, rulesOf } from '#test/harness/route-rules.ts';
import { compileConditions, conditionKinds } from './conditions.ts';
import type { Offer, RequestFacts } from './facts.ts';
import { compileTimeWindow } from './time-windows.ts';

const nothing: Offer = { names: [], costOf: () => undefined };

function applies(conditions: object, facts: Partial<RequestFacts>, offer = nothing): boolean {
  const [rule] = rulesOf({ rules: [{ ...conditions, pin: 'somebody' }] }).rules;
  return rule!.applies(factsOf(facts), offer);
}

describe('a condition', () => {
  test('exists for everything that configuration may ask', () => {
    expect(conditionKinds.toSorted()).toEqual(Object.keys(conditionsSpec.shape).toSorted());
  });

  test.each<[string, object, Partial<RequestFacts>, Partial<RequestFacts>]>([
    ['keys', { keys: ['key_9', 'batch-*'] }, { keyId: 'key_9' }, { keyId: 'key_91' }],
    ['keys, by name', { keys: 'batch-*' }, { keyName: 'batch-7' }, { keyName: 'a batch' }],
    [
      'teams',
      { teams: 'research' },
      { keyMetadata: { team: 'research' } },
      { metadata: { team: 'research' } },
    ],
    ['users', { users: 'ada' }, { user: 'ada' }, { user: '' }],
    ['metadata', { metadata: { a: ['1', '2'] } }, { metadata: { a: '2' } }, { metadata: { b: '2' } }],
    ['metadata that is there', { metadata: { a: '*' } }, { metadata: { a: 'x' } }, { metadata: {} }],
    [
      'metadata of the key before that of the request',
      { metadata: { tier: 'gold' } },
      { keyMetadata: { tier: 'gold' }, metadata: { tier: 'lead' } },
      { keyMetadata: { tier: 'lead' }, metadata: { tier: 'gold' } },
    ],
    ['tags', { tags: 'batch' }, { tags: ['a', 'batch'] }, { tags: [] }],
    [
      'headers',
      { headers: { 'x-environment': 'staging' } },
      { header: (name) => (name === 'x-environment' ? 'staging' : undefined) },
      { header: () => undefined },
    ],
    ['models', { models: 'fast*' }, { model: 'faster' }, { model: 'smart' }],
    ['regions', { regions: 'eu' }, { region: 'eu' }, { region: '' }],
    ['stream', { stream: false }, { isStream: false }, { isStream: true }],
    ['input_tokens', { input_tokens: '200..4000' }, { inputTokens: 4000 }, { inputTokens: 4001 }],
    ['needs', { needs: ['vision', 'audio'] }, { needs: new Set(['audio']) }, { needs: new Set(['tools']) }],
  ])('%s', (_, when, holding, other) => {
    expect(applies({ when }, holding)).toBe(true);
    expect(applies({ when }, other)).toBe(false);
    expect(applies({ unless: when }, holding)).toBe(false);
    expect(applies({ unless: when }, other)).toBe(true);
  });

  test('of a cost looks at the cheapest member whose price is known', () => {
    const costs: Record<string, number> = { dear: 9e9, cheap: 1e9 };
    const at = (cost: string, ...names: string[]) =>
      applies({ when: { cost } }, {}, { names, costOf: (name) => costs[name] });
    expect(at('<=2', 'dear', 'unknown', 'cheap')).toBe(true);
    expect(at('>=1', 'cheap')).toBe(true);
    expect(at('>=1.1', 'dear', 'cheap')).toBe(false);
    expect(at('<=2', 'unknown')).toBe(false);
  });

  test('has to hold together with the others, and any exception alone is enough', () => {
    const when = { tags: 'a', stream: true };
    expect(applies({ when }, { tags: ['a'], isStream: true })).toBe(true);
    expect(applies({ when }, { tags: ['a'], isStream: false })).toBe(false);
    const unless = { tags: 'b', users: 'ada' };
    expect(applies({ when, unless }, { tags: ['a', 'b'], isStream: true })).toBe(false);
    expect(applies({}, {})).toBe(true);
  });

  test('is not asked what takes work before what does not', () => {
    const facts = Object.defineProperty(factsOf(), 'needs', {
      get: () => {
        throw new RangeError('nobody wanted to know');
      },
    });
    const [rule] = rulesOf({ rules: [{ when: { tags: 'a', needs: 'tools' }, pin: 'somebody' }] }).rules;
    expect(rule!.applies(facts, nothing)).toBe(false);
  });

  test.each([
    [{ kind: 'colour', values: ['red'] }, 'rules[0].when.colour unknown_condition'],
    [{ kind: 'constructor', values: ['red'] }, 'rules[0].when.constructor unknown_condition'],
    [{ kind: 'headers', field: 'x-a' }, 'rules[0].when.headers.x-a missing'],
    [{ kind: 'input_tokens' }, 'rules[0].when.input_tokens missing'],
    [{ kind: 'needs', values: ['telepathy'] }, 'rules[0].when.needs unknown_capability'],
    [{ kind: 'stream', values: ['maybe'] }, 'rules[0].when.stream malformed'],
    [{ kind: 'times', times: [{ zone: 'Moon/Base' }] }, 'rules[0].when.times unknown_zone'],
    [{ kind: 'times' }, 'rules[0].when.times missing'],
  ])('that cannot work is refused: %j', (init, expected) => {
    const reports: string[] = [];
    const condition = create(ConditionSchema, init);
    const compiled = compileConditions([condition], 'rules[0].when', (field, code) => {
      reports.push(`${field} ${code}`);
      return undefined;
    });
    expect(compiled).toBeUndefined();
    expect(reports).toEqual([expected]);
  });
});

describe('a time of the week', () => {
  const at = (text: string) => Date.parse(text);
  const isNow = (window: object, wallMs: number) =>
    compileTimeWindow(create(TimeWindowSchema, { zone: 'UTC', ...window }))!(wallMs);
  const night = { weekdays: [5], fromMinute: 1320, toMinute: 360, zone: 'Europe/Berlin' };

  test.each([
    ['2026-06-05T19:59:00Z', false],
    ['2026-06-05T20:00:00Z', true], // Friday, 22:00 in Berlin in summer
    ['2026-06-06T03:59:59Z', true],
    ['2026-06-06T04:00:00Z', false],
    ['2026-06-06T20:30:00Z', false], // Saturday night is not Friday night
    ['2026-12-04T20:30:00Z', false], // in winter it is 21:30 there
    ['2026-12-04T21:00:00Z', true],
  ])('Friday night in Berlin, at %s: %s', (text, expected) => {
    expect(isNow(night, at(text))).toBe(expected);
  });

  test('that begins and ends at the same minute is the whole day', () => {
    expect(isNow({ weekdays: [1], fromMinute: 0, toMinute: 0 }, at('2026-06-01T12:00:00Z'))).toBe(true);
    expect(isNow({ weekdays: [1], fromMinute: 0, toMinute: 1440 }, at('2026-06-01T23:59:59Z'))).toBe(true);
    expect(isNow({ weekdays: [1], fromMinute: 0, toMinute: 0 }, at('2026-06-02T00:00:00Z'))).toBe(false);
  });

  test('holds for the minutes a person would count, on any day and across any midnight', () => {
    const minute = fc.nat({ max: 1439 });
    const weekdays = fc.uniqueArray(fc.integer({ min: 1, max: 7 }));
    fc.assert(
      fc.property(weekdays, minute, minute, fc.nat({ max: 7 * 1440 - 1 }), (days, from, to, now) => {
        const monday = at('2026-06-01T00:00:00Z');
        const length = from < to ? to - from : to - from + 1440;
        const starts = (days.length === 0 ? [1, 2, 3, 4, 5, 6, 7] : days).map((day) => (day - 1) * 1440);
        const expected = starts.some((start) => {
          const begin = from === to ? start : start + from;
          return (now - begin + 7 * 1440) % (7 * 1440) < length;
        });
        const window = { weekdays: days, fromMinute: from, toMinute: to };
        expect(isNow(window, monday + now * 60_000)).toBe(expected);
      }),
    );
  });

  test('is the same however often and in whatever order it is asked', () => {
    const window = compileTimeWindow(create(TimeWindowSchema, night))!;
    const times = ['2026-06-05T20:00:00Z', '2026-06-06T04:00:00Z', '2026-06-05T20:00:00Z'];
    expect(times.map((text) => window(at(text)))).toEqual([true, false, true]);
  });
});
