import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from './parse.ts';

test.each([
  ['{"a":tru}', 'a value', 1, 6],
  ['{"a":}', 'a value', 1, 6],
  ['{\n"a" 1}', '":"', 2, 5],
  ['[1 2]', '",", "}" or "]"', 1, 4],
  ['[1,]', 'a value', 1, 4],
  ['{"a":1,}', 'a key in double quotes', 1, 8],
  ['{"a":"\\q"}', 'a value', 1, 6],
  ['[1', '",", "}" or "]"', 1, 3],
  ['{}x', 'nothing more', 1, 3],
  ['', 'a value', 1, 1],
])('%j is refused with the place and what was expected', (text, expected, line, column) => {
  const problem = { line, column, message: expect.stringContaining(`expected ${expected}`) };
  expect(() => parseJson(Buffer.from(text))).toThrow(
    expect.objectContaining({ code: 'invalid_json', problems: [expect.objectContaining(problem)] }),
  );
});

test('what is broken anywhere is refused, and never with another error', () => {
  const broken = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '{', ']', ',', 'x', '\\'))
    .map(([json, at, by]) => {
      const place = at % (json.length + 1);
      return json.slice(0, place) + by + json.slice(place + 1);
    });
  fc.assert(
    fc.property(broken, (text) => {
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        expect(() => parseJson(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }));
        return;
      }
      expect(parseJson(text)).toEqual(parsed);
    }),
  );
});
