// The official SDKs of OpenAI and Anthropic on models at Bedrock: whole and streamed, tools and failures, with every request signed.
import Anthropic from '@anthropic-ai/sdk';
import { AwsV4Signer } from 'aws4fetch';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { waitFor } from '#test/harness/cluster.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const scripts = ['ok', 'tool-call', 'tool-calls-2', 'one-byte-chunks', 'chunks-200.pause-20ms'];
const broken = ['pause-5ms.cut-after-3', 'pause-5ms.error-in-stream'];
/** Who says that a limit is reached is left alone for a while: no account that another test needs. */
const accounts = ['aws', 'limited', 'of-openai', 'of-anthropic'];
const question = 'What is the weather in Paris?';
const messages = [{ role: 'user' as const, content: question }];
const schema = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };

let up: AllInOne;
let provider: FakeProvider;
let openai: OpenAI;
let anthropic: Anthropic;

beforeAll(async () => {
  provider = await startFakeProvider();
  const models = scripts.map((script) => `  - { name: "${script}", provider: aws, model: "${script}" }`);
  up = await startAllInOne({
    configuration: [
      'providers:',
      ...accounts.flatMap((name) => [
        `  - name: ${name}`,
        '    type: bedrock',
        '    region: eu-west-1',
        `    base_url: "http://127.0.0.1:${provider.port}"`,
        '    allow_private_network: true',
        `    api_keys: ["${accessKeyId}:${secretAccessKey}"]`,
      ]),
      'models:',
      ...models,
    ].join('\n'),
  });
  openai = new OpenAI({ apiKey: up.key(), baseURL: `${up.url}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: up.key(), baseURL: up.url, maxRetries: 0 });
});

afterAll(async () => {
  await up?.remove();
  await provider?.stop();
});

describe.each(['ok', 'one-byte-chunks'])('a client of OpenAI asks %s', (model) => {
  test('for a completion', async () => {
    const { choices, usage } = await openai.chat.completions.create({ model, messages });
    expect(choices[0]?.message.content).toBe('word1 word2 word3 word4 word5 ');
    expect(usage?.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
  });

  test('for a stream', async () => {
    const stream = openai.chat.completions.stream({
      model,
      messages,
      stream_options: { include_usage: true },
    });
    const { choices, usage } = await stream.finalChatCompletion();
    expect(choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: expect.stringContaining('word5') },
    });
    expect(usage?.completion_tokens).toBe(5);
  });
});

describe.each(['ok', 'one-byte-chunks'])('a client of Anthropic asks %s', (model) => {
  test('for a message', async () => {
    const message = await anthropic.messages.create({ model, max_tokens: 200, messages });
    expect(message).toMatchObject({ type: 'message', stop_reason: 'end_turn', usage: { output_tokens: 5 } });
    expect(message.content).toMatchObject([{ type: 'text', text: expect.stringContaining('word5') }]);
  });

  test('for a stream', async () => {
    const message = await anthropic.messages.stream({ model, max_tokens: 200, messages }).finalMessage();
    expect(message).toMatchObject({ stop_reason: 'end_turn', usage: { output_tokens: 5 } });
  });
});

describe.each(['tool-call', 'tool-calls-2'])('tools with %s', (model) => {
  const count = model === 'tool-call' ? 1 : 2;

  test('for a client of OpenAI, and the answer that goes back', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters: schema } }];
    const whole = await openai.chat.completions.create({ model, messages, tools });
    const streamed = await openai.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    for (const { choices } of [whole, streamed]) {
      expect(choices[0]?.finish_reason).toBe('tool_calls');
      const calls = choices[0]?.message.tool_calls ?? [];
      expect(calls).toHaveLength(count);
      for (const call of calls) {
        if (call.type !== 'function') throw new Error('A call of another kind.');
        expect(call.function.name).toBe('get_weather');
        expect(JSON.parse(call.function.arguments)).toMatchObject({ city: 'Zürich' });
      }
    }
    const called = whole.choices[0]!.message;
    const results = called.tool_calls!.map(({ id }) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: '4',
    }));
    const after = { model: 'ok', messages: [...messages, called, ...results] };
    await expect(openai.chat.completions.create(after)).resolves.toMatchObject({ object: 'chat.completion' });
    const sent = JSON.parse(provider.requests().at(-1)!.body.toString());
    expect(sent.toolConfig.tools).toMatchObject([{ toolSpec: { name: 'get_weather' } }]);
    expect(sent.messages.at(-1).content).toHaveLength(count);
  });

  test('for a client of Anthropic', async () => {
    const request = {
      model,
      max_tokens: 200,
      messages,
      tools: [{ name: 'get_weather', input_schema: schema }],
      tool_choice: { type: 'any' as const },
    };
    const whole = await anthropic.messages.create(request);
    const streamed = await anthropic.messages.stream(request).finalMessage();
    for (const message of [whole, streamed]) {
      expect(message.stop_reason).toBe('tool_use');
      expect(message.content).toHaveLength(count);
      expect(message.content[0]).toMatchObject({
        type: 'tool_use',
        name: 'get_weather',
        input: { city: 'Zürich' },
      });
    }
    const sent = JSON.parse(provider.requests().at(-1)!.body.toString());
    expect(sent.toolConfig.toolChoice).toEqual({ any: {} });
  });
});

describe('a failure', () => {
  test('before the answer has the class that the SDKs know', async () => {
    const model = 'limited/error-429';
    await expect(openai.chat.completions.create({ model, messages })).rejects.toThrow(OpenAI.RateLimitError);
    const refused = anthropic.messages.create({ model, max_tokens: 10, messages });
    await expect(refused).rejects.toThrow(Anthropic.RateLimitError);
  });

  test.each(broken)('inside a stream (%s) is an error, not an end', async (script) => {
    const chat = openai.chat.completions.stream({ model: `of-openai/${script}`, messages });
    await expect(chat.finalChatCompletion()).rejects.toThrow(OpenAI.OpenAIError);
    const model = `of-anthropic/${script}`;
    const stream = anthropic.messages.stream({ model, max_tokens: 200, messages });
    await expect(stream.finalMessage()).rejects.toThrow(Anthropic.AnthropicError);
  });

  test('of the client lets Bedrock go', async () => {
    const before = provider.bill().filter((call) => call.aborted).length;
    const stream = await openai.chat.completions.create({
      model: 'chunks-200.pause-20ms',
      messages,
      stream: true,
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    stream.controller.abort();
    await waitFor(
      'the provider to see it',
      () => provider.bill().filter((call) => call.aborted).length > before,
    );
  });
});

test('every request was signed', async () => {
  const requests = provider.requests();
  expect(requests.length).toBeGreaterThan(10);
  for (const { headers, method, path, body } of requests) {
    const signer = new AwsV4Signer({
      accessKeyId,
      secretAccessKey,
      method,
      url: `http://${headers.host}${path}`,
      headers: { 'content-type': headers['content-type']! },
      body: body.toString(),
      region: 'eu-west-1',
      service: 'bedrock',
      datetime: headers['x-amz-date']!,
      allHeaders: true,
    });
    expect(new Headers((await signer.sign()).headers).get('authorization')).toBe(headers.authorization);
  }
});
