import { randomBytes } from 'node:crypto';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Coding, decodeBody, encodeBody, representationFor } from './compress.ts';

const JSON_TYPE = 'application/json';
const LARGE = 4096;

function chosen(header: string | undefined, bytes = LARGE, type = JSON_TYPE): string {
  return representationFor(header, type, bytes).coding ?? 'identity';
}

describe('the coding of an answer', () => {
  test.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['br', 'br'],
    ['zstd', 'zstd'],
    ['deflate', 'identity'],
    ['gzip, deflate', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['gzip;q=0.5,br;q=0.5', 'br'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0.000', 'identity'],
    ['gzip;q=0, *', 'zstd'],
    ['*', 'zstd'],
    ['*;q=0', 'identity'],
    ['identity', 'identity'],
    ['identity;q=0.5, gzip;q=0.8', 'gzip'],
    ['identity;q=0.9, gzip;q=0.8', 'identity'],
    ['identity;q=0.8, gzip;q=0.8', 'gzip'],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['*;q=0.1, gzip;q=0', 'zstd'],
    [' gzip ; q=0.3 , br ; Q=0.2', 'gzip'],
    // Not a weight: it is not there.
    ['gzip;q=2, br;q=0.1', 'br'],
    ['gzip;q=0.1234', 'identity'],
    ['gzip gzip', 'identity'],
    ['gzip;level=9', 'identity'],
    ['gzip;q=0.2, gzip;q=0.9, br;q=0.5', 'br'],
  ])('for %j is %s', (header, coding) => {
    expect(chosen(header)).toBe(coding);
  });

  test.each([
    ['application/json; charset=utf-8', 'gzip'],
    ['Application/JSON', 'gzip'],
    ['application/problem+json', 'gzip'],
    ['text/plain; version=0.0.4', 'gzip'],
    ['text/event-stream', 'identity'],
    ['text/event-stream; charset=utf-8', 'identity'],
    ['application/jsonl', 'identity'],
    ['audio/mpeg', 'identity'],
    ['image/png', 'identity'],
    ['application/octet-stream', 'identity'],
    ['application/x-ndjson', 'identity'],
    ['', 'identity'],
  ])('of %j is %s where gzip is accepted', (type, coding) => {
    expect(chosen('gzip', LARGE, type)).toBe(coding);
    expect(representationFor(undefined, type, LARGE).varies).toBe(coding === 'gzip');
  });

  test('is none for small and for very large ones, which are the same for everybody', () => {
    expect(representationFor('gzip', JSON_TYPE, 1023)).toEqual({ coding: undefined, varies: false });
    expect(chosen('gzip', 1024)).toBe('gzip');
    expect(representationFor('gzip', JSON_TYPE, 9 * 1024 * 1024)).toEqual({
      coding: undefined,
      varies: false,
    });
  });

  test('is one for small ones too where the bytes as they are were refused', () => {
    expect(chosen('gzip, identity;q=0', 10)).toBe('gzip');
  });

  test('is none where nothing fits, rather than throwing an answer away that has been paid for', () => {
    expect(chosen('identity;q=0')).toBe('identity');
    expect(chosen('deflate, *;q=0')).toBe('identity');
  });

  test('never fails, whatever the header says', () => {
    const element = fc.tuple(
      fc.constantFrom('gzip', 'br', 'zstd', '*', 'identity', 'x', ''),
      fc.oneof(fc.constant(''), fc.constantFrom(';q=0', ';q=1', ';q=0.5', ';q=', ';', ';q=1.5'), fc.string()),
    );
    const header = fc.oneof(
      fc.string(),
      fc.array(element).map((all) => all.map((one) => one.join('')).join(',')),
    );
    fc.assert(
      fc.property(header, (text) => {
        expect(['identity', 'gzip', 'br', 'zstd']).toContain(chosen(text));
      }),
      { seed: 7 },
    );
  });
});

describe('a body', () => {
  const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };

  test.each(['gzip', 'br', 'zstd'] as const)('in %s is what it was', async (coding) => {
    for (const body of [
      Buffer.alloc(0),
      Buffer.from('{"a":"ü"}'),
      Buffer.alloc(300_000, 'ab'),
      randomBytes(5000),
    ]) {
      const encoded = await encodeBody(body, coding);
      expect(decoders[coding](encoded).equals(body)).toBe(true);
      expect((await decodeBody(encoded, coding, 400_000)).equals(body)).toBe(true);
    }
  });

  test.each(['gzip', 'br', 'zstd'] as const)('in %s that unfolds to too much is given up', async (coding) => {
    const bomb = await encodeBody(Buffer.alloc(20_000_000), coding);
    expect(bomb.length).toBeLessThan(30_000);
    await expect(decodeBody(bomb, coding, 1_000_000)).rejects.toMatchObject({ code: 'ERR_BUFFER_TOO_LARGE' });
  });

  test.each(['gzip', 'br', 'zstd'] as const)(
    'that is not in %s, or not whole, is refused',
    async (coding: Coding) => {
      const encoded = await encodeBody(Buffer.from('hello hello hello hello'), coding);
      await expect(decodeBody(encoded.subarray(0, -3), coding, 1000)).rejects.toThrow();
      await expect(decodeBody(Buffer.from('{"model":"ok"}'), coding, 1000)).rejects.toThrow();
    },
  );
});
