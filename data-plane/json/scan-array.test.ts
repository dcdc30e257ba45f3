import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { scanArray } from './scan.ts';

function itemsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  return scanArray(bytes, 0, bytes.length).map(({ start, end }) => bytes.toString('utf8', start, end));
}

test('the items of a list stand where they stand', () => {
  expect(itemsOf('[ 1 ,"a,]" , {"b":[2]},[] ]')).toEqual(['1', '"a,]"', '{"b":[2]}', '[]']);
  expect(itemsOf('[ ]')).toEqual([]);
});

test.each(['{}', '[1', '[1 2]', '[1,]', '[,1]', '[', ''])('%s is no list', (text) => {
  expect(() => itemsOf(text)).toThrow(SignalboxError);
});

test('any list is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 })), (list) => {
      expect(itemsOf(JSON.stringify(list)).map((item) => JSON.parse(item))).toEqual(
        JSON.parse(JSON.stringify(list)),
      );
    }),
  );
});
