import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import {
  callItem,
  messageItem,
  reasoningItem,
  refusalItem,
  responseOf,
  searchItem,
} from '#test/fixtures/openai-responses.ts';
import { checkResponseStream } from '#test/fixtures/response-events.ts';
import { type ResponseBody, responseSchema } from '#test/fixtures/response-schema.ts';
import { anyTurn } from '#test/fixtures/turns.ts';
import type { BlockHead, TurnEvent } from '../../turn/events.ts';
import { foldTurn, unfoldBlock } from '../../turn/fold.ts';
import type { Signature } from '../../turn/signature.ts';
import { openaiResponses } from './index.ts';
import { replay } from './replay.ts';

const { decode, framing, peek, reader, render, unfold, writer } = openaiResponses;

const start: TurnEvent = {
  type: 'turn-start',
  id: 'chatcmpl-1',
  model: 'm-1',
  createdAtMs: 1_750_000_000_000,
};
const usage: TurnEvent = {
  type: 'usage',
  usage: {
    input: 20,
    inputCacheRead: 8,
    inputCacheWrite: 2,
    inputAudio: 0,
    output: 5,
    outputReasoning: 3,
    outputAudio: 0,
  },
  raw: '{}',
};

function endOf(reason: 'stop' | 'length' | 'tool-calls' | 'content-filter'): TurnEvent {
  return { type: 'turn-end', reasons: [{ choice: 0, reason }] };
}

function block(index: number, head: object, pieces: readonly string[], signature?: Signature): TurnEvent[] {
  const events = unfoldBlock(index, { choice: 0, ...head } as BlockHead, pieces);
  return signature === undefined ? events : [...events.slice(0, -1), { type: 'block-end', index, signature }];
}

function write(events: readonly TurnEvent[], body?: object): string {
  const request = body === undefined ? {} : { request: decodeBody(body) };
  const machine = writer({ wantsUsage: true, ...request });
  return framing.write(events.flatMap((event) => machine.push(event))).toString();
}

function decodeBody(body: object) {
  return decode(peek(Buffer.from(JSON.stringify({ model: 'm', ...body }))));
}

/** Ids are made up anew for every answer. */
function withoutIds(response: ResponseBody): unknown {
  return JSON.parse(JSON.stringify(response, (key, value) => (key === 'id' ? '' : value)));
}

const answer = [
  start,
  ...block(0, { kind: 'reasoning' }, ['Let me ', 'think.'], { maker: 'anthropic', value: 'secret' }),
  ...block(1, { kind: 'text' }, ['Grüße, ', '世界']),
  ...block(2, { kind: 'tool-call', id: 'call_1', name: 'get_weather' }, ['{"city":', '"Paris"}']),
  usage,
  endOf('tool-calls'),
];

