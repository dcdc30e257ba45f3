import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SignalboxError } from '#shared/errors.ts';
import { type TurnRequest, withoutExtras } from '../../turn/request.ts';
import { openaiChat } from '../openai-chat/index.ts';
import { anthropicMessages } from './index.ts';

const { peek, splice } = anthropicMessages;
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const plain = { model: 'claude-sonnet-4-5', max_tokens: 10 };
const hello = { role: 'user', content: 'hello' };
const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

function refuse(field: string): never {
  throw new Error(`refused: ${field}`);
}

function decoded(body: object): TurnRequest {
  return anthropicMessages.decode(anthropicMessages.peek(bytesOf(body)));
}

function fromChat(body: object): Record<string, unknown> {
  const whole = { model: 'claude-sonnet-4-5', messages: [hello], ...body };
  const request = withoutExtras(openaiChat.decode(openaiChat.peek(bytesOf(whole))));
  return json(anthropicMessages.encode(request));
}

function toChat(body: object): Record<string, unknown> {
  const request = decoded({ ...plain, messages: [hello], ...body });
  return json(openaiChat.encode(withoutExtras(request), { unsupported: refuse }));
}

function refusal(work: () => unknown): Partial<SignalboxError> {
  try {
    work();
  } catch (error) {
    return error as SignalboxError;
  }
  return {};
}

describe('the head of a body', () => {
  test('is read and the model spliced, with every other byte as it was', () => {
    const body = Buffer.from(
      '{"cache_control":{"type":"ephemeral"},\n "model": "a\\u0062", "stream" :true, "x":[{"model":"y"}]}',
    );
    const head = peek(body);
    expect(head).toMatchObject({ model: 'ab', stream: true, wantsUsage: true });
    expect(Buffer.concat([...splice(head, { model: 'c"d' })]).toString()).toBe(
      body.toString().replace('"a\\u0062"', '"c\\"d"'),
    );
  });

  test.each([
    ['{"max_tokens":1}', 'model'],
    ['{"model":1}', 'model'],
    ['{"model":"a","model":"b"}', 'model'],
    ['{"model":"a","stream":"yes"}', 'stream'],
  ])('of %s is refused by name', (body, param) => {
    expect(refusal(() => peek(Buffer.from(body)))).toMatchObject({ code: 'invalid_request', param });
  });
});

const word = fc.string({ minLength: 1, maxLength: 8 });
const mark = fc.constant({ type: 'ephemeral', ttl: '1h' });
const optional = <Row extends object>(
  required: readonly (keyof Row & string)[],
  row: {
    [Key in keyof Row]: fc.Arbitrary<Row[Key]>;
  },
) => fc.record(row, { requiredKeys: [...required] as never[] });
const text = optional(['type', 'text'], {
  type: fc.constant('text'),
  text: fc.string(),
  cache_control: mark,
});
const image = fc.oneof(
  fc.record({
    type: fc.constant('image'),
    source: fc.record({
      type: fc.constant('base64'),
      media_type: fc.constant('image/png'),
      data: fc.base64String(),
    }),
  }),
  fc.record({
    type: fc.constant('image'),
    source: fc.record({ type: fc.constant('url'), url: fc.webUrl() }),
  }),
);
const block = fc.oneof(
  text,
  image,
  fc.record({ type: fc.constant('document'), source: fc.dictionary(word, word), title: word }),
  fc.record({ type: fc.constant('thinking'), thinking: fc.string(), signature: fc.string() }),
  fc.record({ type: fc.constant('redacted_thinking'), data: word }),
  fc.record({
    type: fc.constant('tool_use'),
    id: word,
    name: word,
    input: fc.dictionary(word, fc.jsonValue()),
  }),
  optional(['type', 'tool_use_id'], {
    type: fc.constant('tool_result'),
    tool_use_id: word,
    content: fc.oneof(fc.string(), fc.array(fc.oneof(text, image), { maxLength: 2 })),
    is_error: fc.boolean(),
    cache_control: mark,
  }),
  fc.record({ type: fc.constant('server_tool_use'), id: word, other: fc.jsonValue() }),
);
const message = fc.record({
  role: fc.constantFrom('user', 'assistant'),
  content: fc.oneof(fc.string(), fc.array(block, { maxLength: 4 })),
});
const tool = fc.oneof(
  optional(['name', 'input_schema'], {
    name: word,
    description: word,
    input_schema: fc.record({ type: fc.constant('object'), properties: fc.dictionary(word, fc.jsonValue()) }),
    cache_control: mark,
    defer_loading: fc.boolean(),
  }),
  fc.record({ type: fc.constant('web_search_20250305'), name: fc.constant('web_search') }),
);
const body = optional(['model', 'max_tokens', 'messages'], {
  model: fc.constant('claude-sonnet-4-5'),
  max_tokens: fc.nat(),
  messages: fc.array(message, { minLength: 1, maxLength: 4 }),
  system: fc.oneof(word, fc.array(text, { minLength: 1, maxLength: 2 })),
  tools: fc.array(tool, { maxLength: 2 }),
  tool_choice: fc.oneof(
    optional(['type'], { type: fc.constantFrom('auto', 'any'), disable_parallel_tool_use: fc.boolean() }),
    fc.record({ type: fc.constant('tool'), name: word }),
    fc.record({ type: fc.constant('none') }),
  ),
  temperature: fc.constantFrom(0, 0.5, 1),
  top_p: fc.constantFrom(0.1, 1),
  top_k: fc.nat(),
  stop_sequences: fc.array(word),
  stream: fc.boolean(),
  metadata: optional([], { user_id: word, behaviour: word }),
  thinking: fc.constantFrom(
    { type: 'enabled', budget_tokens: 2000 },
    { type: 'disabled' },
    { type: 'adaptive' },
  ),
  output_config: fc.constantFrom({ effort: 'low' }, { format: { type: 'json_schema', schema: {} } }),
  unheard_of: fc.jsonValue(),
});

