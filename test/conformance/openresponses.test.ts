// What the OpenResponses project asks of a server, as templates of our own: each is put, streamed and not, to the demo provider and to
// upstreams of three dialects, and every answer has to be a response with every field in place.
import { describe, expect, test } from 'vitest';
import { anthropic } from '#data-plane/providers/anthropic.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { demoProvider } from '#data-plane/providers/demo.ts';
import { checkResponseStream } from '#test/fixtures/response-events.ts';
import { type ResponseBody, responseSchema } from '#test/fixtures/response-schema.ts';
import { errorOf, goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { providerOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';

const { gateway } = gatewayPerFile(({ provider }) => {
  const { baseUrl } = provider;
  const providers = [
    providerOf('responses', { baseUrl, kind: compatible('openai', { responses: 'kept' }) }),
    providerOf('chat', { baseUrl }),
    providerOf('claude', { baseUrl, kind: anthropic('anthropic') }),
    providerOf('demo', { kind: demoProvider }),
  ];
  return { snapshot: plainSnapshot(provider, { providers }) };
});

const upstreams = ['demo/demo', 'responses/ok', 'chat/ok', 'claude/ok'] as const;

async function post(body: object): Promise<Response> {
  return fetch(`${gateway.url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function ask(body: object, stream: boolean): Promise<ResponseBody> {
  const answer = await post({ ...body, stream });
  const text = await answer.text();
  expect({ status: answer.status, text: answer.ok ? '' : text }).toEqual({ status: 200, text: '' });
  return stream ? checkResponseStream(text).response : responseSchema.parse(JSON.parse(text));
}

const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather at a place',
  parameters: {
    type: 'object',
    properties: { location: { type: 'string', description: 'A city' } },
    required: ['location'],
  },
};
const said = (role: string, content: unknown) => ({ type: 'message', role, content });
const heart =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const call = {
  type: 'function_call',
  call_id: 'call_1',
  name: 'get_weather',
  arguments: '{"location":"Rome"}',
};

interface Template {
  readonly name: string;
  readonly body: object;
  /** What the fake provider is told to do besides answering. */
  readonly behaviour?: string;
  readonly outputType?: string;
  readonly status?: string;
  readonly echoed?: object;
}

const templates: readonly Template[] = [
  { name: 'a message of the user', body: { input: [said('user', 'Say hello in three words.')] } },
  { name: 'a plain text as input', body: { input: 'Say hello.' } },
  {
    name: 'a message of the system',
    body: { input: [said('system', 'You are a pirate.'), said('user', 'Say hello.')] },
  },
  {
    name: 'a message of the developer',
    body: { input: [said('developer', 'Answer in French.'), said('user', 'Say hello.')] },
  },
  {
    name: 'instructions',
    body: { instructions: 'You are a pirate.', input: 'Say hello.' },
    echoed: { instructions: 'You are a pirate.' },
  },
  {
    name: 'a tool to call',
    body: { input: [said('user', 'How is the weather in Rome?')], tools: [weather], tool_choice: 'required' },
    behaviour: 'tool-call',
    outputType: 'function_call',
    echoed: { tool_choice: 'required' },
  },
  {
    name: 'several calls at once',
    body: { input: 'How is the weather in Rome and Paris?', tools: [weather], tool_choice: 'required' },
    behaviour: 'tool-calls-2',
    outputType: 'function_call',
  },
  {
    name: 'a tool demanded by name',
    body: { input: 'Hi', tools: [weather], tool_choice: { type: 'function', name: 'get_weather' } },
    behaviour: 'tool-call',
    outputType: 'function_call',
    echoed: { tool_choice: { type: 'function', name: 'get_weather' } },
  },
  {
    name: 'tools that must not be called',
    body: { input: 'Weather?', tools: [weather], tool_choice: 'none' },
    echoed: { tool_choice: 'none' },
  },
  {
    name: 'the result of a tool',
    body: {
      input: [
        said('user', 'How is the weather in Rome?'),
        call,
        { type: 'function_call_output', call_id: 'call_1', output: '{"sky":"blue"}' },
      ],
      tools: [weather],
    },
  },
  {
    name: 'a picture',
    body: {
      input: [
        said('user', [
          { type: 'input_text', text: 'What do you see?' },
          { type: 'input_image', image_url: heart },
        ]),
      ],
    },
  },
  {
    name: 'a conversation of several turns',
    body: {
      input: [
        said('user', 'My name is Alice.'),
        said('assistant', 'Hello Alice!'),
        said('user', 'What is my name?'),
      ],
    },
  },
  {
    name: 'what an answer held, sent back',
    body: {
      input: [
        said('user', 'My name is Alice.'),
        {
          id: 'msg_1',
          type: 'message',
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Hello Alice!', annotations: [], logprobs: [] }],
        },
        said('user', 'What is my name?'),
      ],
    },
  },
  {
    name: 'a limit that is reached',
    body: { input: 'Tell me a long story.', max_output_tokens: 2 },
    status: 'incomplete',
    echoed: { max_output_tokens: 2 },
  },
  {
    name: 'settings and metadata',
    body: {
      input: 'Hi',
      temperature: 0.5,
      metadata: { a: 'b' },
      parallel_tool_calls: false,
      store: false,
      safety_identifier: 'someone',
      truncation: 'disabled',
    },
    echoed: { temperature: 0.5, metadata: { a: 'b' }, parallel_tool_calls: false, store: false },
  },
];

describe.each(upstreams)('%s', (model) => {
  // A provider of the same dialect repeats the request itself, which the fake one does not.
  const isNative = model.startsWith('responses/');
  const isDemo = model.startsWith('demo/');

  describe.each(templates)('$name', ({ body, behaviour, outputType = 'message', status, echoed }) => {
    const name = behaviour === undefined || isDemo ? model : model.replace('/ok', `/${behaviour}`);

    test.each([false, true])('streamed: %s', async (stream) => {
      const response = await ask({ model: name, ...body }, stream);
      expect(response.status).toBe(status ?? 'completed');
      expect(response.output.map(({ type }) => type)).toContain(outputType);
      expect(response.usage!.total_tokens).toBe(response.usage!.input_tokens + response.usage!.output_tokens);
      if (!isNative) expect(response).toMatchObject(echoed ?? {});
    });
  });

  test('going on from an earlier response', async () => {
    const first = await ask({ model, input: 'My name is Alice.' }, false);
    const second = await ask({ model, input: 'And?', previous_response_id: first.id }, true);
    expect(second.id).not.toBe(first.id);
    if (!isNative) expect(second.previous_response_id).toBe(first.id);
  });
});

test('reasoning asked of a model that reasons, and of one that does not', async () => {
  const body = { input: 'Think.', reasoning: { effort: 'low', summary: 'auto' } };
  for (const model of ['chat/ok', 'demo/demo']) {
    expect(await ask({ model, ...body }, false)).toMatchObject({ reasoning: body.reasoning });
  }
});

test('a form for the answer', async () => {
  const schema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
  const format = { type: 'json_schema', name: 'person', schema, strict: true };
  const response = await ask({ model: 'demo/demo', input: 'Alice', text: { format } }, false);
  expect(response.text.format).toMatchObject(format);
  const [message] = response.output;
  const part = message?.type === 'message' ? message.content[0] : undefined;
  expect(JSON.parse(part?.type === 'output_text' ? part.text : '')).toHaveProperty('name');
});

test.each([
  [404, { model: 'no-such-model', input: 'Hi' }],
  [400, { input: 'Hi' }],
  [400, { model: 'chat/ok', input: [{ role: 'robot', content: 'Hi' }] }],
  [429, { model: 'chat/error-429', input: 'Hi' }],
])("an error of status %i has OpenAI's form", async (status, body) => {
  const answer = await post(body);
  expect(answer.status).toBe(status);
  expect(Object.keys(await errorOf(answer)).toSorted()).toEqual(['code', 'message', 'param', 'type']);
});
