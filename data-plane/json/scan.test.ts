import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { type ScannedObject, scanObject, stringAt, wantedKeys } from './scan.ts';

const keys = wantedKeys('model', 'stream');

function scan(text: string): ScannedObject {
  return scanObject(Buffer.from(text), keys);
}

/** The text of a member's value. */
function textAt(text: string, key: string): string | undefined {
  const bytes = Buffer.from(text);
  const member = scanObject(bytes, keys).members[key];
  return member === undefined ? undefined : bytes.toString('utf8', member.start, member.end);
}

test('any object is read as JSON.parse reads it', () => {
  const body = fc.record({ model: fc.json(), stream: fc.json() }, { requiredKeys: [] }).chain((own) =>
    fc
      .tuple(fc.array(fc.tuple(fc.string({ minLength: 15 }), fc.json())), fc.constantFrom('', ' ', '\n\t'))
      .map(([others, space]) => {
        const members = [...others, ...Object.entries(own)].map(
          ([key, value]) => `${JSON.stringify(key)}${space}:${space}${value}`,
        );
        return `${space}{${space}${members.join(`${space},${space}`)}${space}}${space}`;
      }),
  );
  fc.assert(
    fc.property(body, (text) => {
      const parsed = JSON.parse(text) as Record<string, unknown>;
      for (const key of ['model', 'stream']) {
        const value = textAt(text, key);
        expect(value === undefined ? undefined : JSON.parse(value)).toEqual(parsed[key]);
      }
      expect(scan(text).isEmpty).toBe(Object.keys(parsed).length === 0);
    }),
  );
});

test('a key with escapes counts as the key it spells', () => {
  expect(textAt('{"mod\\u0065l":"a"}', 'model')).toBe('"a"');
  expect(scan('{"model":"a","mod\\u0065l":"b"}').ambiguous).toEqual({ key: 'model', written: 'model' });
});

test.each([
  '{"model":1,"x":2,"model":3}',
  '{"model":1,"Model":2}',
  '{"MODEL":1}',
  '{"\\u004dodel":1,"model":2}',
])('whoever acts on a key is told that %s is ambiguous', (text) => {
  expect(scan(text).ambiguous?.key).toBe('model');
});

test('keys inside values are not the body’s own', () => {
  expect(scan('{"x":{"model":1},"y":["model"],"z":"\\"model\\":1"}').members).toEqual({});
});

test('strings of any length and with any escapes are passed over', () => {
  const text = fc.array(fc.constantFrom('a'.repeat(70), '\\', '"', '\\"', 'ü', '\n', '}'), { maxLength: 40 });
  fc.assert(
    fc.property(text, (parts) => {
      const value = JSON.stringify(parts.join(''));
      expect(textAt(`{"x":${value},"model":${value}}`, 'model')).toBe(value);
    }),
  );
});

test('part of a larger text can be scanned, and positions are those of the larger text', () => {
  const bytes = Buffer.from('{"options":{"model":"m"},"model":"outer"}');
  const member = scanObject(bytes, keys, 11, 24).members.model!;
  expect(stringAt(bytes, member)).toBe('m');
});

describe('what is not an object says where and what was expected', () => {
  test.each([
    ['', 'a JSON object', 1, 1],
    ['[]', 'a JSON object', 1, 1],
    ['"x"', 'a JSON object', 1, 1],
    ['{', 'a key', 1, 2],
    ['{"a"', '":"', 1, 5],
    ['{"a":', 'a value', 1, 6],
    ['{"a":}', 'a value', 1, 6],
    ['{"a":01}', 'a value', 1, 6],
    ['{"a":nul}', 'a value', 1, 6],
    ['{"a":NaN}', 'a value', 1, 6],
    ['{"a":1', '"," or "}"', 1, 7],
    ['{"a":1,}', 'a key', 1, 8],
    ['{"a":1 "b":2}', '"," or "}"', 1, 8],
    ['{a:1}', 'a key', 1, 2],
    ['{"a":[1}', '"]"', 1, 8],
    ['{"a":{"b":[}]}', '"]"', 1, 12],
    ['{"a":"b', 'the closing quote', 1, 8],
    ['{"a":"b\\"', 'the closing quote', 1, 10],
    ['{"a":1}\n x', 'nothing more', 2, 2],
    ['{\n "ü": 1,\n  }', 'a key', 3, 3],
    ['{"\\x":1}', 'a string with valid escapes', 1, 2],
  ])('%j', (text, expected, line, column) => {
    const problem = { line, column, message: expect.stringContaining(expected) };
    expect(() => scan(text)).toThrow(
      expect.objectContaining({ code: 'invalid_json', problems: [expect.objectContaining(problem)] }),
    );
  });
});

test('nesting ends at the limit', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  expect(() => scan(nested(limits.jsonDepthMax))).not.toThrow();
  expect(() => scan(nested(limits.jsonDepthMax + 1))).toThrow(
    expect.objectContaining({ code: 'invalid_json' }),
  );
});

test('any bytes either scan or are refused as JSON', () => {
  const bytes = fc
    .array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'model', '1', ' ', 'null'))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(bytes, (text) => {
      try {
        scan(text);
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'invalid_json' });
      }
    }),
  );
});
