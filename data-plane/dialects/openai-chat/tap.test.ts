import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { streamFixtures } from '#test/fixtures/openai-chat.ts';
import { sse } from '../../framing/sse.ts';
import { inputTotal, outputTotal } from '../../turn/usage.ts';
import type { StreamReport } from '../dialect.ts';
import { peek } from '../openai-request-head.ts';
import { inspect, tap } from './tap.ts';

interface Tapped {
  readonly output: string;
  readonly report: StreamReport;
}

function run(pieces: readonly Buffer[], { wantsUsage = false, n = 1 } = {}): Tapped {
  const options = wantsUsage ? { stream_options: { include_usage: true } } : {};
  const machine = tap(peek(Buffer.from(JSON.stringify({ model: 'm', stream: true, n, ...options }))));
  // What comes out may be a view of what went in, so it is copied before the next bytes come.
  const passed = pieces.map((piece) => Buffer.from(machine.push(piece)));
  const { bytes, report } = machine.end();
  return { output: Buffer.concat([...passed, bytes]).toString(), report };
}

function withoutUsageChunks(text: string): string {
  return text.replaceAll(
    /data: ?\{[^\r\n]*"choices":\[\][^\r\n]*"usage":\{[^\r\n]*\}(\r\n\r\n|\n\n|\r\r)/g,
    '',
  );
}

/** What a connection that ended there leaves of a stream: whole events, and a last one that only lacks its blank line. */
function withoutHalfEvent(text: string): string {
  const ends = [...text.matchAll(/\r\n\r\n?|\n\n|\r\r/g)].map((end) => end.index + end[0].length);
  const left = text.slice(ends.at(-1) ?? 0);
  const data = /^data: ?(.*?)[\r\n]*$/s.exec(left)?.[1] ?? '';
  const isWhole = data === '[DONE]' || isJson(data);
  return isWhole ? text : text.slice(0, text.length - left.length);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function event(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function text(content: string, more: object = {}): string {
  return event({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more });
}

describe.each(streamFixtures)('a stream: $name', (fixture) => {
  const n = fixture.choices ?? 1;
  const whole = fixture.bytes.toString();

  test('passes byte for byte to a client that asked for usage, however it is cut', () => {
    const check = (pieces: readonly Buffer[]) => {
      const { output, report } = run(pieces, { wantsUsage: true, n });
      expect(output).toBe(whole);
      expect(report).toMatchObject({ id: fixture.id, complete: true, error: undefined });
      expect(report.usage && [inputTotal(report.usage), outputTotal(report.usage)]).toEqual(fixture.tokens);
    };
    check([fixture.bytes]);
    check(oneByOne(fixture.bytes));
    for (const pieces of everyCut(fixture.bytes)) check(pieces);
    fc.assert(fc.property(anyCuts(fixture.bytes), check), { numRuns: 20 });
  });

  test('loses its usage chunk, and nothing else, for a client that did not ask', () => {
    const expected = withoutUsageChunks(whole);
    expect(expected === whole).toBe(fixture.usageChunks === 0);
    const check = (pieces: readonly Buffer[]) => {
      const { output, report } = run(pieces, { n });
      expect(output).toBe(expected);
      expect(report).toMatchObject({ id: fixture.id, complete: true });
      expect(report.usage && [inputTotal(report.usage), outputTotal(report.usage)]).toEqual(fixture.tokens);
    };
    check([fixture.bytes]);
    check(oneByOne(fixture.bytes));
    for (const pieces of everyCut(fixture.bytes)) check(pieces);
    fc.assert(fc.property(anyCuts(fixture.bytes), check), { numRuns: 20 });
  });

  test('that breaks off anywhere passes whole events only and never reports an error of the provider', () => {
    for (let at = 0; at <= fixture.bytes.length; at += 1) {
      const { output, report } = run([fixture.bytes.subarray(0, at)], { wantsUsage: true, n });
      expect(output).toBe(withoutHalfEvent(fixture.bytes.subarray(0, at).toString()));
      expect(report.error).toBeUndefined();
    }
    expect(
      run([fixture.bytes.subarray(0, fixture.bytes.indexOf('finish_reason"') - 1)]).report.complete,
    ).toBe(false);
  });
});

describe('what comes out while a stream runs', () => {
  const machine = () => tap(peek(Buffer.from('{"model":"m","stream":true}')));

  test('is every whole event at once, and no half one', () => {
    const running = machine();
    const first = text('one');
    const second = text('two');
    expect(running.push(Buffer.from(first + second.slice(0, 20))).toString()).toBe(first);
    expect(running.push(Buffer.from(second.slice(20))).toString()).toBe(second);
    expect(running.push(Buffer.from(': ping\n\n')).toString()).toBe(': ping\n\n');
  });

  test('is the very buffer that came in, when nothing is held or hidden', () => {
    const running = machine();
    const bytes = Buffer.from(text('one') + text('two'));
    expect(running.push(bytes)).toBe(bytes);
  });

  test('is known so far when a stream is given up', () => {
    const running = machine();
    running.push(Buffer.from(text('a', { usage: { prompt_tokens: 2, completion_tokens: 1 } })));
    expect(running.report()).toMatchObject({
      id: 'c',
      complete: false,
      rawUsage: '{"prompt_tokens":2,"completion_tokens":1}',
    });
  });

  test('ends when an event never does', () => {
    const running = machine();
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const pushAll = () => {
      for (let sent = 0; sent <= limits.streamEventBytesMax; sent += piece.length) running.push(piece);
    };
    expect(pushAll).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
  });
});

describe('a stream is complete', () => {
  const finish = (index: number) =>
    event({ id: 'c', choices: [{ index, delta: {}, finish_reason: 'stop' }] });

  test.each<[string, string, number, boolean]>([
    ['with its end mark', 'data: [DONE]\n\n', 1, true],
    ['with an end mark that lacks its blank line', 'data: [DONE]', 1, true],
    ['when its only choice ended', finish(0), 1, true],
    ['not when one of two choices ended', finish(0), 2, false],
    ['when both choices ended', finish(0) + finish(1), 2, true],
    ['not when it merely says so in its text', text('[DONE] "finish_reason":"stop"'), 1, false],
    ['not with half an end mark', 'data: [DON', 1, false],
    ['not after an error', `${event({ error: { message: 'x' } })}data: [DONE]\n\n`, 1, false],
  ])('%s', (_, bytes, n, complete) => {
    expect(run([Buffer.from(text('a') + bytes)], { n }).report.complete).toBe(complete);
  });
});

describe('an error in a stream is seen, and passes', () => {
  test.each([
    ['as an object', event({ error: { message: 'busy', code: 503 } }), 'upstream_overloaded'],
    [
      'beside a choice',
      event({
        id: 'c',
        error: { message: 'slow', code: 429 },
        choices: [{ index: 0, delta: {}, finish_reason: 'error' }],
      }),
      'upstream_rate_limited',
    ],
    [
      'as an event',
      'event: error\ndata: {"error":{"message":"x","type":"server_error"}}\n\n',
      'upstream_error',
    ],
  ])('%s', (_, bytes, code) => {
    for (const before of ['', text('a')]) {
      const { output, report } = run([Buffer.from(before + bytes)]);
      expect(output).toBe(before + bytes);
      expect(report).toMatchObject({ complete: false, error: { code } });
    }
  });

  test('but not when nothing marks its end: then nobody would read it', () => {
    const { output, report } = run([Buffer.from(`${text('a')}data: {"error":{"message":"x","code":503}}`)]);
    expect(output).toBe(text('a'));
    expect(report).toMatchObject({ complete: false, error: { code: 'upstream_overloaded' } });
  });
});

describe('what is no part of such a stream', () => {
  const nonsense: readonly (readonly [string, string])[] = [
    ['a line of text', 'data: Bad gateway\n\n'],
    ['half a chunk with an end', 'data: {"id": 1, \u0007\n\n'],
    ['the other half', 'data: 1}\n\n'],
    ['half a chunk that begins like those before', `${text('a').slice(0, 40)}\n\n`],
    ['a chunk with an interesting key, cut', 'data: {"finish_reason":"x\n\n'],
    ['a number', 'data: 17\n\n'],
    ['a list', 'data: [{"id":"c"}]\n\n'],
    ['nothing that a brace would end', 'data: {"id":"c"}, {\n\n'],
    ['text in a named event', 'event: status\ndata: busy\n\n'],
    ['text with CRLF', 'data: busy\r\n\r\n'],
  ];

  test.each(nonsense)('is reported, and nothing passes from there on: %s', (_, bytes) => {
    for (const before of ['', text('a'), text('a') + text('b') + text('c')]) {
      const whole = Buffer.from(`${before}${bytes}${text('z')}data: [DONE]\n\n`);
      for (const pieces of [[whole], oneByOne(whole), ...everyCut(whole)]) {
        const { output, report } = run(pieces);
        expect(output).toBe(before);
        expect(report).toMatchObject({ complete: false, error: { code: 'upstream_invalid' } });
      }
    }
  });

  test('breaks the tap, which an error in the provider’s words does not', () => {
    const machine = tap(peek(Buffer.from('{"model":"m","stream":true}')));
    machine.push(Buffer.from(text('a') + event({ error: { message: 'busy' } })));
    expect(machine.isBroken).toBe(false);
    const other = tap(peek(Buffer.from('{"model":"m","stream":true}')));
    other.push(Buffer.from(`${text('a', { usage: { prompt_tokens: 2, completion_tokens: 1 } })}data: x\n\n`));
    expect(other.isBroken).toBe(true);
    expect(other.report()).toMatchObject({ id: 'c', usage: { input: 2, output: 1 } });
  });

  test('is dropped without further ado behind the end mark', () => {
    const whole = `${text('a')}data: [DONE]\n\n`;
    const { output, report } = run([Buffer.from(`${whole}data: bye\n\n`)]);
    expect(output).toBe(whole);
    expect(report).toMatchObject({ complete: true, error: undefined });
  });

  test.each([
    ['a comment with a brace', ': {"ping":1}\n\n'],
    ['a field behind the data', `${text('b').trimEnd()}\nid: 7\n\n`],
    ['a chunk over several lines', 'data: {"id":"c",\ndata: "choices":[]}\n\n'],
    ['spaces around a chunk', `data:   ${text('b').slice(6).trimEnd()} \t\n\n`],
    ['no space before a chunk', `data:${text('b').slice(6)}`],
    ['an empty event', 'data:\n\n'],
  ])('is not to be confused with: %s', (_, bytes) => {
    for (const before of ['', text('a')]) {
      const whole = `${before}${bytes}${text('z')}data: [DONE]\n\n`;
      const { output, report } = run([Buffer.from(whole)]);
      expect(output).toBe(whole);
      expect(report).toMatchObject({ complete: true, error: undefined });
    }
  });

  test('also is a body, and what it says is the error', () => {
    const body = '{"error":{"message":"no","code":"content_filter","status":400}}';
    for (const bytes of [body, `${body}\n\n`, `: ping\n\n${body}\n`]) {
      const { output, report } = run([Buffer.from(bytes)]);
      expect(output).toBe(bytes.startsWith(':') ? ': ping\n\n' : '');
      expect(report.error).toMatchObject({ code: 'content_filtered' });
    }
  });
});

describe('what the end of the connection left of a last event', () => {
  const finished = event({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  const usage = event({ id: 'c', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });

  test('is dropped when it is half an event, and the stream is as complete as it was', () => {
    for (const last of [usage, 'data: [DONE]\n', ': a comment\n', 'event: x\ndata: {"a":1}\n']) {
      for (let length = 1; length < last.trimEnd().length; length += 1) {
        const { output, report } = run([Buffer.from(finished + last.slice(0, length))], { wantsUsage: true });
        expect(output).toBe(finished);
        expect(report).toMatchObject({ complete: true, error: undefined });
      }
    }
  });

  test('passes when only its blank line is missing', () => {
    for (const last of [usage.trimEnd(), `${usage.trimEnd()}\n`, 'data: [DONE]', 'data: [DONE]\r\n']) {
      expect(run([Buffer.from(finished + last)], { wantsUsage: true }).output).toBe(finished + last);
    }
  });
});

test('an event that begins otherwise than those before it is looked at from its beginning', () => {
  const plain = event({ id: 'c', vendor: { a: 'abcde' }, choices: [{ index: 0, delta: { content: 'x' } }] });
  const failing = event({
    id: 'c',
    error: { code: 'slow' },
    choices: [{ index: 0, delta: { content: 'x' } }],
  });
  expect(failing.length).toBeGreaterThanOrEqual(plain.length);
  expect(run([Buffer.from(plain + plain + plain + failing)]).report.error).toMatchObject({
    code: 'upstream_error',
  });
});

test('keys in what the model says, or in vendor fields, mean nothing', () => {
  const said = [
    '"usage":{"prompt_tokens":99}',
    '\\"error\\":{}',
    'usage',
    '"',
    '"choices":[]',
    'finish_reason',
  ];
  const events = said.map((content) =>
    text(content, { vendor: { usage: { prompt_tokens: 98 }, error: { a: 1 }, choices: [] } }),
  );
  const own = event({ id: 'c', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 }, error: null });
  const { output, report } = run([Buffer.from(events.join('') + own)]);
  expect(output).toBe(events.join(''));
  expect(report).toMatchObject({ error: undefined, complete: false, usage: { input: 1, output: 1 } });
});

test('for any stream the output is the input without its usage chunks, and the report does not depend on the cuts', () => {
  const chunk = fc.oneof(
    fc.string({ unit: 'grapheme' }).map((content) => text(content)),
    fc.string().map((content) => text(content, { usage: { prompt_tokens: 3, completion_tokens: 2 } })),
    fc.constantFrom(
      ': ping\n\n',
      'event: x\ndata: {}\n\n',
      'data: [DONE]\n\n',
      '\n',
      text('x', { usage: null }),
    ),
    fc.constant(event({ id: 'c', choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } })),
  );
  const stream = fc
    .tuple(fc.array(chunk, { maxLength: 8 }), fc.constantFrom('\n', '\r\n', '\r'))
    .map(([events, lineEnd]) => Buffer.from(events.join('').replaceAll('\n', lineEnd)));
  const cut = stream.chain((whole) => anyCuts(whole).map((pieces) => ({ whole, pieces })));
  fc.assert(
    fc.property(cut, ({ whole, pieces }) => {
      const one = run([whole]);
      const many = run(pieces);
      expect(many).toEqual(one);
      expect(sse.reader().push(Buffer.from(one.output))).toEqual(
        sse.reader().push(Buffer.from(withoutUsageChunks(whole.toString()))),
      );
    }),
    { numRuns: 300 },
  );
});

describe('a whole body', () => {
  const body = {
    id: 'c-1',
    choices: [{ index: 0, message: { content: 'say "error"' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
  };

  test('is metered without being parsed', () => {
    expect(inspect(Buffer.from(JSON.stringify(body, null, 2)))).toMatchObject({
      id: 'c-1',
      usage: { input: 7, output: 2 },
      error: undefined,
    });
    expect(inspect(Buffer.from(JSON.stringify(body))).rawUsage).toBe(
      '{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}',
    );
    expect(inspect(Buffer.from('{"choices":[{"index":0,"message":{}}]}'))).toEqual({
      id: '',
      usage: undefined,
      rawUsage: '',
      error: undefined,
    });
  });

  test.each([
    ['{"error":{"message":"x","code":"content_filter","status":400}}', 'content_filtered'],
    ['{"id":"x","choices":[{"index":0,"error":{"code":429,"message":"x"}}]}', 'upstream_rate_limited'],
    ['{"detail":"Not Found"}', 'upstream_invalid'],
    ['{"choices":[]}', 'upstream_invalid'],
    ['<html><body>login</body></html>', 'upstream_invalid'],
    ['', 'upstream_invalid'],
    [JSON.stringify(body).slice(0, -9), 'upstream_invalid'],
  ])('that is no answer: %s', (wire, code) => {
    expect(inspect(Buffer.from(wire)).error).toMatchObject({ code });
  });
});
