import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type WrittenHeader,
  writeEvent,
  writeException,
  writeMessage,
} from '#test/fixtures/aws-event-stream.ts';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { awsEventStream, exceptionIn } from './aws-event-stream.ts';
import { readHeaders } from './aws-event-stream-headers.ts';
import type { Frame } from './frame.ts';

function read(pieces: readonly Buffer[]): Frame[] {
  const reader = awsEventStream.reader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

const hello = writeEvent('contentBlockDelta', { delta: { text: 'Zürich ☃' } });
const stream = Buffer.concat([
  writeEvent('messageStart', { role: 'assistant' }),
  hello,
  writeMessage({}, ''),
  writeException('throttlingException', { message: 'slow down' }),
]);
const frames: Frame[] = [
  { event: 'messageStart', data: '{"role":"assistant"}' },
  { event: 'contentBlockDelta', data: '{"delta":{"text":"Zürich ☃"}}' },
  { event: '', data: '' },
  { event: 'exception:throttlingException', data: '{"message":"slow down"}' },
];

const anyHeader: fc.Arbitrary<WrittenHeader> = fc.oneof(
  fc.boolean().map((value) => ({ type: 'boolean' as const, value })),
  fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'byte' as const, value })),
  fc.integer({ min: -32_768, max: 32_767 }).map((value) => ({ type: 'short' as const, value })),
  fc.integer().map((value) => ({ type: 'integer' as const, value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => ({ type: 'long' as const, value })),
  fc.uint8Array().map((value) => ({ type: 'bytes' as const, value: Buffer.from(value) })),
  fc.string({ unit: 'grapheme' }).map((value) => ({ type: 'string' as const, value })),
  fc.bigInt({ min: 0n, max: 2n ** 52n }).map((value) => ({ type: 'timestamp' as const, value })),
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((value) => ({ type: 'uuid' as const, value: Buffer.from(value) })),
);

describe('a stream', () => {
  test('is read as its messages', () => {
    expect(read([stream])).toEqual(frames);
  });

  test('is the same however it is cut', () => {
    expect(read(oneByOne(stream))).toEqual(frames);
    for (const pieces of everyCut(stream)) expect(read(pieces)).toEqual(frames);
    fc.assert(fc.property(anyCuts(stream), (pieces) => void expect(read(pieces)).toEqual(frames)));
  });

  test('that ends inside a message says so, wherever that is', () => {
    for (let length = 1; length < hello.length; length += 1) {
      expect(read([hello.subarray(0, length)])).toEqual([{ data: '', unterminated: true }]);
    }
    expect(read([hello])).toHaveLength(1);
    expect(read([])).toEqual([]);
  });
});

describe('a message', () => {
  test('may have headers of every type around those that matter', () => {
    const headers = fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), anyHeader, { maxKeys: 8 });
    fc.assert(
      fc.property(headers, fc.string({ unit: 'grapheme' }), (others, payload) => {
        const written = writeMessage({ ...others, ':message-type': 'event', ':event-type': 'e' }, payload);
        expect(read([written])).toEqual([{ event: 'e', data: payload }]);
        const values = readHeaders(written.subarray(12, 12 + written.readUInt32BE(4)))!;
        for (const [name, { type, value }] of Object.entries(others)) {
          const plain =
            type === 'timestamp' ? Number(value) : type === 'uuid' ? value.toString('hex') : value;
          expect(values.get(name)).toEqual(plain);
        }
      }),
    );
  });

  test('that reports a failure cannot be taken for an event', () => {
    const [frame] = read([writeException('modelStreamErrorException', { message: 'x' })]);
    expect(exceptionIn(frame!)).toBe('modelStreamErrorException');
    expect(exceptionIn({ event: 'modelStreamErrorException', data: '' })).toBeUndefined();
    expect(exceptionIn({ data: '' })).toBeUndefined();
  });

  test('that reports a failure in its headers alone is one all the same', () => {
    const headers = {
      ':message-type': 'error',
      ':error-code': 'InternalError',
      ':error-message': 'An "error".',
    };
    const [frame] = read([writeMessage(headers, '')]);
    expect(exceptionIn(frame!)).toBe('InternalError');
    expect(JSON.parse(frame!.data)).toEqual({ message: 'An "error".' });
  });
});

describe('bytes that are no message', () => {
  const refused = { code: 'upstream_invalid' };

  test('are refused when any of them was changed', () => {
    for (let at = 0; at < hello.length; at += 1) {
      const broken = Buffer.from(hello);
      broken[at]! ^= 0x01;
      expect(() => read([broken])).toThrow(expect.objectContaining(refused));
    }
  });

  test('are refused as soon as the prelude is there', () => {
    const reader = awsEventStream.reader();
    expect(() => reader.push(Buffer.from('<!doctype html>'))).toThrow(expect.objectContaining(refused));
  });

  test.each([
    ['shorter than its own frame', 15, 0],
    ['with more headers than bytes', 20, 5],
    ['longer than the limit', 0x7fff_ffff, 0],
  ])('are refused when they are %s', (_, total, headers) => {
    const prelude = Buffer.alloc(12);
    prelude.writeUInt32BE(total, 0);
    prelude.writeUInt32BE(headers, 4);
    prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
    expect(() => read([prelude])).toThrow(expect.objectContaining(refused));
  });

  test('are refused whatever they are, or wait for more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12 }), (bytes) => {
        try {
          for (const frame of read([Buffer.from(bytes)])) expect(typeof frame.data).toBe('string');
        } catch (error) {
          expect(error).toMatchObject(refused);
        }
      }),
    );
  });

  test('are refused as headers unless they are headers to the last byte', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void readHeaders(Buffer.from(bytes))));
    expect(readHeaders(Buffer.from([1, 0x61, 10]))).toBeUndefined();
    expect(readHeaders(Buffer.from([1, 0x61, 7, 0]))).toBeUndefined();
    expect(readHeaders(Buffer.from([1, 0x61, 7, 0, 2, 0x61]))).toBeUndefined();
    expect(readHeaders(Buffer.from([200, 0x61]))).toBeUndefined();
  });
});
