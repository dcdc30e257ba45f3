import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { type ParseOutcome, ResponseParser } from './response-parser.ts';

interface Reading {
  outcome: ParseOutcome;
  status: number | undefined;
  headers: Record<string, string>;
  body: string;
  heads: number;
  /** Where the response ended, counted over all pieces. */
  endedAt: number | undefined;
  problem: string;
  parser: ResponseParser;
}

function read(pieces: readonly Buffer[]): Reading {
  const body: Buffer[] = [];
  const reading = { status: undefined, headers: {}, heads: 0 } as unknown as Reading;
  const parser = new ResponseParser({
    onHead: (status, headers) => {
      reading.heads++;
      reading.status = status;
      reading.headers = { ...headers };
    },
    onBody: (chunk) => body.push(Buffer.from(chunk)),
  });
  let outcome: ParseOutcome = 'more';
  let before = 0;
  for (const piece of pieces) {
    outcome = parser.push(piece);
    if (outcome !== 'more') break;
    before += piece.length;
  }
  return Object.assign(reading, {
    outcome,
    body: Buffer.concat(body).toString('latin1'),
    endedAt: outcome === 'complete' ? before + parser.consumed : undefined,
    problem: parser.problem,
    parser,
  });
}

const readText = (text: string): Reading => read([Buffer.from(text, 'latin1')]);
const bytesOf = (text: string): Buffer[] =>
  Array.from(Buffer.from(text, 'latin1'), (byte) => Buffer.from([byte]));
const comparable = ({ outcome, status, headers, body, heads, endedAt }: Reading) => ({
  outcome,
  status,
  headers,
  body,
  heads,
  endedAt,
});

const wellFormed: Record<string, string> = {
  'a body with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello',
  'an empty body': 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  'no reason phrase': 'HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n',
  'chunks, an extension and trailers':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n',
  'chunks without trailers': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
  'interim responses first':
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
  'status 204': 'HTTP/1.1 204 No Content\r\n\r\n',
  'status 304 with a length': 'HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n',
  'values with spaces around and bytes above 127':
    'HTTP/1.1 200 OK\r\ncontent-length: \t0 \r\nx-name: caf\xe9\r\nx-empty:\r\n\r\n',
};

