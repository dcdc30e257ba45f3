import { describe, expect, test } from 'vitest';
import { type Part, type TurnRequest, withoutExtras } from '../../turn/request.ts';
import { openaiResponses } from './index.ts';

const { decode, encode, peek } = openaiResponses;

function decodeBody(body: object): TurnRequest {
  return decode(peek(Buffer.from(JSON.stringify({ model: 'm', ...body }))));
}

/** As an upstream of this dialect would be asked for a client of another. */
function encodeForeign(request: Partial<TurnRequest>, model = 'gpt-4o') {
  const refused: string[] = [];
  const turn: TurnRequest = { model, stream: false, messages: [], tools: [], extras: {}, ...request };
  const body = JSON.parse(
    JSON.stringify(encode(turn, { unsupported: (field) => refused.push(field) })),
  ) as unknown;
  return { refused, body: body as Record<string, unknown> };
}

describe('signatures', () => {
  const reasoning = (encrypted_content: string, text = '') => ({
    type: 'reasoning',
    summary: text === '' ? [] : [{ type: 'summary_text', text }],
    encrypted_content,
  });
  const call = { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' };
  const said = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Well.' }] };
  const partsOf = (...input: object[]): readonly Part[] =>
    withoutExtras(decodeBody({ input })).messages.flatMap(({ parts }) => parts);

  test("of Claude's reasoning come back to Claude", () => {
    expect(partsOf(reasoning('sb1.anthropic..secret', 'Hm.'))).toEqual([
      { kind: 'reasoning', text: 'Hm.', signature: { maker: 'anthropic', value: 'secret' } },
    ]);
    expect(partsOf(reasoning('sb1.anthropic.cmVkYWN0ZWQ.secret'))).toEqual([
      { kind: 'reasoning', text: '', signature: { maker: 'anthropic', value: 'secret' }, isRedacted: true },
    ]);
  });

  test('of a call or a text are handed to it', () => {
    const signature = { maker: 'google', value: 'secret' };
    expect(partsOf(reasoning('sb1.google.Y2FsbA.secret'), call)).toEqual([
      { kind: 'tool-call', id: 'call_1', name: 'f', arguments: '{}', signature },
    ]);
    expect(partsOf(said, reasoning('sb1.google.dGV4dA.secret'))).toEqual([
      { kind: 'text', text: 'Well.', signature },
    ]);
  });

  test('of OpenAI go out again with the id of their item; those of others do not', () => {
    const messages = [
      {
        role: 'assistant',
        parts: [
          { kind: 'reasoning', text: 'Hm.', signature: { maker: 'openai', value: 'gAAAA', id: 'rs_1' } },
          { kind: 'reasoning', text: 'Hm.', signature: { maker: 'anthropic', value: 'secret' } },
          { kind: 'reasoning', text: 'unsigned' },
          { kind: 'tool-call', id: 'call_1', name: 'f', arguments: '{}' },
        ],
      },
    ] as const;
    expect(encodeForeign({ messages }).body.input).toEqual([
      {
        type: 'reasoning',
        id: 'rs_1',
        summary: [{ type: 'summary_text', text: 'Hm.' }],
        encrypted_content: 'gAAAA',
      },
      call,
    ]);
  });
});

describe('for a client of another dialect', () => {
  test('messages become items in the words for what goes in and what came out', () => {
    const { body } = encodeForeign({
      messages: [
        { role: 'system', parts: [{ kind: 'text', text: 'Be brief.' }] },
        {
          role: 'user',
          parts: [
            { kind: 'text', text: 'Look:' },
            { kind: 'image', url: 'https://a.example/a.png' },
            { kind: 'file', url: 'data:application/pdf;base64,AA==' },
            { kind: 'file', url: 'https://a.example/a.pdf', filename: 'a.pdf' },
          ],
        },
        {
          role: 'assistant',
          parts: [
            { kind: 'text', text: 'Hm.' },
            { kind: 'refusal', text: 'No.' },
            { kind: 'tool-call', id: 'call_1', name: 'f', arguments: '{}' },
          ],
        },
        {
          role: 'tool',
          parts: [
            {
              kind: 'tool-result',
              toolCallId: 'call_1',
              parts: [{ kind: 'text', text: 'Oh.' }],
              isError: true,
            },
            {
              kind: 'tool-result',
              toolCallId: 'call_2',
              parts: [{ kind: 'image', url: 'https://a.example/b.png' }],
            },
          ],
        },
      ],
    });
    expect(body.input).toEqual([
      { type: 'message', role: 'system', content: [{ type: 'input_text', text: 'Be brief.' }] },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'Look:' },
          { type: 'input_image', image_url: 'https://a.example/a.png', detail: 'auto' },
          { type: 'input_file', file_data: 'data:application/pdf;base64,AA==', filename: 'document' },
          { type: 'input_file', file_url: 'https://a.example/a.pdf', filename: 'a.pdf' },
        ],
      },
      {
        type: 'message',
        role: 'assistant',
        content: [
          { type: 'output_text', text: 'Hm.', annotations: [] },
          { type: 'refusal', refusal: 'No.' },
        ],
      },
      { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'The tool failed:\nOh.' },
      {
        type: 'function_call_output',
        call_id: 'call_2',
        output: [{ type: 'input_image', image_url: 'https://a.example/b.png', detail: 'auto' }],
      },
    ]);
  });

  test('nothing is kept at the provider, and what a model thought comes back encrypted', () => {
    expect(encodeForeign({}, 'gpt-5-mini').body).toMatchObject({
      store: false,
      include: ['reasoning.encrypted_content'],
    });
    expect(encodeForeign({ showReasoning: true }, 'o4-mini').body.reasoning).toEqual({ summary: 'auto' });
    expect(encodeForeign({ reasoningTokens: 9000 }, 'o4-mini').body.reasoning).toEqual({ effort: 'medium' });
    // Models that do not reason refuse to be asked what they thought.
    const plain = encodeForeign({ showReasoning: true }, 'gpt-4o').body;
    expect(plain).toMatchObject({ store: false });
    expect(plain).not.toHaveProperty('include');
    expect(plain).not.toHaveProperty('reasoning');
  });

  test('tools are as strict as they were, and formats have a name', () => {
    const { body } = encodeForeign({
      tools: [
        { name: 'f', parameters: { type: 'object' } },
        { name: 'g', strict: true },
      ],
      toolChoice: { name: 'f' },
      responseFormat: { kind: 'schema', fields: { schema: { type: 'object' } } },
      logprobs: { top: 3 },
    });
    expect(body).toMatchObject({
      tools: [
        { type: 'function', name: 'f', parameters: { type: 'object' }, strict: false },
        { type: 'function', name: 'g', parameters: null, strict: true },
      ],
      tool_choice: { type: 'function', name: 'f' },
      text: { format: { type: 'json_schema', name: 'answer', schema: { type: 'object' } } },
      include: ['message.output_text.logprobs'],
      top_logprobs: 3,
    });
  });

  test('what the API has no words for is told', () => {
    const wishes = { stop: ['x'], seed: 1, topK: 5, presencePenalty: 1, frequencyPenalty: 1, choices: 2 };
    expect(encodeForeign(wishes).refused.toSorted()).toEqual(Object.keys(wishes).toSorted());
    const idle = { stop: [], presencePenalty: 0, frequencyPenalty: 0, choices: 1 };
    expect(encodeForeign(idle).refused).toEqual([]);
  });
});
