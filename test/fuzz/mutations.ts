// Bytes as a broken or hostile peer might send them: valid ones, damaged in a few places.
import fc from 'fast-check';

interface Damage {
  readonly kind: 'flip' | 'cut' | 'repeat' | 'insert' | 'value';
  /** From 0 to 1: where. */
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom(
    'flip' as const,
    'cut' as const,
    'repeat' as const,
    'insert' as const,
    'value' as const,
  ),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 40 }),
  bytes: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 8 }),
    fc
      .constantFrom('\n\n', 'data:', '{', '}', '"', '\\', '\u0000', '[[[[', 'null', '\r\n', 'event: error')
      .map((text) => Buffer.from(text)),
  ),
});

/** Values of every type, and of sizes that nobody expects. */
const values = [
  'null',
  '-1',
  '1e999',
  '""',
  '[]',
  '{}',
  '{"__proto__":{"a":1}}',
  'true',
  '[[[]]]',
  '123456789012345678901',
];

export function damaged(valid: Buffer): fc.Arbitrary<Buffer> {
  return fc.array(damage, { minLength: 1, maxLength: 4 }).map((list) => list.reduce(apply, valid));
}

function apply(bytes: Buffer, { kind, at, length, bytes: inserted }: Damage): Buffer {
  const place = Math.min(Math.floor(at * bytes.length), Math.max(0, bytes.length - 1));
  const before = bytes.subarray(0, place);
  const end = Math.min(bytes.length, place + length);
  switch (kind) {
    case 'flip':
      return Buffer.concat([
        before,
        Buffer.from(inserted.map((byte, index) => byte ^ (bytes[place + index] ?? 0))),
        bytes.subarray(place + inserted.length),
      ]);
    case 'cut':
      return Buffer.concat([before, bytes.subarray(end)]);
    case 'repeat':
      return Buffer.concat([before, bytes.subarray(place, end), bytes.subarray(place)]);
    case 'insert':
      return Buffer.concat([before, inserted, bytes.subarray(place)]);
    case 'value':
      return replaceValue(bytes, place, length);
  }
}

/** The next value behind a colon becomes another one, so that JSON stays JSON and only its meaning is odd. */
function replaceValue(bytes: Buffer, from: number, choice: number): Buffer {
  const text = bytes.toString('latin1');
  const found = /:\s*("(?:[^"\\]|\\.)*"|-?\d+|true|false|null)/g;
  found.lastIndex = from;
  const match = found.exec(text);
  if (match === null) return bytes;
  const start = match.index + match[0].length - match[1]!.length;
  const value = values[choice % values.length]!;
  return Buffer.from(text.slice(0, start) + value + text.slice(start + match[1]!.length), 'latin1');
}
