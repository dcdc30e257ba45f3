import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import type { Frame } from './frame.ts';
import { sse } from './sse.ts';

function read(pieces: readonly Uint8Array[]): Frame[] {
  const reader = sse.reader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

const streams: readonly {
  readonly name: string;
  readonly text: string;
  readonly frames: readonly Frame[];
}[] = [
  { name: 'LF', text: 'data: a\n\ndata: b\n\n', frames: [{ data: 'a' }, { data: 'b' }] },
  { name: 'CRLF', text: 'data: a\r\n\r\ndata: b\r\n\r\n', frames: [{ data: 'a' }, { data: 'b' }] },
  { name: 'CR', text: 'data: a\r\rdata: b\r\r', frames: [{ data: 'a' }, { data: 'b' }] },
  {
    name: 'mixed line ends',
    text: 'data: a\r\n\ndata: b\n\r\ndata: c\r\r\n',
    frames: ['a', 'b', 'c'].map((data) => ({ data })),
  },
  {
    name: 'no space after the colon',
    text: 'data:a\n\ndata:  b\n\n',
    frames: [{ data: 'a' }, { data: ' b' }],
  },
  { name: 'several data lines', text: 'data: a\ndata:\ndata: b\n\n', frames: [{ data: 'a\n\nb' }] },
  { name: 'comments', text: ': ping\n\n:\ndata: a\n: x\n\n', frames: [{ data: 'a' }] },
  {
    name: 'named events and unknown fields',
    text: 'event: error\nid: 7\nretry: 5\ndata: {}\n\n',
    frames: [{ event: 'error', data: '{}' }],
  },
  { name: 'an event without data', text: 'event: ping\n\ndata: a\n\n', frames: [{ data: 'a' }] },
  { name: 'a byte order mark', text: '\uFEFFdata: a\n\n', frames: [{ data: 'a' }] },
  {
    name: 'characters of several bytes',
    text: 'data: Grüße 世界 🙂\n\n',
    frames: [{ data: 'Grüße 世界 🙂' }],
  },
  {
    name: 'a last event without its blank line',
    text: 'data: a\n\ndata: b',
    frames: [{ data: 'a' }, { data: 'b', unterminated: true }],
  },
  { name: 'blank lines in between', text: '\n\n\ndata: a\n\n\n\n', frames: [{ data: 'a' }] },
];

describe.each(streams)('a stream with $name', ({ text, frames }) => {
  const bytes = Buffer.from(text);

  test('reads the same whole, cut anywhere, and byte by byte', () => {
    expect(read([bytes])).toEqual(frames);
    expect(read(oneByOne(bytes))).toEqual(frames);
    for (const pieces of everyCut(bytes)) expect(read(pieces)).toEqual(frames);
    fc.assert(
      fc.property(anyCuts(bytes), (pieces) => {
        expect(read(pieces)).toEqual(frames);
      }),
    );
  });
});

test('any bytes read the same however they are cut', () => {
  const bytes = fc
    .array(fc.constantFrom('data:', ' ', '\n', '\r', ':', 'event: e', 'x', 'ü', '\uFEFF'), { maxLength: 30 })
    .map((parts) => Buffer.from(parts.join('')));
  fc.assert(
    fc.property(
      bytes.chain((whole) => anyCuts(whole).map((pieces) => ({ whole, pieces }))),
      ({ whole, pieces }) => {
        expect(read(pieces)).toEqual(read([whole]));
      },
    ),
  );
});

test('what is written reads as it was, line breaks included', () => {
  const frame = fc.record({ data: fc.string({ unit: 'binary' }).filter((data) => !data.includes('\r')) });
  fc.assert(
    fc.property(fc.array(frame), (frames) => {
      expect(read([sse.write(frames)])).toEqual(frames);
    }),
  );
  expect(sse.write([{ event: 'error', data: '{}' }]).toString()).toBe('event: error\ndata: {}\n\n');
});

test('an event that never ends is refused at the limit', () => {
  const reader = sse.reader();
  const piece = Buffer.alloc(1024 * 1024, 'x');
  reader.push(Buffer.from('data: '));
  const pushAll = () => {
    for (let sent = 0; sent <= limits.streamEventBytesMax; sent += piece.length) reader.push(piece);
  };
  expect(pushAll).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
});
