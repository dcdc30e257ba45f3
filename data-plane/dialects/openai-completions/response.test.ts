import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { openaiCompletions } from './index.ts';

const usage = { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 };

function chunk(text: string, more: object = {}, top: object = {}): string {
  const choices = [{ text, index: 0, logprobs: null, finish_reason: null, ...more }];
  return JSON.stringify({
    id: 'c-1',
    object: 'text_completion',
    created: 1_700_000_000,
    model: 'm',
    choices,
    ...top,
  });
}

function stream(...chunks: string[]): Buffer {
  return Buffer.from(chunks.map((data) => `data: ${data}\n\n`).join(''));
}

const plain = stream(
  chunk('Grüße'),
  chunk(' 🙂', { index: 1 }),
  chunk(', Welt'),
  chunk('', { finish_reason: 'length' }),
  chunk('', { index: 1, finish_reason: 'stop' }),
  JSON.stringify({ id: 'c-1', choices: [], usage }),
  '[DONE]',
);

function read(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(openaiCompletions, pieces);
}

describe('a stream', () => {
  test('reads the same however it is cut', () => {
    const events = checkTurn(read([plain]));
    for (const pieces of everyCut(plain)) expect(read(pieces)).toEqual(events);
    expect(read(oneByOne(plain))).toEqual(events);
    const turn = foldTurn(events);
    expect(turn).toMatchObject({ id: 'c-1', model: 'm', createdAtMs: 1_700_000_000_000, error: undefined });
    expect(turn.choices.map(({ text, reason }) => [text, reason])).toEqual([
      ['Grüße, Welt', 'length'],
      [' 🙂', 'stop'],
    ]);
    expect(turn.usage).toMatchObject({ input: 5, output: 4 });
  });

  test.each<[string, Buffer, string]>([
    ['without its end', stream(chunk('a')), 'upstream_truncated'],
    ['without anything', Buffer.from(''), 'upstream_truncated'],
    ['with an end and nothing else', stream('[DONE]'), 'upstream_invalid'],
    ['of something else', stream('{"id": 1'), 'upstream_invalid'],
    ['cut inside an event', plain.subarray(0, 40), 'upstream_truncated'],
    ['with an error', stream(chunk('a'), '{"error":{"message":"x","code":503}}'), 'upstream_overloaded'],
    ['that begins with an error', stream('{"error":{"message":"x"}}'), 'upstream_error'],
  ])('%s is an error', (_, bytes, code) => {
    expect(foldTurn(checkTurn(read([bytes]))).error?.code).toBe(code);
  });

  test('that ends without its mark is whole when every choice has ended', () => {
    expect(foldTurn(checkTurn(read([stream(chunk('a', { finish_reason: 'stop' }))]))).error).toBeUndefined();
  });

  test('may hold anything: nothing is thrown and the grammar holds', () => {
    const anyChunk = fc.oneof(
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.string(),
      fc.constant('[DONE]'),
    );
    fc.assert(
      fc.property(fc.array(anyChunk, { maxLength: 6 }), (chunks) => {
        checkTurn(read([stream(chunk('a'), ...chunks)]));
        checkTurn(read([stream(...chunks)]));
      }),
      { numRuns: 300 },
    );
  });

  test('passes as it came and is metered', () => {
    fc.assert(
      fc.property(anyCuts(plain), (pieces) => {
        const body = {
          model: 'm',
          prompt: ['a', 'b'],
          stream: true,
          stream_options: { include_usage: true },
        };
        const tap = openaiCompletions.tap(openaiCompletions.peek(Buffer.from(JSON.stringify(body))));
        const { output, report } = tapStream(tap, pieces);
        expect(output.equals(plain)).toBe(true);
        expect(report).toMatchObject({ id: 'c-1', complete: true, usage: { input: 5, output: 4 } });
      }),
    );
  });

  test.each<[unknown, number]>([
    ['a', 1],
    [['a', 'b'], 2],
    [[1, 2, 3], 1],
    [[[1], [2], [3]], 3],
  ])('for the prompt %j is whole without an end mark after %i ends', (prompt, count) => {
    const tap = openaiCompletions.tap(
      openaiCompletions.peek(Buffer.from(JSON.stringify({ model: 'm', prompt }))),
    );
    for (let index = 0; index < count; index += 1) {
      expect(tap.report().complete).toBe(false);
      tap.push(stream(chunk('', { index, finish_reason: 'stop' })));
    }
    expect(tap.report().complete).toBe(true);
  });
});

