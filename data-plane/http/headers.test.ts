import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { headerList, headerText, pathOf, queryOf } from './headers.ts';

describe('the path of a request target', () => {
  test.each([
    ['/v1/models', '/v1/models'],
    ['/v1/models?a=/b#c', '/v1/models'],
    ['/v1/models#a?b', '/v1/models'],
    ['/', '/'],
    ['', '/'],
    ['*', '/'],
    ['?a', '/'],
    ['http://host', '/'],
    ['http://host?a=/v1/models', '/'],
    ['HTTPS://user@host:1/v1/models?x', '/v1/models'],
    ['http:///v1/models', '/v1/models'],
    ['//host/path', '//host/path'],
    ['/http://host/x', '/http://host/x'],
    ['host:443', '/'],
  ])('%j is %j', (target, path) => {
    expect(pathOf(target)).toBe(path);
  });

  test('always begins with a slash and has no query', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true })), (target) => {
        expect(pathOf(target)).toMatch(/^\/[^?#]*$/s);
      }),
      { seed: 7 },
    );
  });
});

test('the query stands behind the first question mark', () => {
  expect(queryOf('/v1?a=1&b=%20?').get('b')).toBe(' ?');
  expect([...queryOf('/v1')]).toEqual([]);
});

describe('names in headers', () => {
  test.each([
    ['gpt-4o mini (eu)', 'gpt-4o mini (eu)'],
    ['süß', 's%C3%BC%C3%9F'],
    ['a\r\nb', 'a%0D%0Ab'],
    ['\ud800', '%EF%BF%BD'],
  ])('%j is written %j', (name, written) => {
    expect(headerText(name)).toBe(written);
  });

  test('can be told apart in a list', () => {
    expect(headerList(['seed', 'messages[0].content', 'a, b', '+1', '50%', 'x y'])).toBe(
      'seed, messages[0].content, a%2C%20b, %2B1, 50%25, x%20y',
    );
  });

  test('are cut where they are too many or too long', () => {
    const list = headerList(Array.from({ length: 1000 }, (_, at) => `name-${at}`));
    expect(list.length).toBeLessThanOrEqual(limits.droppedHeaderBytesMax + 8);
    const parts = list.split(', ');
    expect(parts.at(-1)).toBe(`+${1000 - (parts.length - 1)}`);
    expect(headerList(['x'.repeat(10_000)])).toHaveLength(limits.droppedNameLengthMax);
  });

  test('are always something that a header can hold', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 40 }), (names) => {
        expect(headerList(names)).toMatch(/^[\x20-\x7e]*$/);
        expect(headerList(names).length).toBeLessThanOrEqual(limits.droppedHeaderBytesMax + 8);
      }),
      { seed: 7 },
    );
  });
});
