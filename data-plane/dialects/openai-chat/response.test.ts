import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyCuts, everyCut, oneByOne } from '#test/fixtures/chunks.ts';
import { type StreamFixture, streamFixtures } from '#test/fixtures/openai-chat.ts';
import type { Frame } from '../../framing/frame.ts';
import { sse } from '../../framing/sse.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { type FoldedTurn, foldTurn } from '../../turn/fold.ts';
import { checkTurn, TurnGrammar } from '../../turn/grammar.ts';
import { inputTotal, outputTotal } from '../../turn/usage.ts';
import { reader, unfold } from './response.ts';

function readBytes(pieces: readonly Buffer[]): TurnEvent[] {
  const frames = sse.reader();
  const turn = reader();
  const read = (list: Frame[]) => list.flatMap((frame) => turn.push(frame));
  return [...pieces.flatMap((piece) => read(frames.push(piece))), ...read(frames.end()), ...turn.end()];
}

function readChunks(...chunks: unknown[]): TurnEvent[] {
  const turn = reader();
  const frames = chunks.map(
    (chunk): Frame => ({ data: typeof chunk === 'string' ? chunk : JSON.stringify(chunk) }),
  );
  return [...frames.flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function foldChecked(events: readonly TurnEvent[]): FoldedTurn {
  return foldTurn(checkTurn(events));
}

function delta(fields: object, more: object = {}) {
  return {
    id: 'c',
    model: 'm',
    created: 1,
    choices: [{ index: 0, delta: fields, finish_reason: null, ...more }],
  };
}

function expectSays(turn: FoldedTurn, fixture: StreamFixture): void {
  expect(turn.error).toBeUndefined();
  expect(turn.id).toBe(fixture.id);
  expect(turn.choices.map(({ text }) => text)).toEqual(fixture.texts);
  expect(turn.choices[0]?.reasoning).toBe(fixture.reasoning ?? '');
  expect(turn.choices[0]?.toolCalls.map(({ name, arguments: text }) => ({ name, arguments: text }))).toEqual(
    fixture.calls ?? [],
  );
  expect(turn.choices.map(({ reason }) => reason)).toEqual(fixture.reasons);
  const counted = turn.usage && [inputTotal(turn.usage), outputTotal(turn.usage)];
  expect(counted).toEqual(fixture.tokens);
}

describe.each(streamFixtures)('a stream: $name', (fixture) => {
  test('says what it says, however it is cut', () => {
    const whole = foldChecked(readBytes([fixture.bytes]));
    expectSays(whole, fixture);
    const said = (turn: FoldedTurn) =>
      JSON.stringify({
        ...turn,
        choices: turn.choices.map(({ text, reasoning, toolCalls, reason }) => ({
          text,
          reasoning,
          toolCalls,
          reason,
        })),
      });
    expect(said(foldChecked(readBytes(oneByOne(fixture.bytes))))).toBe(said(whole));
    for (const pieces of everyCut(fixture.bytes))
      expect(said(foldChecked(readBytes(pieces)))).toBe(said(whole));
    fc.assert(
      fc.property(anyCuts(fixture.bytes), (pieces) => {
        expect(said(foldChecked(readBytes(pieces)))).toBe(said(whole));
      }),
      { numRuns: 20 },
    );
  });

  test('that breaks off anywhere is a turn that is whole or ends with an error', () => {
    for (let at = 0; at <= fixture.bytes.length; at += 1) {
      const turn = foldChecked(readBytes([fixture.bytes.subarray(0, at)]));
      if (turn.error === undefined) expect(turn.choices.map(({ text }) => text)).toEqual(fixture.texts);
      else expect(turn.error.code).toBe('upstream_truncated');
    }
  });
});

describe('a whole body', () => {
  const body = {
    id: 'c-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'm',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: 'Hi',
          refusal: null,
          reasoning_content: 'hm',
          annotations: [{ type: 'url_citation' }],
        },
        logprobs: { content: [{ token: 'Hi', logprob: -0.1 }], refusal: null },
        finish_reason: 'stop',
      },
      {
        index: 1,
        message: {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
      {
        index: 2,
        message: { role: 'assistant', content: null, refusal: 'No.' },
        logprobs: null,
        finish_reason: 'stop',
      },
      { index: 3, finish_reason: 'content_filter', content_filter_results: {} },
    ],
    usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
    system_fingerprint: 'fp',
  };

  test('unfolds into the turn it would have streamed', () => {
    const turn = foldChecked(unfold(Buffer.from(JSON.stringify(body))));
    expect(turn).toMatchObject({
      id: 'c-1',
      model: 'm',
      createdAtMs: 1_700_000_000_000,
      rawUsage: '{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}',
    });
    expect(turn.choices).toMatchObject([
      { text: 'Hi', reasoning: 'hm', reason: 'stop' },
      { toolCalls: [{ id: 'a', name: 'f', arguments: '{"x":1}' }], reason: 'tool-calls' },
      { refusal: 'No.', reason: 'stop' },
      { text: '', reason: 'content-filter' },
    ]);
  });

  test('folds as the stream does', () => {
    const chunks = body.choices.map(({ message, ...choice }) => ({
      ...body,
      usage: null,
      choices: [{ ...choice, delta: message }],
    }));
    const streamed = foldChecked(readChunks(...chunks, { ...body, choices: [] }, '[DONE]'));
    const whole = foldChecked(unfold(Buffer.from(JSON.stringify(body))));
    const said = (turn: FoldedTurn) =>
      turn.choices.map(({ text, reasoning, refusal, toolCalls, reason, blocks }) => ({
        text,
        reasoning,
        refusal,
        toolCalls,
        reason,
        extras: blocks.map(({ extras }) => extras),
      }));
    expect(said(streamed)).toEqual(said(whole));
    expect(streamed.usage).toEqual(whole.usage);
  });

  test.each(['', 'null', '[]', '"x"', '<html>', '{}', '{"choices":[]}', '{"choices":[1]}', '{"id":"x"'])(
    'that is no answer is refused: %j',
    (text) => {
      expect(() => unfold(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
    },
  );

  test('that carries an error is a turn that failed', () => {
    const events = unfold(
      Buffer.from('{"error":{"message":"filtered","code":"content_filter","status":400}}'),
    );
    expect(foldChecked(events).error).toMatchObject({ code: 'content_filtered' });
  });
});

describe('a stream that fails', () => {
  test.each<[string, Frame, string]>([
    ['with an error object', { data: '{"error":{"message":"boom","code":502}}' }, 'upstream_error'],
    [
      'with an error beside a choice',
      {
        data: '{"id":"c","error":{"code":429,"message":"slow down"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
      },
      'upstream_rate_limited',
    ],
    [
      'with an error inside a choice',
      { data: '{"id":"c","choices":[{"index":0,"delta":{},"error":{"code":503,"message":"busy"}}]}' },
      'upstream_overloaded',
    ],
    [
      'with an error event',
      {
        event: 'error',
        data: '{"error":{"message":"bad tool","type":"invalid_request_error","code":"tool_use_failed"}}',
      },
      'upstream_rejected',
    ],
    [
      'with a flat error event',
      { event: 'error', data: '{"message":"over","type":"overloaded_error"}' },
      'upstream_overloaded',
    ],
    [
      'with the reason error',
      { data: '{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"error"}]}' },
      'upstream_error',
    ],
    ['with what is no JSON', { data: '<html>' }, 'upstream_invalid'],
    ['with what is no object', { data: '7' }, 'upstream_invalid'],
    ['with an end and no beginning', { data: '[DONE]' }, 'upstream_invalid'],
  ])('%s reports it, once, and nothing after it', (_, frame, code) => {
    for (const before of [[], [{ data: JSON.stringify(delta({ content: 'a' })) }]]) {
      const turn = reader();
      const events = [...before, frame].flatMap((one) => turn.push(one));
      const expected = frame.data === '[DONE]' && before.length > 0 ? undefined : code;
      expect(foldChecked(events).error?.code).toBe(expected);
      expect([...turn.push({ data: JSON.stringify(delta({ content: 'b' })) }), ...turn.end()]).toEqual([]);
    }
  });

  test('reports the usage it had reported', () => {
    const events = readChunks({
      ...delta({ content: 'a' }),
      usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
    });
    expect(foldChecked(events)).toMatchObject({
      error: { code: 'upstream_truncated' },
      usage: { input: 3, output: 1 },
    });
  });
});

describe('vendors’ ways', () => {
  test('arguments as an object, and a call without id or index', () => {
    const turn = foldChecked(
      readChunks(
        delta(
          { tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] },
          { finish_reason: 'tool_calls' },
        ),
      ),
    );
    expect(turn.choices[0]?.toolCalls).toEqual([
      { id: expect.stringMatching(/^call_/), name: 'f', arguments: '{"a":1}' },
    ]);
  });

  test('a custom tool', () => {
    const turn = foldChecked(
      readChunks(
        delta(
          { tool_calls: [{ index: 0, id: 'c', type: 'custom', custom: { name: 'sh', input: 'ls' } }] },
          { finish_reason: 'tool_calls' },
        ),
      ),
    );
    expect(turn.choices[0]?.toolCalls).toEqual([{ id: 'c', name: 'sh', arguments: 'ls' }]);
  });

  test('an id repeated on every delta, or missing on later ones, is still one call', () => {
    const call = (text: string, id?: string) =>
      delta({ tool_calls: [{ index: 0, ...(id ? { id } : {}), function: { name: 'f', arguments: text } }] });
    const turn = foldChecked(readChunks(call('{"a"', 'x'), call(':', 'x'), call('1}'), '[DONE]'));
    expect(turn.choices[0]?.toolCalls).toEqual([{ id: 'x', name: 'f', arguments: '{"a":1}' }]);
    const rotating = foldChecked(readChunks(call('{"a"', 'x'), call(':', 'y'), call('1}', 'z'), '[DONE]'));
    expect(rotating.choices).toEqual(turn.choices);
  });

  test('audio, as data and as a transcript', () => {
    const turn = foldChecked(
      readChunks(
        delta({ audio: { id: 'au', transcript: 'he' } }),
        delta({ audio: { data: 'AAAA' } }),
        delta({ audio: { expires_at: 5 } }, { finish_reason: 'stop' }),
      ),
    );
    expect(turn.choices[0]?.blocks[0]).toMatchObject({ head: { kind: 'audio', id: 'au' }, text: 'AAAA' });
  });

  test.each([
    ['model_length', 'length'],
    ['eos', 'stop'],
    ['function_call', 'tool-calls'],
    ['something_new', 'stop'],
  ])('the finish reason %s', (wire, reason) => {
    expect(foldChecked(readChunks(delta({ content: 'a' }, { finish_reason: wire }))).choices[0]?.reason).toBe(
      reason,
    );
  });
});

test('whatever frames come, the grammar holds and nothing is thrown', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(null, 0, '', 'x', [], {}));
  const toolCall = fc.record(
    {
      index: fc.oneof(fc.nat(2), value),
      id: value,
      function: fc.oneof(value, fc.record({ name: value, arguments: value })),
    },
    { requiredKeys: [] },
  );
  const anyDelta = fc.record(
    {
      role: value,
      content: value,
      reasoning: value,
      reasoning_content: value,
      refusal: value,
      audio: fc.oneof(value, fc.record({ id: value, data: value })),
      tool_calls: fc.oneof(value, fc.array(toolCall)),
      other: value,
    },
    { requiredKeys: [] },
  );
  const choice = fc.record(
    {
      index: fc.oneof(fc.nat(2), value),
      delta: fc.oneof(anyDelta, value),
      finish_reason: fc.oneof(fc.constantFrom(null, 'stop', 'error'), value),
      logprobs: value,
      error: value,
    },
    { requiredKeys: [] },
  );
  const chunk = fc.record(
    {
      id: value,
      model: value,
      created: value,
      choices: fc.oneof(fc.array(choice), value),
      usage: value,
      error: fc.option(value, { freq: 5 }),
      x_groq: value,
    },
    { requiredKeys: [] },
  );
  const frame = fc.record(
    {
      data: fc.oneof(
        { weight: 8, arbitrary: chunk.map((one) => JSON.stringify(one)) },
        fc.constantFrom('[DONE]', '', ' ', '{'),
        fc.string(),
      ),
      event: fc.constantFrom('error', 'x'),
    },
    { requiredKeys: ['data'] },
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
      const grammar = new TurnGrammar();
      const turn = reader();
      for (const event of frames.flatMap((one) => turn.push(one))) grammar.check(event);
      for (const event of turn.end()) grammar.check(event);
      expect(grammar.closed).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