describe('an answer', () => {
  test('is streamed by the grammar of the API, and ends with the whole response', () => {
    const { events, response } = checkResponseStream(write(answer, { input: 'Hi', stream: true }));
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.reasoning_summary_part.added',
      'response.reasoning_summary_text.delta',
      'response.reasoning_summary_text.delta',
      'response.reasoning_summary_text.done',
      'response.reasoning_summary_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(response.output).toMatchObject([
      {
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: 'Let me think.' }],
        encrypted_content: 'sb1.anthropic..secret',
      },
      { type: 'message', status: 'completed', content: [{ type: 'output_text', text: 'Grüße, 世界' }] },
      { type: 'function_call', call_id: 'call_1', name: 'get_weather', arguments: '{"city":"Paris"}' },
    ]);
    expect(response.usage).toEqual({
      input_tokens: 30,
      input_tokens_details: { cached_tokens: 8, cache_write_tokens: 2 },
      output_tokens: 8,
      output_tokens_details: { reasoning_tokens: 3 },
      total_tokens: 38,
    });
  });

  test('is the same as a whole', () => {
    const request = decodeBody({ input: 'Hi' });
    const whole = responseSchema.parse(render(answer, request));
    const { response } = checkResponseStream(write(answer, { input: 'Hi' }));
    expect(withoutIds(whole)).toEqual(withoutIds(response));
  });

  test('has an id of its own, whatever the provider called it', () => {
    const ids = [render(answer).id, render(answer).id];
    expect(ids[0]).toMatch(/^resp_/);
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('repeats the request', () => {
    const schema = { type: 'object', properties: {} };
    const asked = {
      instructions: 'Be brief.',
      tools: [{ type: 'function', name: 'f', parameters: schema }],
      tool_choice: { type: 'function', name: 'f' },
      text: { format: { type: 'json_schema', name: 'n', schema, strict: true }, verbosity: 'low' },
      reasoning: { effort: 'high', summary: 'auto' },
      max_output_tokens: 5,
      max_tool_calls: 3,
      temperature: 0.5,
      top_p: 0.9,
      parallel_tool_calls: false,
      metadata: { a: 'b' },
      store: false,
      truncation: 'disabled',
      previous_response_id: 'resp_0',
      safety_identifier: 'someone',
      prompt_cache_key: 'k',
      service_tier: 'flex',
      user: 'someone',
      top_logprobs: 2,
    };
    expect(responseSchema.parse(render(answer, decodeBody({ input: 'Hi', ...asked })))).toMatchObject({
      ...asked,
      tools: [{ type: 'function', name: 'f', description: null, parameters: schema, strict: false }],
    });
  });

  test.each([
    ['length', 'incomplete', { reason: 'max_output_tokens' }],
    ['content-filter', 'incomplete', { reason: 'content_filter' }],
    ['stop', 'completed', null],
  ] as const)('that ended with %s is %s', (reason, status, incomplete_details) => {
    const events = [start, ...block(0, { kind: 'text' }, ['Hi']), endOf(reason)];
    const { response } = checkResponseStream(write(events, { input: 'Hi' }));
    expect(response).toMatchObject({ status, incomplete_details, output: [{ status }], usage: null });
    expect(response.completed_at === null).toBe(status === 'incomplete');
  });

  test('of many texts is one message of many parts, and a tool call ends it', () => {
    const events = [
      start,
      ...block(0, { kind: 'text' }, ['One.']),
      ...block(1, { kind: 'text' }, ['Two.']),
      ...block(2, { kind: 'tool-call', id: 'call_1', name: 'f' }, []),
      ...block(3, { kind: 'refusal' }, ['No.']),
      endOf('tool-calls'),
    ];
    const { response } = checkResponseStream(write(events, { input: 'Hi' }));
    expect(response.output).toMatchObject([
      { type: 'message', content: [{ text: 'One.' }, { text: 'Two.' }] },
      { type: 'function_call', arguments: '{}' },
      { type: 'message', content: [{ type: 'refusal', refusal: 'No.' }] },
    ]);
  });

  test('whose calls come interleaved tells each in its place', () => {
    const [one, two] = [0, 1].map((index) =>
      block(index, { kind: 'tool-call', id: `call_${index}`, name: 'f' }, ['{"a":', `${index}}`]),
    );
    const mixed = one!.flatMap((event, index) => [event, two![index]!]);
    const { response } = checkResponseStream(write([start, ...mixed, endOf('tool-calls')], { input: 'Hi' }));
    expect(response.output).toMatchObject([{ arguments: '{"a":0}' }, { arguments: '{"a":1}' }]);
  });

  test('tells sources and likelihoods', () => {
    const events: TurnEvent[] = [
      start,
      { type: 'block-start', index: 0, block: { kind: 'text', choice: 0 } },
      {
        type: 'block-delta',
        index: 0,
        text: 'Hi there',
        logprobs: [{ token: 'Hi', logprob: -0.1, bytes: [72], top: [{ token: 'Hello', logprob: -2 }] }],
      },
      { type: 'block-delta', index: 0, text: '', citations: [{ url: 'https://a.example', title: 'A' }] },
      { type: 'block-end', index: 0 },
      endOf('stop'),
    ];
    const { response } = checkResponseStream(write(events, { input: 'Hi' }));
    expect(response.output).toMatchObject([
      {
        content: [
          {
            annotations: [
              { type: 'url_citation', url: 'https://a.example', title: 'A', start_index: 0, end_index: 8 },
            ],
            logprobs: [
              {
                token: 'Hi',
                logprob: -0.1,
                bytes: [72],
                top_logprobs: [{ token: 'Hello', logprob: -2, bytes: [] }],
              },
            ],
          },
        ],
      },
    ]);
  });

  test('with a picture has it as an item', () => {
    const events = [
      start,
      ...block(0, { kind: 'image', mediaType: 'image/png' }, ['AA', '==']),
      endOf('stop'),
    ];
    const { response } = checkResponseStream(write(events, { input: 'Hi' }));
    expect(response.output).toMatchObject([
      { type: 'image_generation_call', status: 'completed', output_format: 'png', result: 'AA==' },
    ]);
  });

  test('leaves out what only another dialect could restore', () => {
    const extras = { dialect: 'anthropic-messages', fields: { block: { type: 'x' } } };
    const events = [
      start,
      ...block(0, { kind: 'private', extras }, ['{}']),
      ...block(1, { kind: 'audio', id: 'a' }, ['AA==']),
      endOf('stop'),
    ];
    expect(checkResponseStream(write(events, { input: 'Hi' })).response.output).toEqual([]);
  });

  test('of any kind keeps to the grammar', () => {
    fc.assert(
      fc.property(anyTurn, ({ events }) => {
        const { response } = checkResponseStream(write(events, { input: 'Hi' }));
        expect(response.status).not.toBe('failed');
      }),
      { numRuns: 200 },
    );
  });
});

