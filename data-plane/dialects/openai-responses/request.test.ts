import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TurnRequest } from '../../turn/request.ts';
import { withoutExtras } from '../../turn/request.ts';
import { openaiResponses } from './index.ts';

const { decode, encode, peek, untranslatable } = openaiResponses;

function decodeBody(body: object): TurnRequest {
  return decode(peek(Buffer.from(JSON.stringify({ model: 'm', ...body }))));
}

/** As it would travel: members that are undefined are not there. */
function overTheWire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const word = fc.string({ minLength: 1, maxLength: 8 });
const unknownFields = fc.dictionary(
  fc.constantFrom('cache_control', 'x_vendor', '__proto__', 'phase', 'status', 'id'),
  fc.jsonValue(),
  { maxKeys: 2 },
);

function optional<Fields extends Record<string, fc.Arbitrary<unknown>>>(
  required: (keyof Fields)[],
  fields: Fields,
) {
  const own = fc.record(fields, { requiredKeys: required as never }) as fc.Arbitrary<object>;
  return fc.tuple(unknownFields, own).map(([more, known]) => ({ ...more, ...known }));
}

const constant = fc.constant;
const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
const dataUrl = fc.base64String().map((data) => `data:image/png;base64,${data}`);
const part = fc.oneof(
  optional(['type', 'text'], {
    type: fc.constantFrom('input_text', 'output_text', 'text'),
    text: fc.string(),
  }),
  optional(['type', 'text'], {
    type: constant('output_text'),
    text: word,
    annotations: fc.array(unknownFields, { maxLength: 2 }),
    logprobs: fc.array(unknownFields, { maxLength: 2 }),
  }),
  optional(['type', 'refusal'], { type: constant('refusal'), refusal: word }),
  optional(['type'], {
    type: constant('input_image'),
    image_url: nullable(fc.oneof(fc.webUrl(), dataUrl)),
    file_id: nullable(word),
    detail: fc.constantFrom('auto', null, 'high'),
  }),
  optional(['type'], {
    type: constant('input_file'),
    file_data: nullable(dataUrl),
    file_url: fc.webUrl(),
    file_id: nullable(word),
    filename: word,
  }),
  optional(['type'], {
    type: constant('input_audio'),
    input_audio: fc.record({ data: fc.base64String(), format: fc.constantFrom('wav', 'mp3') }),
  }),
  optional(['type'], { type: fc.constantFrom('input_video', 'computer_screenshot'), x: fc.jsonValue() }),
);
const content = fc.oneof(fc.string(), fc.array(part, { maxLength: 3 }));
const carriers = ['sb1.google.Y2FsbA.sig', 'sb1.google.dGV4dA.sig', 'sb1.anthropic..sig', 'gAAAA'];
const item = fc.oneof(
  optional(['role', 'content'], {
    type: constant('message'),
    role: fc.constantFrom('user', 'assistant', 'system', 'developer'),
    content,
  }),
  optional(['type', 'call_id', 'name', 'arguments'], {
    type: constant('function_call'),
    call_id: word,
    name: word,
    arguments: fc.oneof(fc.json(), fc.string()),
  }),
  optional(['type', 'call_id', 'output'], {
    type: constant('function_call_output'),
    call_id: word,
    output: content,
  }),
  optional(['type', 'summary'], {
    type: constant('reasoning'),
    summary: fc.array(fc.record({ type: constant('summary_text'), text: fc.string() }), { maxLength: 2 }),
    encrypted_content: nullable(fc.constantFrom(...carriers)),
    content: nullable(
      fc.array(fc.record({ type: constant('reasoning_text'), text: word }), { maxLength: 1 }),
    ),
  }),
  optional(['type'], {
    type: fc.constantFrom('web_search_call', 'custom_tool_call', 'custom_tool_call_output', 'item_reference'),
    x: fc.jsonValue(),
  }),
);
const tool = fc.oneof(
  optional(['type', 'name'], {
    type: constant('function'),
    name: word,
    description: nullable(word),
    parameters: nullable(fc.dictionary(word, fc.jsonValue())),
    strict: nullable(fc.boolean()),
  }),
  optional(['type'], { type: fc.constantFrom('web_search', 'custom', 'mcp'), name: word }),
);
const format = fc.oneof(
  fc.record({ type: constant('text') }),
  fc.record({ type: constant('json_object') }),
  optional(['type', 'name', 'schema'], {
    type: constant('json_schema'),
    name: word,
    schema: fc.dictionary(word, fc.jsonValue()),
    strict: nullable(fc.boolean()),
  }),
  fc.record({ type: constant('grammar') }),
);
const body = optional(['input'], {
  input: fc.oneof(fc.string(), fc.array(item, { maxLength: 5 })),
  instructions: nullable(fc.string()),
  stream: fc.boolean(),
  tools: fc.array(tool, { maxLength: 2 }),
  tool_choice: fc.oneof(
    fc.constantFrom('auto', 'none', 'required', null),
    fc.record({ type: constant('function'), name: word }),
    fc.record({ type: fc.constantFrom('web_search', 'allowed_tools') }),
  ),
  text: nullable(optional([], { format: nullable(format), verbosity: fc.constantFrom('low', 'high', null) })),
  reasoning: nullable(
    optional([], {
      effort: fc.constantFrom('low', 'high', 'none', null),
      summary: fc.constantFrom('auto', 'detailed', null),
      generate_summary: fc.constantFrom('concise', null),
    }),
  ),
  max_output_tokens: nullable(fc.nat()),
  temperature: nullable(fc.double({ noNaN: true, noDefaultInfinity: true })),
  top_p: nullable(fc.constantFrom(0, 0.5, 1)),
  parallel_tool_calls: nullable(fc.boolean()),
  top_logprobs: nullable(fc.nat({ max: 20 })),
  include: fc.array(fc.constantFrom('message.output_text.logprobs', 'reasoning.encrypted_content')),
  service_tier: nullable(fc.constantFrom('auto', 'flex')),
  store: nullable(fc.boolean()),
  user: nullable(word),
  safety_identifier: nullable(word),
  truncation: fc.constantFrom('auto', 'disabled', null),
  previous_response_id: nullable(word),
  metadata: fc.dictionary(word, word),
});