test('any body of a client comes back as it was', () => {
  fc.assert(
    fc.property(body, (wire) => {
      // What JSON cannot say in another way, like -0, is no matter of ours.
      const sent = json(wire);
      expect(json(anthropicMessages.encode(decoded(sent)))).toEqual(sent);
    }),
  );
});

describe('a request of a chat client, for Claude', () => {
  test('has its operator apart, its turns merged and its results first', () => {
    const call = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '' } });
    const encoded = fromChat({
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'one' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'two' },
            { type: 'text', text: '' },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [call('a'), call('b')] },
        { role: 'tool', tool_call_id: 'a', content: 'A' },
        { role: 'tool', tool_call_id: 'b', content: 'B' },
        { role: 'user', content: 'three' },
        { role: 'system', content: 'Now in French.' },
      ],
    });
    expect(encoded.system).toBe('Be brief.\n\nBe kind.');
    expect(encoded.messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two' },
        ],
      },
      {
        role: 'assistant',
        content: ['a', 'b'].map((id) => ({ type: 'tool_use', id, name: 'f', input: {} })),
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: 'A' },
          { type: 'tool_result', tool_use_id: 'b', content: 'B' },
          { type: 'text', text: 'three' },
          { type: 'text', text: '<system>\nNow in French.\n</system>' },
        ],
      },
    ]);
  });

  test('shows images and documents', () => {
    const encoded = fromChat({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: 'data:image/PNG;name=a.png;base64,AAAA' } },
            { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,BBBB' } },
          ],
        },
      ],
    });
    expect((encoded.messages as { content: unknown }[])[0]!.content).toEqual([
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
      {
        type: 'document',
        source: { type: 'base64', media_type: 'application/pdf', data: 'BBBB' },
        title: 'a.pdf',
      },
    ]);
  });

  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  test.each<[string, object, object]>([
    ['a default limit', {}, { max_tokens: 64_000 }],
    ['its limit', { max_completion_tokens: 7 }, { max_tokens: 7 }],
    ['one stop', { stop: 'x' }, { stop_sequences: ['x'] }],
    ['a temperature beyond the scale', { temperature: 1.7 }, { temperature: 1 }],
    ['a user', { user: 'u' }, { metadata: { user_id: 'u' } }],
    ['tools that are demanded', { tools, tool_choice: 'required' }, { tool_choice: { type: 'any' } }],
    [
      'one tool at a time',
      { tools, parallel_tool_calls: false },
      { tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
    ],
    [
      'a tool by name',
      { tools, tool_choice: { type: 'function', function: { name: 'f' } } },
      { tool_choice: { type: 'tool', name: 'f' } },
    ],
    [
      'a schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' } } } },
      { output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } },
    ],
    ['an effort', { reasoning_effort: 'low' }, { thinking: { type: 'enabled', budget_tokens: 2048 } }],
    [
      'an effort of a newer model',
      { model: 'claude-opus-4-7', reasoning_effort: 'minimal' },
      { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } },
    ],
  ])('with %s', (_what, given, expected) => {
    expect(fromChat(given)).toMatchObject(expected);
  });

  test.each<[object, string]>([
    [{ n: 2 }, 'choices'],
    [{ seed: 1 }, 'seed'],
    [{ response_format: { type: 'json_object' } }, 'responseFormat'],
    [{ tools, tool_choice: 'required', reasoning_effort: 'low' }, 'reasoningEffort'],
    [{ messages: [{ role: 'assistant', content: 'Hi' }] }, 'messages[0].role'],
    [
      {
        messages: [
          { role: 'user', content: [{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }] },
        ],
      },
      'messages[0].content',
    ],
  ])('with %j is refused by name', (given, param) => {
    expect(refusal(() => fromChat(given))).toMatchObject({ code: 'unsupported_field', param });
  });
});

