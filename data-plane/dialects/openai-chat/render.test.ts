import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { streamFixtures } from '#test/fixtures/openai-chat.ts';
import { sse } from '../../framing/sse.ts';
import type { TurnEvent } from '../../turn/events.ts';
import { type FoldedTurn, foldTurn, unfoldBlock } from '../../turn/fold.ts';
import { checkTurn } from '../../turn/grammar.ts';
import { noUsage } from '../../turn/usage.ts';
import { render, writer } from './render.ts';
import { reader, unfold } from './response.ts';

const start: TurnEvent = { type: 'turn-start', id: 'c', model: 'm', createdAtMs: 5999 };
const usage: TurnEvent = {
  type: 'usage',
  usage: { ...noUsage, input: 3, output: 2, inputCacheRead: 4 },
  raw: '',
};
const end: TurnEvent = { type: 'turn-end', reasons: [{ choice: 0, reason: 'stop' }] };
const hello = unfoldBlock(0, { kind: 'text', choice: 0 }, ['Hel', 'lo']);

function write(events: readonly TurnEvent[], wantsUsage = false): unknown[] {
  const machine = writer({ wantsUsage });
  return events
    .flatMap((event) => machine.push(event))
    .map(({ data }) => (data === '[DONE]' ? data : JSON.parse(data)));
}

function readAll(bytes: Buffer): TurnEvent[] {
  const frames = sse.reader();
  const turn = reader();
  return [...[...frames.push(bytes), ...frames.end()].flatMap((frame) => turn.push(frame)), ...turn.end()];
}

function said({ id, model, choices, usage: counted }: FoldedTurn) {
  return {
    id,
    model,
    counted,
    choices: choices.map(({ index, text, reasoning, refusal, toolCalls, reason }) => ({
      index,
      text,
      reasoning,
      refusal,
      toolCalls,
      reason,
    })),
  };
}

describe('a stream', () => {
  const base = { id: 'c', object: 'chat.completion.chunk', created: 5, model: 'm' };
  const chunk = (delta: object, finish: string | null = null) => ({
    ...base,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });

  test('opens with the role, ends each choice and then itself', () => {
    expect(write([start, ...hello, usage, end])).toEqual([
      chunk({ role: 'assistant', content: '', refusal: null }),
      chunk({ content: 'Hel' }),
      chunk({ content: 'lo' }),
      chunk({}, 'stop'),
      '[DONE]',
    ]);
  });

  test('carries usage last, and null before, for a client that asked', () => {
    const chunks = write([start, ...hello, usage, end], true);
    expect(chunks.slice(0, -2)).toEqual(
      chunks.slice(0, -2).map(() => expect.objectContaining({ usage: null })),
    );
    expect(chunks.at(-2)).toEqual({
      ...base,
      choices: [],
      usage: {
        prompt_tokens: 7,
        completion_tokens: 2,
        total_tokens: 9,
        prompt_tokens_details: { cached_tokens: 4, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    });
  });

  test('gives tool calls a dense index, their name first, and {} where there are no arguments', () => {
    const calls = [
      ...unfoldBlock(0, { kind: 'tool-call', choice: 0, id: 'a', name: 'f' }, ['{"x"', ':1}']),
      ...unfoldBlock(1, { kind: 'tool-call', choice: 0, id: 'b', name: 'g' }, []),
    ];
    const deltas = write([start, ...calls, { ...end, reasons: [{ choice: 0, reason: 'tool-calls' }] }])
      .slice(1, -2)
      .map(
        (one) => (one as { choices: { delta: { tool_calls: unknown[] } }[] }).choices[0]?.delta.tool_calls[0],
      );
    expect(deltas).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 0, function: { arguments: '{"x"' } },
      { index: 0, function: { arguments: ':1}' } },
      { index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '' } },
      { index: 1, function: { arguments: '{}' } },
    ]);
  });

  test('that fails ends with an error and no end mark', () => {
    const error = new SignalboxError('upstream_truncated', 'It broke off.');
    expect(write([start, ...hello.slice(0, 2), { type: 'turn-error', error }]).at(-1)).toEqual({
      error: { message: 'It broke off.', type: 'api_error', param: null, code: 'upstream_truncated' },
    });
  });

  test('of a choice that said nothing still opens and ends it', () => {
    expect(write([start, end])).toEqual([
      chunk({ role: 'assistant', content: '', refusal: null }),
      chunk({}, 'stop'),
      '[DONE]',
    ]);
  });

  test('leaves another dialect’s extras out', () => {
    const foreign = { dialect: 'other', fields: { secret: 1, delta: { secret: 1 } } };
    const events: TurnEvent[] = [
      { ...start, extras: foreign },
      hello[0]!,
      { type: 'block-delta', index: 0, text: 'x', extras: foreign },
      hello.at(-1)!,
      { ...end, extras: foreign } as TurnEvent,
    ];
    expect(JSON.stringify(write(events))).not.toContain('secret');
    expect(JSON.stringify(render(events))).not.toContain('secret');
  });
});

