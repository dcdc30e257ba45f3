import { create, toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { HedgeSchema, MirrorSchema, RouteRuleSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { hedgeSpec, mirrorSpec, routeRulesSpec } from '#shared/configuration/route-rules.ts';
import { concurrencyField } from './capacity.ts';
import { abilitiesField, hedgeField, mirrorMessages, ruleMessages } from './route-rules.ts';

function messageOf(rule: object): unknown {
  const [message] = ruleMessages(routeRulesSpec.parse([rule]));
  return toJson(RouteRuleSchema, message!);
}

describe('what data planes are told of a rule', () => {
  test('every condition by its kind, each header and entry of the metadata for itself', () => {
    const when = {
      keys: 'key_1',
      metadata: { feature: ['chat', 'search'], session: '*' },
      headers: { 'x-environment': 'staging' },
      input_tokens: '>=4000',
      stream: false,
      times: [{ days: 'mon-fri', from: '22:00', to: '06:00', zone: 'Europe/Berlin' }],
      cost: '0.05..1.5',
    };
    expect(messageOf({ name: 'all', when, pin: 'a' })).toEqual({
      name: 'all',
      when: [
        { kind: 'keys', values: ['key_1'] },
        { kind: 'metadata', field: 'feature', values: ['chat', 'search'] },
        { kind: 'metadata', field: 'session', values: ['*'] },
        { kind: 'headers', field: 'x-environment', values: ['staging'] },
        { kind: 'input_tokens', min: 4000 },
        { kind: 'stream', values: ['false'] },
        {
          kind: 'times',
          times: [{ weekdays: [1, 2, 3, 4, 5], fromMinute: 1320, toMinute: 360, zone: 'Europe/Berlin' }],
        },
        { kind: 'cost', min: 50_000_000, max: 1_500_000_000 },
      ],
      pin: 'a',
    });
  });

  test.each<[string, object, object]>([
    ['use', { use: 'a' }, { use: { names: ['a'] } }],
    ['exclude', { exclude: ['a', 'b*'] }, { exclude: { names: ['a', 'b*'] } }],
    ['max_cost', { max_cost: 0.02 }, { costMax: '20000000' }],
    ['only', { only: { regions: 'eu' } }, { only: { regions: ['eu'] } }],
    [
      'split',
      { split: { by: 'metadata.session.id', shares: [{ model: 'a', percent: 100 }] } },
      { split: { by: { kind: 'metadata', field: 'session.id' }, shares: [{ name: 'a', percent: 100 }] } },
    ],
  ])('%s', (_, rule, message) => {
    expect(messageOf({ ...rule, unless: { tags: 'urgent' } })).toEqual({
      ...message,
      unless: [{ kind: 'tags', values: ['urgent'] }],
    });
  });
});

test('mirrors and second attempts', () => {
  const [mirror] = mirrorMessages([mirrorSpec.parse({ to: 'next', percent: 5, when: { users: 'ada' } })]);
  expect(toJson(MirrorSchema, mirror!)).toEqual({
    to: 'next',
    percent: 5,
    by: { kind: 'request' },
    when: [{ kind: 'users', values: ['ada'] }],
  });
  const hedge = (written: object) =>
    toJson(HedgeSchema, create(HedgeSchema, hedgeField(hedgeSpec.parse(written)).hedge!));
  expect(hedge({})).toEqual({ requestPercent: 5, spendPercent: 5 });
  expect(hedge({ delay: '1.5s', spend: 0 })).toEqual({ delayMs: 1500, requestPercent: 5 });
});

test('what nobody limits and nobody knows is not said', () => {
  expect(hedgeField(undefined)).toEqual({});
  expect(concurrencyField(undefined)).toEqual({});
  expect(concurrencyField(0)).toEqual({});
  expect(concurrencyField(7)).toEqual({ concurrency: { max: 7, waitingMax: 100, waitMsMax: 10_000 } });
  expect(abilitiesField(undefined)).toEqual({});
  expect(abilitiesField([])).toEqual({ abilities: { names: [] } });
});