describe('a request of a messages client, for the chat dialect', () => {
  test('keeps its conversation, less what another model has signed', () => {
    const encoded = toChat({
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [
        hello,
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'xyz' },
            { type: 'redacted_thinking', data: 'abc' },
            { type: 'text', text: 'Let me see.' },
            { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'a', content: 'no', is_error: true },
            { type: 'text', text: 'well?' },
          ],
        },
      ],
      tools: [{ name: 'f', input_schema: { type: 'object' }, cache_control: { type: 'ephemeral' } }],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
      stop_sequences: ['x'],
      stream: true,
    });
    expect(encoded).toEqual({
      model: plain.model,
      max_completion_tokens: 10,
      stream: true,
      stream_options: { include_usage: true },
      stop: ['x'],
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
      tool_choice: 'required',
      parallel_tool_calls: false,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
        {
          role: 'assistant',
          content: 'Let me see.',
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
        },
        {
          role: 'tool',
          tool_call_id: 'a',
          content: [
            { type: 'text', text: 'The tool failed:' },
            { type: 'text', text: 'no' },
          ],
        },
        { role: 'user', content: 'well?' },
      ],
    });
  });

  test.each<[object, readonly string[]]>([
    [{ service_tier: 'auto', thinking: { type: 'adaptive' }, metadata: { user_id: 'u' } }, []],
    [{ top_k: 3 }, []],
    [{ mcp_servers: [{ url: 'x' }], container: null }, ['mcp_servers']],
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, ['tools[0]']],
    [
      {
        messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'f' } }] }],
      },
      ['messages[0].content (document)'],
    ],
  ])('with %j names what cannot be said', (given, fields) => {
    const request = decoded({ ...plain, messages: [hello], ...given });
    expect(anthropicMessages.untranslatable(request)).toEqual(fields);
  });
});

test('what both dialects can say survives the way through the other', () => {
  const sentence = fc.string({ minLength: 1, maxLength: 10 }).filter((value) => value.trim() !== '');
  const turns = fc.array(
    fc.record({
      question: sentence,
      answer: sentence,
      calls: fc.array(
        fc.record({ name: sentence, input: fc.dictionary(word, fc.string()), result: sentence }),
        {
          maxLength: 2,
        },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  );
  fc.assert(
    fc.property(turns, sentence, fc.nat(), (rounds, system, limit) => {
      const messages: TurnRequest['messages'] = [
        { role: 'system', parts: [{ kind: 'text', text: system }] },
        ...rounds.flatMap(({ question, answer, calls }, round): TurnRequest['messages'] => {
          const id = (index: number) => `call_${round}_${index}`;
          const parts = calls.map(({ name, input }, index) => {
            const kind = 'tool-call' as const;
            return { kind, id: id(index), name, arguments: JSON.stringify(input) };
          });
          return [
            { role: 'user', parts: [{ kind: 'text', text: question }] },
            { role: 'assistant', parts: [{ kind: 'text', text: answer }, ...parts] },
            ...calls.map(({ result }, index) => ({
              role: 'tool' as const,
              parts: [
                {
                  kind: 'tool-result' as const,
                  toolCallId: id(index),
                  parts: [{ kind: 'text' as const, text: result }],
                },
              ],
            })),
          ];
        }),
      ];
      const request = { model: 'm', stream: false, messages, tools: [], maxOutputTokens: limit, extras: {} };
      for (const dialect of [anthropicMessages, openaiChat]) {
        const decoded = dialect.decode(dialect.peek(bytesOf(dialect.encode(request))));
        expect(withoutExtras(decoded)).toEqual(request);
      }
    }),
  );
});