describe.each(streamFixtures)('a turn read from: $name', ({ bytes }) => {
  const events = checkTurn(readAll(bytes));

  test('says the same when it is written and read again', () => {
    const machine = writer({ wantsUsage: true });
    const again = readAll(sse.write(events.flatMap((event) => machine.push(event))));
    expect(said(foldTurn(checkTurn(again)))).toEqual(said(foldTurn(events)));
  });

  test('says the same when it is rendered whole and unfolded', () => {
    const again = unfold(Buffer.from(JSON.stringify(render(events))));
    expect(said(foldTurn(checkTurn(again)))).toEqual(said(foldTurn(events)));
  });
});

test('a body of this dialect comes back with everything it had', () => {
  const body = {
    id: 'c',
    object: 'chat.completion',
    created: 7,
    model: 'm',
    service_tier: 'default',
    system_fingerprint: 'fp',
    citations: ['a', 'b'],
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: 'Hi',
          refusal: null,
          reasoning_content: 'hm',
          annotations: [{ type: 'x' }],
        },
        logprobs: { content: [{ token: 'Hi', logprob: -1 }], refusal: null },
        finish_reason: 'stop',
        content_filter_results: { hate: { filtered: false } },
      },
      {
        index: 1,
        message: {
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [
            {
              id: 'a',
              type: 'function',
              function: { name: 'f', arguments: '{"x":1}' },
              extra_content: { google: { thought_signature: 's' } },
            },
            { id: 'b', type: 'custom', custom: { name: 'sh', input: 'ls' } },
          ],
        },
        logprobs: null,
        finish_reason: 'stop',
      },
      {
        index: 2,
        message: {
          role: 'assistant',
          content: null,
          refusal: null,
          audio: { id: 'au', data: 'AAAA', transcript: 'hey', expires_at: 9 },
        },
        logprobs: null,
        finish_reason: 'model_length',
      },
      {
        index: 3,
        message: { role: 'assistant', content: null, refusal: 'No.' },
        logprobs: null,
        finish_reason: 'content_filter',
      },
    ],
    usage: {
      prompt_tokens: 9,
      completion_tokens: 5,
      total_tokens: 14,
      prompt_tokens_details: { cached_tokens: 3, audio_tokens: 1 },
      completion_tokens_details: {
        reasoning_tokens: 2,
        audio_tokens: 1,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
  };
  expect(render(checkTurn(unfold(Buffer.from(JSON.stringify(body)))))).toEqual(body);
});

test('log probabilities and audio of a stream come together in a body', () => {
  const delta = (fields: object, more: object) => ({
    data: JSON.stringify({ id: 'c', choices: [{ index: 0, delta: fields, finish_reason: null, ...more }] }),
  });
  const turn = reader();
  const events = [
    delta({ content: 'a' }, { logprobs: { content: [{ token: 'a' }], refusal: null } }),
    delta({ content: 'b' }, { logprobs: { content: [{ token: 'b' }], refusal: null } }),
    delta({ audio: { id: 'au', data: Buffer.from('x').toString('base64') } }, {}),
    delta({ audio: { data: Buffer.from('yz').toString('base64'), transcript: 'he' } }, {}),
    delta({ audio: { transcript: 'y' } }, { finish_reason: 'stop' }),
  ].flatMap((frame) => turn.push(frame));
  expect(render([...events, ...turn.end()])).toMatchObject({
    choices: [
      {
        logprobs: { content: [{ token: 'a' }, { token: 'b' }] },
        message: {
          content: 'ab',
          audio: { id: 'au', data: Buffer.from('xyz').toString('base64'), transcript: 'hey' },
        },
      },
    ],
  });
});

test('half an answer is no body', () => {
  const error = new SignalboxError('upstream_truncated', 'x');
  expect(() => render([start, ...hello, { type: 'turn-error', error }])).toThrow(error);
});
