import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import type { Message, Part, TurnRequest } from '../../turn/request.ts';
import { cohereV2 } from './index.ts';

const unsupported = (field: string, reason: string): never => {
  throw new SignalboxError('unsupported_field', reason, { param: field });
};
const text = (words: string): Part => ({ kind: 'text', text: words });
const user = (...parts: Part[]): Message => ({ role: 'user', parts });
const weather = {
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock = { name: 'now' };

function encode(request: Partial<TurnRequest>): Record<string, unknown> {
  const whole = { model: 'command-a', stream: false, messages: [user(text('Hi'))], tools: [], extras: {} };
  return cohereV2.encode({ ...whole, ...request }, { unsupported });
}

function messages(list: readonly Message[], model = 'command-a'): unknown {
  return encode({ messages: list, model }).messages;
}

test('limits, sampling and stops have Cohere’s names', () => {
  const request = {
    maxOutputTokens: 9,
    temperature: 0.3,
    topP: 0.9,
    topK: 40,
    seed: 7,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    stop: ['.'],
    logprobs: { top: 0 },
    stream: true,
    endUser: 'u',
    serviceTier: 'auto',
  };
  expect(encode(request)).toEqual({
    model: 'command-a',
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 9,
    temperature: 0.3,
    p: 0.9,
    k: 40,
    seed: 7,
    presence_penalty: 0.1,
    frequency_penalty: 0.2,
    stop_sequences: ['.'],
    logprobs: true,
    stream: true,
  });
});

describe('the conversation', () => {
  test('has one role for whoever operates it', () => {
    expect(
      messages([
        { role: 'system', parts: [text('Be brief')] },
        { role: 'developer', parts: [text('Be kind')] },
        user(text('Hi')),
      ]),
    ).toEqual([
      { role: 'system', content: 'Be brief' },
      { role: 'system', content: 'Be kind' },
      { role: 'user', content: 'Hi' },
    ]);
  });

  test('shows pictures by their address or their bytes', () => {
    const picture: Part = { kind: 'image', url: 'data:image/png;base64,AA==', detail: 'high' };
    expect(messages([user(text('What is it?'), picture, { kind: 'image', url: 'https://x/y.png' })])).toEqual(
      [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'high' } },
            { type: 'image_url', image_url: { url: 'https://x/y.png' } },
          ],
        },
      ],
    );
  });

  const call: Part = { kind: 'tool-call', id: 'c-1', name: 'get_weather', arguments: '{"city":"Rome"}' };
  const wireCall = {
    id: 'c-1',
    type: 'function',
    function: { name: 'get_weather', arguments: '{"city":"Rome"}' },
  };
  const thought: Part = { kind: 'reasoning', text: 'I will look.' };

  test('gives a plan back beside its calls, and results as text', () => {
    const result: Message = {
      role: 'tool',
      parts: [{ kind: 'tool-result', toolCallId: 'c-1', parts: [text('sunny'), text('warm')] }],
    };
    const failed: Message = {
      role: 'tool',
      parts: [{ kind: 'tool-result', toolCallId: 'c-2', parts: [text('no')], isError: true }],
    };
    expect(
      messages([user(text('Rome?')), { role: 'assistant', parts: [thought, call] }, result, failed]),
    ).toEqual([
      { role: 'user', content: 'Rome?' },
      { role: 'assistant', tool_plan: 'I will look.', tool_calls: [wireCall] },
      { role: 'tool', tool_call_id: 'c-1', content: 'sunny\nwarm' },
      { role: 'tool', tool_call_id: 'c-2', content: 'The tool failed:\nno' },
    ]);
  });

  test('gives a reasoning model its thoughts back', () => {
    const thinking = { type: 'thinking', thinking: 'I will look.' };
    expect(messages([{ role: 'assistant', parts: [thought, call] }], 'command-a-reasoning')).toEqual([
      { role: 'assistant', content: [thinking], tool_calls: [wireCall] },
    ]);
    expect(messages([{ role: 'assistant', parts: [thought, text('Sunny')] }])).toEqual([
      { role: 'assistant', content: [thinking, { type: 'text', text: 'Sunny' }] },
    ]);
  });

  test('leaves out what another maker signed, and fills in arguments that are missing', () => {
    const signed: Part = { kind: 'reasoning', text: 'hm', signature: { maker: 'anthropic', value: 's' } };
    const bare: Part = { kind: 'tool-call', id: 'c-3', name: 'now', arguments: '' };
    expect(messages([{ role: 'assistant', parts: [signed, bare] }])).toEqual([
      {
        role: 'assistant',
        tool_calls: [{ id: 'c-3', type: 'function', function: { name: 'now', arguments: '{}' } }],
      },
    ]);
  });

  test('keeps results and words of one user apart', () => {
    const result: Part = { kind: 'tool-result', toolCallId: 'c-1', parts: [text('sunny')] };
    expect(messages([user(result, text('And now?'))])).toEqual([
      { role: 'tool', tool_call_id: 'c-1', content: 'sunny' },
      { role: 'user', content: 'And now?' },
    ]);
  });

  test.each<[string, Part]>([
    ['audio', { kind: 'audio', data: 'AA==', format: 'wav' }],
    ['documents', { kind: 'file', url: 'data:application/pdf;base64,AA==' }],
    ['parts of other dialects', { kind: 'private', type: 'web_search' }],
    [
      'pictures from tools',
      { kind: 'tool-result', toolCallId: 'c', parts: [{ kind: 'image', url: 'https://x/y.png' }] },
    ],
  ])('refuses %s, saying where', (_, part) => {
    expect(() => messages([user(text('Hi')), user(part)])).toThrow(
      expect.objectContaining({ code: 'unsupported_field', param: 'messages[1].content' }),
    );
  });
});

