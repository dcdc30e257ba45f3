import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromBase64, toBase64 } from './base64.ts';

test('vectors are 32-bit floats, lowest byte first', () => {
  expect(toBase64([1, -0.5])).toBe(Buffer.from([0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf]).toString('base64'));
});

test('what 32 bits hold comes back as it was', () => {
  const number = fc.float({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(fc.array(number, { minLength: 1 }), (vector) => {
      expect(fromBase64(toBase64(vector))).toEqual(vector);
    }),
  );
});

test.each(['', 'AAA=', '!!!'])('%j is no vector', (text) => {
  expect(fromBase64(text)).toBeUndefined();
});
