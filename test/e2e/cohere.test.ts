// Models at Cohere, asked by the official SDKs of OpenAI and Anthropic.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cohere } from '#data-plane/providers/cohere.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { principalOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';

let fake: FakeProvider;
let gateway: TestGateway;
let client: OpenAI;

beforeAll(async () => {
  fake = await startFakeProvider();
  const provider = providerOf('cohere', {
    kind: cohere('cohere'),
    baseUrl: fake.baseUrl.replace(/\/v1$/, ''),
    keys: [providerKeyOf('one')],
  });
  gateway = await startGateway({
    snapshot: snapshotOf({ providers: [provider], keys: { [goodKey]: principalOf('key') } }),
  });
  client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  await fake?.stop();
});

/** With the snapshot the gateway forgets who failed before. */
function forgetFailures(): void {
  const { snapshot } = gateway;
  gateway.snapshot = snapshot;
}

const messages = [{ role: 'user' as const, content: 'What is the weather in Rome?' }];
const weather = {
  type: 'function' as const,
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};
const sent = () => JSON.parse(fake.requests().at(-1)!.body.toString());

describe.each(['ok', 'one-byte-chunks', 'crlf'])('%s: OpenAI’s SDK', (script) => {
  const model = `cohere/${script}`;

  test('a completion', async () => {
    const completion = await client.chat.completions.create({
      model,
      messages,
      max_completion_tokens: 100,
      top_p: 0.5,
    });
    expect(completion.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(completion.choices[0]!.message.content).toBe('word1 word2 word3 word4 word5 ');
    expect(completion.model).toBe(script);
    expect(completion.usage!.completion_tokens).toBe(5);
    expect(sent()).toEqual({ model: script, messages, max_tokens: 100, p: 0.5, stream: false });
    expect(fake.requests().at(-1)!.headers.authorization).toBe('Bearer provider-secret-one');
  });

  test('a stream, through the accumulating helper', async () => {
    const stream_options = { include_usage: true };
    const stream = client.chat.completions.stream({ model, messages, stream_options });
    expect(await stream.finalContent()).toBe('word1 word2 word3 word4 word5 ');
    expect((await stream.totalUsage()).completion_tokens).toBe(5);
  });
});

describe('tools', () => {
  test('calls come one by one, and go back with the plan that was made', async () => {
    const stream = client.chat.completions.stream({
      model: 'cohere/tool-calls-2',
      messages,
      tools: [weather],
    });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0]!;
    expect(finish_reason).toBe('tool_calls');
    expect(message.tool_calls!.map((call) => call.type === 'function' && call.function.name)).toEqual([
      'get_weather',
      'get_weather',
    ]);
    const results = message.tool_calls!.map(({ id }) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: 'sunny',
    }));
    const plan = { reasoning_content: 'I will look at the weather.' };
    const history = { role: 'assistant' as const, tool_calls: message.tool_calls!, ...plan };
    await client.chat.completions.create({
      model: 'cohere/ok',
      messages: [...messages, history, ...results],
      tools: [weather],
    });
    const [, assistant, first] = sent().messages;
    expect(assistant).toMatchObject({ role: 'assistant', tool_plan: 'I will look at the weather.' });
    expect(assistant.tool_calls[0].id).toBe(first.tool_call_id);
    expect(first).toEqual({ role: 'tool', tool_call_id: results[0]!.tool_call_id, content: 'sunny' });
  });

  test('are demanded by name', async () => {
    const tool_choice = { type: 'function' as const, function: { name: 'get_weather' } };
    const other = { type: 'function' as const, function: { name: 'now' } };
    const completion = await client.chat.completions.create({
      model: 'cohere/tool-call',
      messages,
      tools: [other, weather],
      tool_choice,
    });
    expect(completion.choices[0]!.message.tool_calls).toHaveLength(1);
    expect(sent()).toMatchObject({ tool_choice: 'REQUIRED', tools: [weather] });
  });
});

test('Anthropic’s SDK reads the plan as thoughts and the call as a block', async () => {
  const other = new Anthropic({ apiKey: goodKey, baseURL: gateway.url, maxRetries: 0 });
  const stream = other.messages.stream({
    model: 'cohere/tool-call',
    max_tokens: 100,
    messages,
    tools: [{ name: 'get_weather', input_schema: { type: 'object' } }],
  });
  const answer = await stream.finalMessage();
  expect(answer.content.at(-1)).toMatchObject({ type: 'tool_use', name: 'get_weather' });
  expect(answer.stop_reason).toBe('tool_use');
  expect(answer.usage.output_tokens).toBe(5);
});

describe('what goes wrong', () => {
  const ask = (model: string, more: object = {}) => {
    forgetFailures();
    return client.chat.completions.create({ model: `cohere/${model}`, messages, ...more });
  };

  test('is told as the SDK knows it', async () => {
    await expect(ask('error-429-retry-1')).rejects.toMatchObject({
      status: 429,
      code: 'upstream_rate_limited',
    });
    await expect(ask('error-401')).rejects.toMatchObject({ status: 502, code: 'upstream_unauthorized' });
    await expect(ask('error-400')).rejects.toMatchObject({ status: 400, code: 'upstream_rejected' });
    await expect(ask('ok', { n: 2 })).rejects.toMatchObject({ code: 'unsupported_field', param: 'n' });
  });

  test.each(['cut-after-3', 'error-in-stream.pause-20ms'])(
    'in a stream is an error and never a silent end: %s',
    async (script) => {
      forgetFailures();
      const stream = await client.chat.completions.create({
        model: `cohere/${script}`,
        messages,
        stream: true,
      });
      await expect(collect(stream)).rejects.toThrow(OpenAI.APIError);
      await expect.poll(() => gateway.ledger.story.at(-1)).toMatch(/^failed/);
    },
  );
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