describe('a request that is decoded and encoded', () => {
  test('is what it was', () => {
    fc.assert(
      fc.property(body, (fields) => {
        const written = { model: 'm', ...(overTheWire(fields) as object) };
        expect(overTheWire(encode(decodeBody(written)))).toEqual(written);
      }),
      { numRuns: 1500 },
    );
  });

  test('keeps what was changed in between', () => {
    const request = decodeBody({ input: [{ role: 'user', content: 'Hi' }], temperature: 1, x: 1 });
    expect(encode({ ...request, temperature: 0.5, model: 'other' })).toMatchObject({
      model: 'other',
      temperature: 0.5,
      x: 1,
    });
  });
});

describe('a request means the same elsewhere', () => {
  test('text, instructions and roles', () => {
    const request = decodeBody({
      instructions: 'Be brief.',
      input: [
        { role: 'developer', content: 'Speak French.' },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hello' }] },
      ],
    });
    expect(withoutExtras(request).messages).toEqual([
      { role: 'system', parts: [{ kind: 'text', text: 'Be brief.' }] },
      { role: 'developer', parts: [{ kind: 'text', text: 'Speak French.' }] },
      { role: 'user', parts: [{ kind: 'text', text: 'Hello' }] },
    ]);
    expect(withoutExtras(decodeBody({ input: 'Hello' })).messages).toEqual([
      { role: 'user', parts: [{ kind: 'text', text: 'Hello' }] },
    ]);
  });

  test('everything the model did between two words of the user is one message', () => {
    const call = (id: string) => ({
      type: 'function_call',
      call_id: id,
      name: 'f',
      arguments: '{}',
      id: 'fc',
    });
    const request = decodeBody({
      input: [
        { role: 'user', content: 'Go' },
        {
          type: 'reasoning',
          id: 'rs_1',
          summary: [{ type: 'summary_text', text: 'Hm.' }],
          encrypted_content: 'gAAAA',
        },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Let me see.' }] },
        call('call_1'),
        call('call_2'),
        { type: 'function_call_output', call_id: 'call_1', output: 'one' },
        {
          type: 'function_call_output',
          call_id: 'call_2',
          output: [
            { type: 'input_text', text: 'two' },
            { type: 'input_image', image_url: 'data:image/png;base64,AA==' },
          ],
        },
      ],
    });
    expect(withoutExtras(request).messages).toEqual([
      { role: 'user', parts: [{ kind: 'text', text: 'Go' }] },
      {
        role: 'assistant',
        parts: [
          { kind: 'reasoning', text: 'Hm.', signature: { maker: 'openai', value: 'gAAAA', id: 'rs_1' } },
          { kind: 'text', text: 'Let me see.' },
          { kind: 'tool-call', id: 'call_1', name: 'f', arguments: '{}' },
          { kind: 'tool-call', id: 'call_2', name: 'f', arguments: '{}' },
        ],
      },
      {
        role: 'tool',
        parts: [{ kind: 'tool-result', toolCallId: 'call_1', parts: [{ kind: 'text', text: 'one' }] }],
      },
      {
        role: 'tool',
        parts: [
          {
            kind: 'tool-result',
            toolCallId: 'call_2',
            parts: [
              { kind: 'text', text: 'two' },
              { kind: 'image', url: 'data:image/png;base64,AA==' },
            ],
          },
        ],
      },
    ]);
    expect(untranslatable(request)).toEqual([]);
  });

  test('pictures, documents and sound', () => {
    const request = decodeBody({
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_image', image_url: 'https://a.example/a.png', detail: 'high' },
            { type: 'input_file', file_data: 'data:application/pdf;base64,AA==', filename: 'a.pdf' },
            { type: 'input_file', file_url: 'https://a.example/a.pdf' },
            { type: 'input_file', file_id: 'file-1' },
            { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
          ],
        },
      ],
    });
    expect(withoutExtras(request).messages[0]!.parts).toEqual([
      { kind: 'image', url: 'https://a.example/a.png', detail: 'high' },
      { kind: 'file', url: 'data:application/pdf;base64,AA==', filename: 'a.pdf' },
      { kind: 'file', url: 'https://a.example/a.pdf' },
      { kind: 'file', fileId: 'file-1' },
      { kind: 'audio', data: 'AA==', format: 'wav' },
    ]);
  });

  test('tools, formats, limits and wishes', () => {
    const schema = { type: 'object' };
    const request = decodeBody({
      input: 'Hi',
      tools: [{ type: 'function', name: 'f', description: 'd', parameters: schema, strict: true }],
      tool_choice: { type: 'function', name: 'f' },
      parallel_tool_calls: false,
      text: { format: { type: 'json_schema', name: 'n', schema, strict: true }, verbosity: 'low' },
      reasoning: { effort: 'high', summary: 'auto' },
      max_output_tokens: 5,
      temperature: 0.5,
      top_p: 0.9,
      top_logprobs: 2,
      include: ['message.output_text.logprobs'],
      service_tier: 'flex',
      safety_identifier: 'someone',
    });
    expect(request).toMatchObject({
      tools: [{ name: 'f', description: 'd', parameters: schema, strict: true }],
      toolChoice: { name: 'f' },
      parallelToolCalls: false,
      responseFormat: { kind: 'schema', fields: { name: 'n', schema, strict: true } },
      verbosity: 'low',
      reasoningEffort: 'high',
      showReasoning: true,
      maxOutputTokens: 5,
      temperature: 0.5,
      topP: 0.9,
      logprobs: { top: 2 },
      serviceTier: 'flex',
      endUser: 'someone',
    });
    expect(untranslatable(request)).toEqual([]);
  });

  test.each([
    ['a reference', [{ type: 'item_reference', id: 'msg_1' }], ['input[0] (item_reference)']],
    ['a bare id', [{ id: 'msg_1' }], ['input[0] (item_reference)']],
    ['a search', [{ type: 'web_search_call', id: 'ws_1' }], ['input[0] (web_search_call)']],
    [
      'a picture by id',
      [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }],
      ['input[0].content (input_image)'],
    ],
    ['an unknown member', [{ role: 'user', content: 'Hi', name: 'Bob' }], ['input[0].name']],
  ])('%s is refused by its place', (_, input, expected) => {
    expect(untranslatable(decodeBody({ input }))).toEqual(expected);
  });

  test.each([
    [{ tools: [{ type: 'web_search' }] }, 'tools[0] (web_search)'],
    [{ tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [] } }, 'tool_choice'],
    [{ text: { format: { type: 'grammar' } } }, 'text.format'],
    [{ reasoning: { context: 'x' } }, 'reasoning.context'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ brand_new: 1 }, 'brand_new'],
  ])('%j is refused by its name', (fields, name) => {
    expect(untranslatable(decodeBody({ input: 'Hi', ...fields }))).toEqual([name]);
  });

  test('hints and what says nothing are left out', () => {
    const hints = {
      metadata: { a: 'b' },
      store: true,
      include: ['reasoning.encrypted_content'],
      stream_options: { include_obfuscation: false },
      prompt_cache_key: 'k',
      truncation: 'disabled',
      background: false,
      conversation: null,
      tools: [],
      reasoning: { effort: null, summary: null },
    };
    expect(untranslatable(decodeBody({ input: 'Hi', ...hints }))).toEqual([]);
  });

  test.each([
    [{ input: 5 }, 'input'],
    [{ input: [5] }, 'input[0]'],
    [{ input: [{ role: 'robot', content: 'Hi' }] }, 'input[0].role'],
    [{ input: [{ role: 'user', content: 5 }] }, 'input[0].content'],
    [{ input: [{ role: 'user', content: [{ type: 'input_text' }] }] }, 'input[0].content[0].text'],
    [{ input: [{ type: 'function_call', call_id: 'c', name: 'f' }] }, 'input[0].arguments'],
    [{ input: [{ type: 'function_call_output', output: '' }] }, 'input[0].call_id'],
    [{ input: 'Hi', tools: {} }, 'tools'],
    [{ input: 'Hi', tools: [{ type: 'function' }] }, 'tools[0].name'],
    [{ input: 'Hi', max_output_tokens: 'many' }, 'max_output_tokens'],
  ])('%j is no request, and the field is named', (fields, param) => {
    expect(() => decodeBody(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }));
  });
});
