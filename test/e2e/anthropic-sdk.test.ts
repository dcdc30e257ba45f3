// The official Anthropic SDK cannot tell that Signalbox is in between, whatever answers behind it: an upstream that speaks
// Anthropic's format, one that speaks OpenAI's, or the demo.
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { waitFor } from '#test/harness/cluster.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

let up: AllInOne;
let provider: FakeProvider;
let client: Anthropic;

const scripts = ['ok', 'tool-call', 'chunks-200.pause-20ms', 'error-500', 'cut-after-3', 'one-byte-chunks'];
const weather = {
  name: 'get_weather',
  input_schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' } },
    required: ['city'],
  },
};
const messages = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];

beforeAll(async () => {
  provider = await startFakeProvider();
  const address = `base_url: "${provider.baseUrl}", allow_private_network: true`;
  const model = (upstream: string) =>
    scripts.map(
      (script) => `  - { name: "${upstream}/${script}", provider: ${upstream}, model: "${script}" }`,
    );
  up = await startAllInOne({
    configuration: [
      'providers:',
      `  - { name: claude, type: anthropic, ${address}, api_keys: [sk-ant-fake] }`,
      `  - { name: chat, type: openai-compatible, ${address} }`,
      'models:',
      ...model('claude'),
      ...model('chat'),
    ].join('\n'),
  });
  client = new Anthropic({ apiKey: up.key(), baseURL: up.url, maxRetries: 0 });
});

afterAll(async () => {
  await up?.remove();
  await provider?.stop();
});

describe.each(['claude/ok', 'chat/ok', 'demo', 'claude/one-byte-chunks', 'chat/one-byte-chunks'])(
  'model %s',
  (model) => {
    test('a message', async () => {
      const message = await client.messages.create({ model, max_tokens: 200, messages });
      expect(message.type).toBe('message');
      expect(message.content[0]).toMatchObject({ type: 'text', text: expect.stringMatching(/./) });
      expect(message.stop_reason).toBe('end_turn');
      expect(message.usage.output_tokens).toBeGreaterThan(0);
    });

    test('a stream through the accumulating helper', async () => {
      const stream = client.messages.stream({ model, max_tokens: 200, messages });
      const message = await stream.finalMessage();
      expect(await stream.finalText()).not.toBe('');
      expect(message.stop_reason).toBe('end_turn');
      expect(message.usage.output_tokens).toBeGreaterThan(0);
    });
  },
);

describe.each(['claude/tool-call', 'chat/tool-call', 'demo'])('a tool with model %s', (model) => {
  const request = {
    model,
    max_tokens: 200,
    messages,
    tools: [weather],
    tool_choice: { type: 'any' as const },
  };

  test('is called in a message', async () => {
    const message = await client.messages.create(request);
    expect(message.stop_reason).toBe('tool_use');
    expect(message.content.find((block) => block.type === 'tool_use')).toMatchObject({ name: 'get_weather' });
  });

  test('is called in a stream', async () => {
    const message = await client.messages.stream(request).finalMessage();
    const call = message.content.find((block) => block.type === 'tool_use');
    expect(call).toMatchObject({ name: 'get_weather', input: expect.any(Object) });
  });
});

describe.each(['claude', 'chat'])('an upstream of the type %s', (upstream) => {
  test('is let go when the client leaves', async () => {
    const model = `${upstream}/chunks-200.pause-20ms`;
    const before = provider.bill().filter((call) => call.aborted).length;
    const stream = client.messages.stream({ model, max_tokens: 500, messages });
    for await (const event of stream) if (event.type === 'content_block_delta') break;
    stream.abort();
    await waitFor(
      'the provider to see it',
      () => provider.bill().filter((call) => call.aborted).length > before,
    );
  });

  test('that fails is an error the SDK knows', async () => {
    const refused = client.messages.create({ model: `${upstream}/error-500`, max_tokens: 10, messages });
    await expect(refused).rejects.toThrow(Anthropic.InternalServerError);
  });

  test('that breaks off a stream is an error, not an end', async () => {
    const stream = client.messages.stream({ model: `${upstream}/cut-after-3`, max_tokens: 200, messages });
    await expect(stream.finalMessage()).rejects.toThrow(Anthropic.AnthropicError);
  });
});

test('a wrong key and an unknown model are told apart', async () => {
  const stranger = new Anthropic({ apiKey: 'sb-wrong', baseURL: up.url, maxRetries: 0 });
  const ask = { max_tokens: 10, messages };
  await expect(stranger.messages.create({ model: 'demo', ...ask })).rejects.toThrow(
    Anthropic.AuthenticationError,
  );
  await expect(client.messages.create({ model: 'no-such-model', ...ask })).rejects.toThrow(
    Anthropic.NotFoundError,
  );
});

test('tokens are counted', async () => {
  const counted = await client.messages.countTokens({ model: 'claude/ok', messages });
  expect(counted.input_tokens).toBeGreaterThan(0);
});
