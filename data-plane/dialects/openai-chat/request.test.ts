import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TurnRequest } from '../../turn/request.ts';
import { peek } from '../openai-request-head.ts';
import { decode, encode } from './request.ts';

function decodeBytes(bytes: Buffer): TurnRequest {
  return decode(peek(bytes));
}

function decodeBody(body: unknown) {
  return decodeBytes(Buffer.from(JSON.stringify(body)));
}

/** As it would travel: members that are undefined are not there. */
function overTheWire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const word = fc.string({ minLength: 1, maxLength: 8 });
const unknownFields = fc.dictionary(
  fc.constantFrom('cache_control', 'x_vendor', '__proto__', 'index', 'prefix'),
  fc.jsonValue(),
  {
    maxKeys: 2,
  },
);

function withUnknown<T extends object>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.tuple(unknownFields, arbitrary).map(([fields, own]) => ({ ...fields, ...own }));
}

function optional<T extends Record<string, fc.Arbitrary<unknown>>>(required: (keyof T)[], fields: T) {
  return withUnknown(fc.record(fields, { requiredKeys: required as never }) as fc.Arbitrary<object>);
}

const textPart = optional(['type', 'text'], { type: fc.constant('text'), text: fc.string() });
const part = fc.oneof(
  textPart,
  optional(['type', 'refusal'], { type: fc.constant('refusal'), refusal: word }),
  optional(['type', 'thinking'], {
    type: fc.constant('thinking'),
    thinking: fc.oneof(word, fc.array(fc.record({ type: fc.constant('text'), text: word }))),
  }),
  optional(['type', 'image_url'], {
    type: fc.constant('image_url'),
    image_url: fc.oneof(
      fc.webUrl(),
      optional(['url'], { url: fc.webUrl(), detail: fc.constantFrom('auto', null, 'high') }),
    ),
  }),
  optional(['type', 'input_audio'], {
    type: fc.constant('input_audio'),
    input_audio: optional(['data', 'format'], {
      data: fc.base64String(),
      format: fc.constantFrom('wav', 'mp3'),
    }),
  }),
  optional(['type', 'file'], { type: fc.constant('file'), file: unknownFields }),
  optional(['type'], { type: fc.constantFrom('video_url', 'document'), video_url: fc.jsonValue() }),
);
const content = fc.oneof(fc.string(), fc.constant(null), fc.array(part, { maxLength: 3 }));

const toolCall = fc.oneof(
  optional(['id', 'type', 'function'], {
    id: word,
    type: fc.constant('function'),
    function: optional(['name', 'arguments'], { name: word, arguments: fc.json() }),
  }),
  optional(['function'], {
    function: optional(['name'], { name: word, arguments: fc.dictionary(word, fc.jsonValue()) }),
  }),
  optional(['id', 'type', 'custom'], {
    id: word,
    type: fc.constant('custom'),
    custom: fc.record({ name: word, input: fc.string() }),
  }),
);
const message = fc.oneof(
  optional(['role'], {
    role: fc.constantFrom('system', 'developer', 'user'),
    content,
    name: fc.oneof(word, fc.constant(null)),
  }),
  optional(['role'], {
    role: fc.constant('assistant'),
    content,
    refusal: fc.oneof(word, fc.constant(null)),
    reasoning_content: fc.oneof(fc.string(), fc.constant(null)),
    reasoning: fc.oneof(fc.string(), fc.constant(null)),
    tool_calls: fc.oneof(fc.array(toolCall, { maxLength: 3 }), fc.constant(null)),
    function_call: fc.record({ name: word, arguments: fc.json() }),
    audio: fc.record({ id: word }),
    name: word,
  }),
  optional(['role'], { role: fc.constant('tool'), tool_call_id: fc.string(), content, name: word }),
  optional(['role', 'name'], {
    role: fc.constant('function'),
    name: word,
    content: fc.oneof(word, fc.constant(null)),
  }),
);
const schema = fc.dictionary(word, fc.jsonValue());
const tool = fc.oneof(
  optional(['type', 'function'], {
    type: fc.constant('function'),
    function: optional(['name'], {
      name: word,
      description: fc.oneof(word, fc.constant(null)),
      parameters: fc.oneof(schema, fc.constant(null)),
      strict: fc.constantFrom(true, false, null),
    }),
  }),
  optional(['function'], { function: fc.record({ name: word }) }),
  optional(['type'], {
    type: fc.constantFrom('custom', 'web_search', 'function'),
    custom: fc.record({ name: word }),
    name: word,
  }),
);
const body = optional(['model', 'messages'], {
  model: word,
  messages: fc.array(message, { maxLength: 4 }),
  stream: fc.constantFrom(true, false, null),
  stream_options: fc.constantFrom(null, { include_usage: true }, { include_usage: false, other: 1 }),
  tools: fc.oneof(fc.array(tool, { maxLength: 3 }), fc.constant(null)),
  tool_choice: fc.oneof(
    fc.constantFrom('auto', 'none', 'required', null, 'any'),
    optional(['type', 'function'], {
      type: fc.constant('function'),
      function: optional(['name'], { name: word }),
    }),
    fc.constant({ type: 'allowed_tools', allowed_tools: {} }),
  ),
  parallel_tool_calls: fc.constantFrom(true, false, null),
  max_tokens: fc.oneof(fc.nat(), fc.constant(null)),
  max_completion_tokens: fc.oneof(fc.nat(), fc.constant(null)),
  temperature: fc.oneof(
    fc.double({ min: 0, max: 2, noNaN: true }).map((value) => value + 0),
    fc.constant(null),
  ),
  top_p: fc.constantFrom(0.5, 1, null),
  stop: fc.oneof(word, fc.array(word, { maxLength: 3 }), fc.constant(null)),
  n: fc.constantFrom(1, 3, null),
  seed: fc.oneof(fc.integer(), fc.constant(null)),
  reasoning_effort: fc.constantFrom('none', 'high', null),
  response_format: fc.oneof(
    fc.constantFrom(
      null,
      { type: 'text' },
      { type: 'json_object' },
      { type: 'grammar', grammar: 'x' },
      { type: 'text', json_schema: null },
    ),
    optional(['type', 'json_schema'], {
      type: fc.constant('json_schema'),
      json_schema: optional(['name'], { name: word, schema }),
    }),
  ),
  logprobs: fc.boolean(),
  user: word,
  metadata: schema,
});