describe('a response reads the same however it is cut', () => {
  for (const [name, text] of Object.entries(wellFormed)) {
    test(name, () => {
      const whole = readText(text);
      expect(whole.outcome).toBe('complete');
      expect(whole.endedAt).toBe(text.length);
      const bytes = Buffer.from(text, 'latin1');
      for (let cut = 0; cut <= bytes.length; cut++) {
        const cutReading = read([bytes.subarray(0, cut), bytes.subarray(cut)]);
        expect(comparable(cutReading)).toEqual(comparable(whole));
      }
      expect(comparable(read(bytesOf(text)))).toEqual(comparable(whole));
    });
  }

  test('no prefix of a response passes for the whole', () => {
    for (const text of Object.values(wellFormed)) {
      for (let end = 0; end < text.length; end++) expect(readText(text.slice(0, end)).outcome).toBe('more');
    }
  });

  test('a body without framing goes on until the connection ends', () => {
    const { outcome, body, parser } = readText('HTTP/1.1 200 OK\r\n\r\nall of this');
    expect({ outcome, body, ends: parser.endsWithConnection }).toEqual({
      outcome: 'more',
      body: 'all of this',
      ends: true,
    });
  });

  test('random bytes are read or refused, the same in one piece or in many', () => {
    const fragments = fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'content-length: 3\r\n',
      'transfer-encoding: chunked\r\n',
      'x: y\r\n',
      '\r\n',
      '\n',
      '\r',
      '3\r\nabc\r\n',
      '0\r\n\r\n',
      ' ',
      ':',
      '\0',
    );
    const noise = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    const texts = fc.array(fc.oneof({ weight: 4, arbitrary: fragments }, { weight: 1, arbitrary: noise }), {
      maxLength: 14,
    });
    fc.assert(
      fc.property(texts, fc.array(fc.nat(40), { maxLength: 6 }), (parts, sizes) => {
        const bytes = Buffer.from(parts.join(''), 'latin1');
        const whole = read([bytes]);
        const pieces: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        pieces.push(bytes.subarray(at));
        expect(comparable(read(pieces))).toEqual(comparable(whole));
        expect(whole.endedAt ?? 0).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('a damaged response never makes the reader throw', () => {
    const corpus = Object.values(wellFormed);
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(255), (which, where, byte) => {
        const bytes = Buffer.from(corpus[which % corpus.length]!, 'latin1');
        bytes[where % bytes.length] = byte;
        expect(['more', 'complete', 'invalid']).toContain(read([bytes]).outcome);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('what two readers could understand differently is refused', () => {
  const head = 'HTTP/1.1 200 OK\r\n';
  const chunked = `${head}transfer-encoding: chunked\r\n\r\n`;
  const refused: Record<string, string> = {
    'a length beside a transfer coding': `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`,
    'two lengths': `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n`,
    'the same length twice': `${head}content-length: 5\r\ncontent-length: 5\r\n\r\n`,
    'a list of lengths': `${head}content-length: 5, 5\r\n\r\n`,
    'a signed length': `${head}content-length: +5\r\n\r\n`,
    'a negative length': `${head}content-length: -1\r\n\r\n`,
    'a hexadecimal length': `${head}content-length: 0x5\r\n\r\n`,
    'an empty length': `${head}content-length:\r\n\r\n`,
    'a length beyond safe integers': `${head}content-length: 99999999999999999999\r\n\r\n`,
    'a length followed by a no-break space': `${head}content-length: 5\xa0\r\n\r\n`,
    'another transfer coding': `${head}transfer-encoding: gzip, chunked\r\n\r\n`,
    'identity as transfer coding': `${head}transfer-encoding: identity\r\n\r\n`,
    'a transfer coding twice': `${head}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`,
    'chunks over HTTP/1.0': 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
    'a space before the colon': `${head}content-length : 5\r\n\r\n`,
    'a folded header': `${head}x-a: 1\r\n 2\r\n\r\n`,
    'a header without a name': `${head}: 5\r\n\r\n`,
    'a line without a colon': `${head}nonsense\r\nx: y\r\n\r\n`,
    'a name that is no token': `${head}x(y): 1\r\n\r\n`,
    'LF alone': 'HTTP/1.1 200 OK\ncontent-length: 0\n\n',
    'LF alone inside a head': `${head}x: y\ncontent-length: 0\r\n\r\n`,
    'CR alone inside a head': `${head}x: y\rcontent-length: 0\r\n\r\n`,
    'a NUL in a value': `${head}x: a\0b\r\n\r\n`,
    'a blank line first': `\r\n${head}content-length: 0\r\n\r\n`,
    'another protocol': 'HTTP/2 200\r\n\r\n',
    'a version that does not exist': 'HTTP/1.2 200 OK\r\n\r\n',
    'a status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
    'a status glued to its reason': 'HTTP/1.1 200OK\r\n\r\n',
    'a protocol switch': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n',
    'interim responses without end': 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(9),
    'a chunk size with a prefix': `${chunked}0x5\r\nhello\r\n`,
    'a chunk size with a sign': `${chunked}+5\r\nhello\r\n`,
    'a chunk size with a space': `${chunked}5 \r\nhello\r\n`,
    'a chunk size that is missing': `${chunked}\r\nhello\r\n`,
    'a chunk size that overflows': `${chunked}${'f'.repeat(17)}\r\nhello\r\n`,
    'a chunk size line that ends in LF': `${chunked}5\nhello\r\n`,
    'an extension with a line feed in it': `${chunked}5;a\nb\r\nhello\r\n`,
    'a chunk longer than announced': `${chunked}5\r\nhelloo\r\n0\r\n\r\n`,
    'a chunk that ends in LF': `${chunked}5\r\nhello\n0\r\n\r\n`,
    'a trailer that is no header': `${chunked}0\r\nno header\r\n\r\n`,
    'a trailer line that ends in LF': `${chunked}0\r\nx: y\n\r\n`,
  };
  for (const [name, text] of Object.entries(refused)) {
    test(name, () => {
      expect(readText(text)).toMatchObject({ outcome: 'invalid', problem: expect.stringMatching(/./) });
      expect(read(bytesOf(text)).outcome).toBe('invalid');
    });
  }
});

describe('everything has a bound', () => {
  const fill = (size: number): string => {
    const start = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: ';
    return `${start}${'a'.repeat(size - start.length)}`;
  };

  test('a head of exactly the limit is read, one byte more is refused', () => {
    const exact = fill(limits.upstreamHeaderBytesMax);
    expect(readText(`${exact}\r\n\r\n`).outcome).toBe('complete');
    expect(read([Buffer.from(exact), Buffer.from('\r\n\r'), Buffer.from('\n')]).outcome).toBe('complete');
    expect(readText(`${exact}a\r\n\r\n`).outcome).toBe('invalid');
    expect(read([Buffer.from(`${exact}a\r\n\r`), Buffer.from('\n')]).outcome).toBe('invalid');
  });

  test('a head that never ends is refused at the limit, not gathered', () => {
    const piece = Buffer.alloc(1000, 'a');
    const pieces = Array.from({ length: limits.upstreamHeaderBytesMax / 1000 + 2 }, () => piece);
    expect(read(pieces).outcome).toBe('invalid');
  });

  test('chunk extensions and trailers cannot carry a body', () => {
    const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
    expect(readText(`${chunked}5;${'a'.repeat(5000)}`).outcome).toBe('invalid');
    expect(readText(`${chunked}0\r\nx: ${'a'.repeat(limits.upstreamHeaderBytesMax)}`).outcome).toBe(
      'invalid',
    );
  });
});

describe('what the head says about the connection', () => {
  const reusable = (head: string): boolean =>
    readText(`${head}\r\ncontent-length: 0\r\n\r\n`).parser.reusable;

  test('HTTP/1.1 keeps it, unless told otherwise', () => {
    expect(reusable('HTTP/1.1 200 OK')).toBe(true);
    expect(reusable('HTTP/1.1 200 OK\r\nConnection: Keep-Alive')).toBe(true);
    expect(reusable('HTTP/1.1 200 OK\r\nConnection: close')).toBe(false);
    expect(reusable('HTTP/1.1 200 OK\r\nConnection: foo , Close')).toBe(false);
    expect(reusable('HTTP/1.1 200 OK\r\nConnection: closed')).toBe(true);
    expect(reusable('HTTP/1.0 200 OK\r\nConnection: keep-alive')).toBe(false);
  });

  test('a 204 that announces a body spoils it', () => {
    expect(readText('HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n').parser.reusable).toBe(false);
  });

  test('the time-out of Keep-Alive is understood', () => {
    const { parser } = readText(
      'HTTP/1.1 200 OK\r\nkeep-alive: max=10, timeout=5\r\ncontent-length: 0\r\n\r\n',
    );
    expect(parser.keepAliveMs).toBe(5000);
  });

  test('a header that came several times is joined, and names cannot reach the prototype', () => {
    const { headers } = readText(
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\n__proto__: polluted\r\ncontent-length: 0\r\n\r\n',
    );
    expect(headers['x-a']).toBe('1, 2');
    expect(Object.getPrototypeOf({})).not.toHaveProperty('polluted');
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

test('one parser reads one response after another', () => {
  const statuses: number[] = [];
  const parser = new ResponseParser({ onHead: (status) => statuses.push(status), onBody: () => undefined });
  for (const text of Object.values(wellFormed)) {
    expect(parser.push(Buffer.from(text, 'latin1'))).toBe('complete');
    parser.reset();
    expect(parser.sawBytes).toBe(false);
  }
  expect(statuses).toHaveLength(Object.keys(wellFormed).length);
});

test('a sink that has enough is told nothing more', () => {
  const chunks: string[] = [];
  const parser: ResponseParser = new ResponseParser({
    onHead: () => undefined,
    onBody: (chunk) => {
      chunks.push(chunk.toString());
      parser.stop();
    },
  });
  const text = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n';
  expect(parser.push(Buffer.from(text))).toBe('stopped');
  expect(chunks).toEqual(['a']);
});
