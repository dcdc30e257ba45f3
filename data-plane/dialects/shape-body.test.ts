import { expect, test } from 'vitest';
import { splice } from '../json/splice.ts';
import type { SpliceTarget } from './dialect.ts';
import { shapeEdits } from './shape-body.ts';

function shaped(text: string, target: Partial<SpliceTarget>): string {
  const body = Buffer.from(text);
  return Buffer.concat(splice(body, shapeEdits(body, { model: 'new', ...target }))).toString();
}

const adds = { version: 'v1' };

test.each([
  ['{"model":"m","a":1}', '{"a":1}'],
  ['{"a":1,"model":"m"}', '{"a":1}'],
  ['{"a":1, "model" : "m" ,"b":2}', '{"a":1, "b":2}'],
  ['{"model":"m"}', '{}'],
])('the model is taken out of %s', (text, expected) => {
  expect(shaped(text, { omitsModel: true })).toBe(expected);
});

test.each([
  ['{"model":"m","a":1}', '{"version":"v1","a":1}'],
  ['{"a":1,"model":"m"}', '{"a":1,"version":"v1"}'],
  ['{"model":"m"}', '{"version":"v1"}'],
  ['{"version":"old","model":"m"}', '{"version":"v1"}'],
  ['{"model":"m","version":{"x":[]},"b":2}', '{"version":"v1","b":2}'],
])('what is added to %s takes its place', (text, expected) => {
  expect(shaped(text, { omitsModel: true, adds })).toBe(expected);
});

test.each([
  ['{"model":"m","a":1}', '{"version":"v1","model":"new","a":1}'],
  ['{"version":"old","model":"m"}', '{"version":"v1","model":"new"}'],
])('where the model stays, it is the new one: %s', (text, expected) => {
  expect(shaped(text, { adds })).toBe(expected);
});

test('a member that stands twice is refused, because readers disagree on which counts', () => {
  expect(() => shaped('{"version":1,"model":"m","version":2}', { adds })).toThrow('stands twice');
});