test('any body comes back as it was', () => {
  fc.assert(
    fc.property(body, (sent) => {
      const plain = overTheWire(sent);
      expect(overTheWire(encode(decodeBody(plain)))).toEqual(plain);
    }),
    { numRuns: 500 },
  );
});

describe('a body means', () => {
  test('what its fields say, whatever their spelling', () => {
    const request = decodeBody({
      model: 'm',
      messages: [
        { role: 'developer', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'hi' },
            { type: 'image_url', image_url: { url: 'https://x/y.png', detail: 'low' } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          reasoning: 'hm',
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: '42' },
      ],
      stop: 'END',
      max_tokens: 7,
      n: 2,
      tool_choice: { type: 'function', function: { name: 'f' } },
      response_format: { type: 'json_object' },
      logit_bias: { 1: 2 },
    });
    expect(request).toMatchObject({
      model: 'm',
      stream: false,
      stop: ['END'],
      maxOutputTokens: 7,
      choices: 2,
      toolChoice: { name: 'f' },
      responseFormat: { kind: 'json' },
      extras: { logit_bias: { 1: 2 } },
      messages: [
        { role: 'developer', parts: [{ kind: 'text', text: 'be brief' }] },
        {
          role: 'user',
          parts: [
            { kind: 'text', text: 'hi' },
            { kind: 'image', url: 'https://x/y.png', detail: 'low' },
          ],
        },
        {
          role: 'assistant',
          parts: [
            { kind: 'reasoning', text: 'hm' },
            { kind: 'tool-call', id: 'c1', name: 'f', arguments: '{}' },
          ],
        },
        {
          role: 'tool',
          parts: [{ kind: 'tool-result', toolCallId: 'c1', parts: [{ kind: 'text', text: '42' }] }],
        },
      ],
    });
  });

  test('what was changed after decoding, not what was sent', () => {
    const request = decodeBody({
      model: 'm',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: {} }] }],
      max_tokens: 5,
      stop: 'x',
    });
    const changed = {
      ...request,
      model: 'other',
      maxOutputTokens: 3,
      stop: ['y', 'z'],
      stream: true,
      messages: request.messages.map((one) => ({
        ...one,
        parts: one.parts.map((piece) => ({ ...piece, text: 'b' })),
      })),
    };
    expect(encode(changed)).toEqual({
      model: 'other',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'b', cache_control: {} }] }],
      max_tokens: 3,
      stop: ['y', 'z'],
      stream: true,
    });
  });

  test('the documented field where the client named none', () => {
    expect(
      encode({ model: 'm', stream: false, messages: [], tools: [], maxOutputTokens: 5, extras: {} }),
    ).toEqual({
      model: 'm',
      messages: [],
      max_completion_tokens: 5,
    });
  });
});

describe('what cannot be understood is refused by name', () => {
  const user = { role: 'user', content: 'x' };
  test.each<[string, object]>([
    ['messages', {}],
    ['messages', { messages: 'hi' }],
    ['messages[1]', { messages: [user, 'hi'] }],
    ['messages[0].role', { messages: [{ role: 'wizard', content: '' }] }],
    ['messages[0].role', { messages: [{ role: 'toString', content: '' }] }],
    ['messages[0].content', { messages: [{ role: 'user', content: 5 }] }],
    ['messages[0].content[0].text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
    ['messages[0].content[0].image_url', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    ['messages[0].tool_calls[0].function', { messages: [{ role: 'assistant', tool_calls: [{}] }] }],
    ['temperature', { messages: [], temperature: 'hot' }],
    ['n', { messages: [], n: 1.5 }],
    ['max_tokens', { messages: [], max_tokens: '5' }],
    ['stop', { messages: [], stop: [1] }],
    ['tools', { messages: [], tools: {} }],
    ['tools[0].function.name', { messages: [], tools: [{ type: 'function', function: {} }] }],
    ['model', { messages: [], model: 7 }],
  ])('%s', (param, fields) => {
    expect(() => decodeBody({ model: 'm', ...fields })).toThrow(
      expect.objectContaining({ code: 'invalid_request', param, message: expect.stringContaining(param) }),
    );
  });

  test('and JSON that breaks deep inside, with its place', () => {
    const bytes = Buffer.from('{"model":"m","messages":[{"role":user}]}');
    expect(() => decodeBytes(bytes)).toThrow(
      expect.objectContaining({ code: 'invalid_json', message: expect.stringMatching(/column 34/) }),
    );
  });
});