describe('a whole body', () => {
  const logprobs = {
    tokens: ['Hi', ' you'],
    token_logprobs: [-0.5, -1.5],
    top_logprobs: [{ Hi: -0.5, Ho: -2 }, { ' you': -1.5 }],
    text_offset: [0, 2],
  };
  const body = {
    id: 'c-2',
    object: 'text_completion',
    created: 1_700_000_000,
    model: 'm',
    choices: [{ text: 'Hi you', index: 0, logprobs, finish_reason: 'stop' }],
    usage,
  };

  test('unfolds and renders to what it was, likelihoods included', () => {
    const events = checkTurn(openaiCompletions.unfold(Buffer.from(JSON.stringify(body))));
    const { usage: written, ...rendered } = openaiCompletions.render(events);
    const { usage: _, ...others } = body;
    expect(rendered).toEqual(others);
    expect(written).toMatchObject(usage);
  });

  test.each(['[]', '{}', 'x', '{"choices":[]}'])('that is %s is no answer', (text) => {
    expect(() => openaiCompletions.unfold(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'upstream_invalid' }),
    );
    expect(openaiCompletions.inspect(Buffer.from(text)).error?.code).toBe('upstream_invalid');
  });
});

describe('what a client reads', () => {
  const events: TurnEvent[] = [
    { type: 'turn-start', id: 't-1', model: 'm', createdAtMs: 1000 },
    { type: 'block-start', index: 0, block: { kind: 'reasoning', choice: 0 } },
    { type: 'block-delta', index: 0, text: 'hm' },
    { type: 'block-end', index: 0 },
    { type: 'block-start', index: 1, block: { kind: 'text', choice: 0 } },
    { type: 'block-delta', index: 1, text: 'Hi', logprobs: [{ token: 'Hi', logprob: -1, top: [] }] },
    { type: 'block-delta', index: 1, text: ' you', logprobs: [{ token: ' you', logprob: -2, top: [] }] },
    { type: 'block-end', index: 1 },
    { type: 'usage', usage: foldTurn(read([plain])).usage!, raw: '' },
    { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop' }] },
  ];

  function written(wantsUsage: boolean): string[] {
    const writer = openaiCompletions.writer({ wantsUsage });
    return events.flatMap((event) => writer.push(event)).map(({ data }) => data);
  }

  test('is text and nothing that text completions have no place for', () => {
    const chunks = written(false);
    expect(chunks.at(-1)).toBe('[DONE]');
    const parsed = chunks.slice(0, -1).map((data) => JSON.parse(data));
    expect(parsed.map(({ choices }) => choices[0].text)).toEqual(['Hi', ' you', '']);
    expect(parsed[1].choices[0].logprobs).toMatchObject({ tokens: [' you'], text_offset: [2] });
    expect(parsed[2].choices[0].finish_reason).toBe('stop');
    expect(parsed.every((one) => one.object === 'text_completion' && one.id === 't-1')).toBe(true);
  });

  test('ends with usage for those who asked', () => {
    const chunks = written(true);
    expect(JSON.parse(chunks.at(-2)!)).toMatchObject({ choices: [], usage: { total_tokens: 9 } });
    expect(JSON.parse(chunks[0]!).usage).toBeNull();
  });

  test('says the same as a stream and as a whole', () => {
    const bytes = openaiCompletions.framing.write(written(true).map((data) => ({ data })));
    const streamed = foldTurn(checkTurn(read([bytes])));
    const whole = foldTurn(
      openaiCompletions.unfold(Buffer.from(JSON.stringify(openaiCompletions.render(events)))),
    );
    expect(streamed.choices.map(({ text, reason }) => [text, reason])).toEqual(
      whole.choices.map(({ text, reason }) => [text, reason]),
    );
    expect(streamed.usage).toEqual(whole.usage);
  });
});
