// The official OpenAI SDK cannot tell that Signalbox is in between: chat, streams, tools, its accumulating helpers, aborts and
// its error classes.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { waitFor } from '#test/harness/cluster.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

let up: AllInOne;
let provider: FakeProvider;
let client: OpenAI;

const models = [
  'ok',
  'tool-call',
  'chunks-200.pause-20ms',
  'error-429-retry-1',
  'error-500',
  'cut-after-3',
  'n-2',
  'one-byte-chunks',
  'crlf',
];
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const messages = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];

beforeAll(async () => {
  provider = await startFakeProvider();
  const list = models
    .map((model) => `  - { name: "${model}", provider: fake, model: "${model}" }`)
    .join('\n');
  up = await startAllInOne({
    configuration: `providers:\n  - { name: fake, type: openai-compatible, base_url: "${provider.baseUrl}", allow_private_network: true }\nmodels:\n${list}\n`,
  });
  client = new OpenAI({ apiKey: up.key(), baseURL: `${up.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await up?.remove();
  await provider?.stop();
});

describe.each(['ok', 'demo', 'one-byte-chunks', 'crlf'])('with model %s', (model) => {
  test('a completion', async () => {
    const completion = await client.chat.completions.create({ model, messages });
    expect(completion.object).toBe('chat.completion');
    expect(completion.choices[0]!.message.content).toBeTruthy();
    expect(completion.usage!.total_tokens).toBe(
      completion.usage!.prompt_tokens + completion.usage!.completion_tokens,
    );
  });

  test('a stream, read to its end', async () => {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = '';
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      expect(
        chunk.choices.length,
        'no chunk that only carries usage, which was not asked for',
      ).toBeGreaterThan(0);
    }
    expect(text).not.toBe('');
  });

  test('a stream with usage, through the accumulating helper', async () => {
    const stream = client.chat.completions.stream({
      model,
      messages,
      stream_options: { include_usage: true },
    });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]!.finish_reason).toBe('stop');
    expect((await stream.totalUsage()).completion_tokens).toBeGreaterThan(0);
    expect(await stream.finalContent()).toBeTruthy();
  });
});

describe.each(['tool-call', 'demo'])('tools with model %s', (model) => {
  const request = { model, messages, tools: [weather], tool_choice: 'required' as const };

  test('a call in a completion', async () => {
    const completion = await client.chat.completions.create(request);
    const call = completion.choices[0]!.message.tool_calls![0]!;
    expect(call.type === 'function' && call.function.name).toBe('get_weather');
    expect(() => JSON.parse(call.type === 'function' ? call.function.arguments : '')).not.toThrow();
  });

  test('a call accumulated from a stream', async () => {
    const stream = client.chat.completions.stream(request);
    const call = await stream.finalFunctionToolCall();
    expect(call!.name).toBe('get_weather');
    expect(() => JSON.parse(call!.arguments)).not.toThrow();
  });
});

test('several choices', async () => {
  const completion = await client.chat.completions.create({ model: 'n-2', messages, n: 2 });
  expect(completion.choices.map((choice) => choice.index)).toEqual([0, 1]);
});

test('leaving a stream ends the call to the provider', async () => {
  const stream = await client.chat.completions.create({
    model: 'chunks-200.pause-20ms',
    messages,
    stream: true,
  });
  for await (const chunk of stream) if (chunk.choices.length > 0) break;
  stream.controller.abort();
  await waitFor('the provider to see it', () =>
    provider.bill().some((call) => call.model === 'chunks-200.pause-20ms' && call.aborted),
  );
});

describe('errors arrive as the SDK knows them', () => {
  test('a wrong key', async () => {
    const stranger = new OpenAI({ apiKey: 'sb-wrong', baseURL: `${up.url}/v1`, maxRetries: 0 });
    await expect(stranger.chat.completions.create({ model: 'ok', messages })).rejects.toThrow(
      OpenAI.AuthenticationError,
    );
  });

  test('an unknown model', async () => {
    await expect(client.chat.completions.create({ model: 'no-such-model', messages })).rejects.toThrow(
      OpenAI.NotFoundError,
    );
  });

  test('a provider that limits', async () => {
    const refused = client.chat.completions.create({ model: 'error-429-retry-1', messages });
    await expect(refused).rejects.toThrow(OpenAI.RateLimitError);
    await expect(refused).rejects.toMatchObject({ status: 429 });
  });

  test('a provider that fails', async () => {
    await expect(client.chat.completions.create({ model: 'error-500', messages })).rejects.toThrow(
      OpenAI.InternalServerError,
    );
  });

  test('a stream that breaks off', async () => {
    const stream = await client.chat.completions.create({ model: 'cut-after-3', messages, stream: true });
    const read = async () => {
      for await (const chunk of stream) expect(chunk.object).toBe('chat.completion.chunk');
    };
    await expect(read()).rejects.toThrow(OpenAI.APIError);
  });
});

test('the list of models', async () => {
  const listed = (await client.models.list()).data.map((model) => model.id);
  expect(listed).toEqual(expect.arrayContaining([...models, 'demo']));
  expect((await client.models.retrieve('ok')).id).toBe('ok');
});
