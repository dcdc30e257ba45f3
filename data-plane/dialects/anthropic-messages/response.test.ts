import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyCuts, everyCut } from '#test/fixtures/chunks.ts';
import { readStream, tapStream } from '#test/harness/read-stream.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { foldTurn } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { anthropicMessages } from './index.ts';

const { framing, writer, render, unfold, tap, inspect, readError, renderError } = anthropicMessages;

/** What Claude streams, with everything in it that has surprised a client. */
const stream: readonly object[] = [
  { type: 'ping' },
  {
    type: 'message_start',
    message: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-x',
      content: [],
      stop_reason: null,
      usage: {
        input_tokens: 10,
        cache_read_input_tokens: 5,
        cache_creation_input_tokens: 2,
        output_tokens: 1,
      },
    },
  },
  { type: 'message_start', message: { id: 'msg_2', usage: { input_tokens: 99 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm 世' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'sig' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'something_new', index: 7 },
  { type: 'content_block_start', index: 2, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 2, delta: { type: 'text_delta', text: 'Grüße "usage"' } },
  { type: 'content_block_stop', index: 2 },
  {
    type: 'content_block_start',
    index: 5,
    content_block: { type: 'tool_use', id: 't1', name: 'now', input: {} },
  },
  { type: 'content_block_delta', index: 5, delta: { type: 'input_json_delta', partial_json: '' } },
  { type: 'content_block_stop', index: 5 },
  {
    type: 'content_block_start',
    index: 6,
    content_block: { type: 'tool_use', id: 't2', name: 'add', input: {} },
  },
  { type: 'content_block_delta', index: 6, delta: { type: 'input_json_delta', partial_json: '{"a"' } },
  { type: 'content_block_delta', index: 6, delta: { type: 'input_json_delta', partial_json: ':1}' } },
  { type: 'content_block_stop', index: 6 },
  {
    type: 'message_delta',
    delta: { stop_reason: 'tool_use', stop_sequence: null },
    usage: { input_tokens: 11, output_tokens: 40, output_tokens_details: { thinking_tokens: 30 } },
  },
  { type: 'message_stop' },
];

function bytesOf(events: readonly object[], lineEnd = '\n'): Buffer {
  const lines = events.map(
    (event) =>
      `event: ${(event as { type: string }).type}${lineEnd}data: ${JSON.stringify(event)}   ${lineEnd}${lineEnd}`,
  );
  return Buffer.from(lines.join(''));
}

const bytes = bytesOf(stream);

function read(pieces: readonly Buffer[]): TurnEvent[] {
  return readStream(anthropicMessages, pieces);
}

function tapped(pieces: readonly Buffer[]) {
  return tapStream(tap(anthropicMessages.peek(Buffer.from('{"model":"m"}'))), pieces);
}

const usage = {
  input: 11,
  inputCacheRead: 5,
  inputCacheWrite: 2,
  inputAudio: 0,
  output: 10,
  outputReasoning: 30,
  outputAudio: 0,
};

describe('a stream', () => {
  test('reads as a turn, whatever is strewn in between', () => {
    const turn = foldTurn(checkTurn(read([bytes])));
    expect(turn).toMatchObject({ id: 'msg_1', model: 'claude-x', usage });
    expect(turn.choices[0]).toMatchObject({
      text: 'Grüße "usage"',
      reasoning: 'hm 世',
      reason: 'tool-calls',
      toolCalls: [
        { id: 't1', name: 'now', arguments: '{}' },
        { id: 't2', name: 'add', arguments: '{"a":1}' },
      ],
    });
    expect(turn.choices[0]!.blocks[0]!.signature).toEqual({ maker: 'anthropic', value: 'sig' });
  });

  test('reads and is metered the same however it is cut', () => {
    const events = read([bytes]);
    const whole = tapped([bytes]);
    expect(whole.output.equals(bytes)).toBe(true);
    expect(whole.report).toMatchObject({ id: 'msg_1', usage, complete: true, error: undefined });
    for (const pieces of everyCut(bytes)) {
      expect(read(pieces)).toEqual(events);
      expect(tapped(pieces)).toEqual(whole);
    }
    fc.assert(
      fc.property(anyCuts(bytes), (pieces) => {
        expect(tapped(pieces)).toEqual(whole);
      }),
    );
  });

  test('that ends at any byte before its end is told to be truncated', () => {
    for (let at = 0; at < bytes.length - 30; at += 1) {
      const turn = foldTurn(checkTurn(read([bytes.subarray(0, at)])));
      expect(turn.error?.code).toBe('upstream_truncated');
      expect(tapped([bytes.subarray(0, at)]).report).toMatchObject({ complete: false, error: undefined });
    }
  });

  test('with CRLF reads like any other', () => {
    expect(read([bytesOf(stream, '\r\n')])).toEqual(read([bytes]));
    expect(tapped([bytesOf(stream, '\r\n')]).report).toEqual(tapped([bytes]).report);
  });

  test('with an error in it fails, and the tap has heard of it too', () => {
    const failed = bytesOf([
      ...stream.slice(0, 12),
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    ]);
    expect(foldTurn(checkTurn(read([failed]))).error?.code).toBe('upstream_overloaded');
    const { output, report } = tapped([failed]);
    expect(output.equals(failed)).toBe(true);
    expect(report).toMatchObject({ complete: false, error: { code: 'upstream_overloaded' } });
  });

  test.each(['data: {"type": \u0007}\n\n', 'data: []\n\n', '{"type":"error","error":{"message":"no"}}'])(
    'that goes on with %j ends there',
    (garbage) => {
      const isStart = garbage.startsWith('{');
      const broken = Buffer.concat([
        isStart ? Buffer.alloc(0) : bytes.subarray(0, 400),
        Buffer.from(garbage),
      ]);
      expect(tapped([broken]).report.error).toBeDefined();
      expect(tapped([broken]).isBroken || isStart).toBe(true);
      expect(foldTurn(checkTurn(read([broken]))).error).toBeDefined();
    },
  );
});

describe('a written stream', () => {
  test('reads as what was written', () => {
    const machine = writer({ wantsUsage: true });
    const frames = read([bytes]).flatMap((event) => machine.push(event));
    // The order of the counts is ours.
    const said = (events: readonly TurnEvent[]) => events.map((event) => ({ ...event, raw: undefined }));
    expect(said(read([framing.write(frames)]))).toEqual(said(read([bytes])));
  });

  test('has its blocks one after the other, though they came interleaved', () => {
    const machine = writer({ wantsUsage: true });
    const events: TurnEvent[] = [
      { type: 'turn-start', id: 'c', model: 'm' },
      { type: 'block-start', index: 0, block: { kind: 'tool-call', choice: 0, id: 'a', name: 'f' } },
      { type: 'block-start', index: 1, block: { kind: 'tool-call', choice: 0, id: 'b', name: 'g' } },
      { type: 'block-delta', index: 1, text: '{"b":2}' },
      { type: 'block-delta', index: 0, text: '{"a":1}' },
      { type: 'block-end', index: 0 },
      { type: 'block-end', index: 1 },
      { type: 'turn-end', reasons: [{ choice: 0, reason: 'tool-calls' }] },
    ];
    const shape = events
      .flatMap((event) => machine.push(event))
      .map(({ data }) => JSON.parse(data))
      .map(({ type, index }) => [type, index]);
    expect(shape).toEqual([
      ['message_start', undefined],
      ['content_block_start', 0],
      ['content_block_delta', 0],
      ['content_block_stop', 0],
      ['content_block_start', 1],
      ['content_block_delta', 1],
      ['content_block_stop', 1],
      ['message_delta', undefined],
      ['message_stop', undefined],
    ]);
  });

  test('for a chat client says what the turn said, without what is only Anthropic’s', () => {
    const machine = openaiChat.writer({ wantsUsage: true });
    const frames = read([bytes]).flatMap((event) => machine.push(event));
    const back = openaiChat.reader();
    const turn = foldTurn(checkTurn([...frames.flatMap((frame) => back.push(frame)), ...back.end()]));
    const { text, reasoning, toolCalls, reason } = foldTurn(read([bytes])).choices[0]!;
    expect(turn.choices[0]).toMatchObject({ text, reasoning, toolCalls, reason });
    expect(turn.usage).toEqual(usage);
  });
});

describe('a whole body', () => {
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-x',
    content: [
      { type: 'thinking', thinking: 'hm', signature: 'sig' },
      { type: 'redacted_thinking', data: 'xyz' },
      { type: 'text', text: 'So', citations: [{ type: 'char_location', cited_text: 'x' }] },
      { type: 'tool_use', id: 't', name: 'f', input: { a: 1 } },
    ],
    stop_reason: 'stop_sequence',
    stop_sequence: '##',
    usage: {
      input_tokens: 1,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: 2,
    },
  };

  test('renders to what it was', () => {
    const events = checkTurn(unfold(Buffer.from(JSON.stringify(message))));
    expect(render(events)).toEqual(message);
  });

  test.each([
    ['end_turn', 'stop'],
    ['pause_turn', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content-filter'],
    ['tool_use', 'tool-calls'],
    ['something_new', 'stop'],
  ])('that ended with %s ended with %s', (stop_reason, reason) => {
    const content = [{ type: 'text', text: 'x' }];
    const turn = foldTurn(unfold(Buffer.from(JSON.stringify({ ...message, content, stop_reason }))));
    expect(turn.choices[0]!.reason).toBe(reason);
  });

  test.each(['', 'no json', '[]', '{"id":"x"}', '<html>'])('of %j is no answer', (body) => {
    expect(inspect(Buffer.from(body)).error?.code).toBe('upstream_invalid');
    expect(() => unfold(Buffer.from(body))).toThrow(expect.objectContaining({ code: 'upstream_invalid' }));
  });
});

describe('an error', () => {
  const errorBody = (type: string, message: string) =>
    Buffer.from(JSON.stringify({ type: 'error', error: { type, message }, request_id: 'req_1' }));

  test.each([
    [401, 'authentication_error', 'invalid x-api-key', 'upstream_unauthorized'],
    [403, 'permission_error', 'no', 'upstream_unauthorized'],
    [404, 'not_found_error', 'model: claude-9', 'upstream_model_missing'],
    [400, 'invalid_request_error', 'prompt is too long: 9 tokens > 8 maximum', 'context_length_exceeded'],
    [400, 'invalid_request_error', 'Your credit balance is too low', 'upstream_quota_exhausted'],
    [400, 'invalid_request_error', 'messages: at least one', 'upstream_rejected'],
    [429, 'rate_limit_error', 'slow', 'upstream_rate_limited'],
    [529, 'overloaded_error', 'Overloaded', 'upstream_overloaded'],
    [500, 'api_error', 'oh', 'upstream_error'],
  ])('%i %s (%s) is %s', (status, type, message, code) => {
    const error = readError(status, { 'retry-after': '3' }, errorBody(type, message));
    expect(error).toMatchObject({ code, retryAfterMs: 3000 });
    expect(renderError(error)).toMatchObject({ type: 'error', error: { message: error.message } });
  });
});