describe('signatures come back through a client that hands its history on', () => {
  const google: Signature = { maker: 'google', value: 'c2lnbmVk' };
  const claude: Signature = { maker: 'anthropic', value: 'c2lnbmVk' };
  const call = { kind: 'tool-call', id: 'call_1', name: 'f', signature: google };

  test.each([
    [
      'reasoning',
      block(0, { kind: 'reasoning' }, ['Hm.'], claude),
      [{ kind: 'reasoning', text: 'Hm.', signature: claude }],
    ],
    [
      'redacted reasoning',
      block(0, { kind: 'reasoning', isRedacted: true }, [], claude),
      [{ kind: 'reasoning', text: '', signature: claude, isRedacted: true }],
    ],
    ['a call', block(0, call, ['{}']), [{ ...call, arguments: '{}' }]],
    ['a text', block(0, { kind: 'text' }, ['Hi'], google), [{ kind: 'text', text: 'Hi', signature: google }]],
  ])('of %s', (_, blocks, expected) => {
    const { response } = checkResponseStream(write([start, ...blocks, endOf('stop')], { input: 'Hi' }));
    // Agents that keep nothing at the provider send items without their ids.
    const sent = response.output.map(({ id: _id, ...item }) => item);
    for (const input of [response.output, sent]) {
      const parts = decodeBody({ input }).messages.flatMap((message) => message.parts);
      expect(parts.map(({ extras: _extras, ...part }) => part)).toEqual(expected);
    }
  });
});

describe('an error in a stream', () => {
  test('goes on counting and ends the response', () => {
    const failure = new SignalboxError('upstream_overloaded', 'Too much.');
    const text = write([...answer.slice(0, 4), { type: 'turn-error', error: failure }], { input: 'Hi' });
    const events = text
      .split('\n\n')
      .filter(Boolean)
      .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)));
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
    expect(events.at(-2)).toMatchObject({ type: 'error', code: 'upstream_overloaded', message: 'Too much.' });
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'Too much.' } },
    });
    responseSchema.parse(events.at(-1).response);
  });

  test('makes no body', () => {
    const failure = new SignalboxError('upstream_error', 'Oh no.');
    expect(() => render([start, { type: 'turn-error', error: failure }])).toThrow(failure);
  });
});

describe('what OpenAI answered', () => {
  const output = [reasoningItem, searchItem, messageItem, callItem, refusalItem];

  test('is written again with the same words, ids of the response and private items', () => {
    const written = render(unfold(Buffer.from(JSON.stringify(responseOf(output)))));
    expect(written).toMatchObject({ id: 'resp_1', status: 'completed' });
    const again = foldTurn(unfold(Buffer.from(JSON.stringify(written))));
    const before = foldTurn(unfold(Buffer.from(JSON.stringify(responseOf(output)))));
    expect(again.choices[0]).toMatchObject({
      text: before.choices[0]!.text,
      reasoning: before.choices[0]!.reasoning,
      refusal: before.choices[0]!.refusal,
      toolCalls: before.choices[0]!.toolCalls,
    });
    expect(again.usage).toEqual(before.usage);
    expect(written.output).toContainEqual(searchItem);
  });

  test('is told again as a stream that reads the same', () => {
    const response = responseOf(output);
    const turn = reader();
    const events = replay(response).flatMap((frame) => turn.push(frame));
    const streamed = foldTurn([...events, ...turn.end()]);
    const whole = foldTurn(unfold(Buffer.from(JSON.stringify(response))));
    const said = ({ choices }: typeof whole) => choices.map(({ blocks: _, ...choice }) => choice);
    expect(said(streamed)).toEqual(said(whole));
    expect(streamed.usage).toEqual(whole.usage);
  });
});

test('a kept answer is told again by the grammar of the API', () => {
  fc.assert(
    fc.property(anyTurn, ({ events }) => {
      const response = render(events, decodeBody({ input: 'Hi' }));
      expect(checkResponseStream(framing.write(replay(response)).toString()).response).toEqual(response);
    }),
    { numRuns: 100 },
  );
});