describe('tools', () => {
  const wireWeather = { type: 'function', function: weather };
  const wireClock = {
    type: 'function',
    function: { name: 'now', parameters: { type: 'object', properties: {} } },
  };

  test.each<[string, Partial<TurnRequest>, object]>([
    ['as they are', {}, { tools: [wireWeather, wireClock] }],
    ['as the model likes', { toolChoice: 'auto' }, { tools: [wireWeather, wireClock] }],
    ['demanded', { toolChoice: 'required' }, { tools: [wireWeather, wireClock], tool_choice: 'REQUIRED' }],
    ['forbidden', { toolChoice: 'none' }, { tools: [wireWeather, wireClock], tool_choice: 'NONE' }],
    [
      'demanded by name: offered alone',
      { toolChoice: { name: 'now' } },
      { tools: [wireClock], tool_choice: 'REQUIRED' },
    ],
    [
      'strict, all of them',
      { tools: [{ ...weather, strict: true }] },
      { tools: [wireWeather], strict_tools: true },
    ],
    [
      'strict, some of them',
      { tools: [{ ...weather, strict: true }, clock] },
      { tools: [wireWeather, wireClock] },
    ],
  ])('%s', (_, request, expected) => {
    const { model, messages: _messages, stream, ...rest } = encode({ tools: [weather, clock], ...request });
    expect([model, stream]).toEqual(['command-a', false]);
    expect(rest).toEqual(expected);
  });

  test('are not chosen among where there are none', () => {
    expect(encode({ toolChoice: 'required', parallelToolCalls: false })).not.toHaveProperty('tool_choice');
  });
});

test.each<[string, Partial<TurnRequest>, unknown]>([
  ['text', { responseFormat: { kind: 'text' } }, undefined],
  ['JSON', { responseFormat: { kind: 'json' } }, { type: 'json_object' }],
  [
    'a schema',
    { responseFormat: { kind: 'schema', fields: { name: 'x', schema: { type: 'object' } } } },
    { type: 'json_object', json_schema: { type: 'object' } },
  ],
])('%s can be asked for', (_, request, expected) => {
  expect(encode(request).response_format).toEqual(expected);
});

test.each<[string, Partial<TurnRequest>, unknown]>([
  ['nothing said', {}, undefined],
  ['as long as it takes', { reasoningEffort: 'high' }, { type: 'enabled' }],
  ['a little', { reasoningEffort: 'low' }, { type: 'enabled', token_budget: 2048 }],
  [
    'so many tokens',
    { reasoningEffort: 'high', reasoningTokens: 500 },
    { type: 'enabled', token_budget: 500 },
  ],
  [
    'not at all, where it would',
    { reasoningEffort: 'none', model: 'command-a-reasoning' },
    { type: 'disabled' },
  ],
  ['not at all, where it never does', { reasoningEffort: 'none' }, undefined],
])('reasoning: %s', (_, request, expected) => {
  expect(encode(request).thinking).toEqual(expected);
});

test.each<[keyof TurnRequest, Partial<TurnRequest>]>([
  ['choices', { choices: 2 }],
  ['parallelToolCalls', { parallelToolCalls: false, tools: [weather] }],
  ['logprobs', { logprobs: { top: 2 } }],
  ['verbosity', { verbosity: 'low' }],
])('%s is refused', (field, request) => {
  expect(() => encode(request)).toThrow(expect.objectContaining({ param: field }));
  const whole = { model: 'm', stream: false, messages: [], tools: [], extras: {}, ...request };
  expect(() => cohereV2.encode(whole)).toThrow(expect.objectContaining({ code: 'unsupported_field' }));
});
