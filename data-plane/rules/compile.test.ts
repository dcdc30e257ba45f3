import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { MirrorSchema, RouteRuleSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { compileRouteRules } from './compile.ts';

type RuleInit = Parameters<typeof create<typeof RouteRuleSchema>>[1];

const unknown = { kind: 'colour', values: ['red'] };
const by = { kind: 'key' };

test.each<[string, RuleInit, string]>([
  [
    'a condition',
    { when: [unknown], outcome: { case: 'pin', value: 'a' } },
    'rules[0].when.colour unknown_condition',
  ],
  [
    'an exception',
    { unless: [unknown], outcome: { case: 'pin', value: 'a' } },
    'rules[0].unless.colour unknown_condition',
  ],
  ['an outcome', {}, 'rules[0] unknown_outcome'],
  [
    'an owner',
    { outcome: { case: 'split', value: { shares: [{ name: 'a', percent: 1 }], by: { kind: 'moon' } } } },
    'rules[0].split.by unknown_owner',
  ],
  ['no shares', { outcome: { case: 'split', value: { by } } }, 'rules[0].split.shares missing'],
])('a rule with %s that this build does not know is refused, with its place', (_, init, expected) => {
  const reports: string[] = [];
  const report = (field: string, code: string) => void reports.push(`${field} ${code}`);
  const route = { slug: 'smart', rules: [create(RouteRuleSchema, init)], mirrors: [] };
  expect(compileRouteRules(route, report as never)).toBeUndefined();
  expect(reports).toEqual([expected]);
});

test('a mirror likewise', () => {
  const reports: string[] = [];
  const report = (field: string, code: string) => void reports.push(`${field} ${code}`);
  const mirrors = [create(MirrorSchema, { to: 'a', by: { kind: 'moon' }, when: [unknown] })];
  expect(compileRouteRules({ slug: 'smart', rules: [], mirrors }, report as never)).toBeUndefined();
  expect(reports).toEqual(['mirrors[0].when.colour unknown_condition', 'mirrors[0].by unknown_owner']);
});
