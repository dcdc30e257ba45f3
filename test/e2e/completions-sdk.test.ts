// The official OpenAI SDK's older half: text completions, at a provider that still has them and at those that only hold
// conversations.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anthropic } from '#data-plane/providers/anthropic.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { demoProvider } from '#data-plane/providers/demo.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';

let fake: FakeProvider;
let gateway: TestGateway;
let client: OpenAI;

beforeAll(async () => {
  fake = await startFakeProvider();
  const { baseUrl } = fake;
  const native = providerOf('native', { kind: compatible('vllm', { completions: true }), baseUrl });
  const chat = providerOf('chat', { kind: compatible('groq'), baseUrl });
  const claude = providerOf('claude', { kind: anthropic('anthropic'), baseUrl });
  const local = providerOf('local', { kind: demoProvider });
  gateway = await startGateway({
    snapshot: snapshotOf({
      providers: [native, chat, claude],
      deployments: [deploymentOf('demo', local)],
      keys: { [goodKey]: principalOf('key') },
    }),
  });
  client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  await fake?.stop();
});

const sent = () => {
  const { path, body } = fake.requests().at(-1)!;
  return { path, body: JSON.parse(body.toString()) };
};

describe.each(['native/ok', 'chat/ok', 'claude/ok', 'demo'])('with model %s', (model) => {
  test('a completion', async () => {
    const completion = await client.completions.create({ model, prompt: 'Once upon', max_tokens: 500 });
    expect(completion.object).toBe('text_completion');
    expect(completion.choices[0]).toMatchObject({ index: 0, finish_reason: 'stop' });
    expect(completion.choices[0]!.text).not.toBe('');
    const { prompt_tokens: prompt, completion_tokens: output, total_tokens: total } = completion.usage!;
    expect(output).toBeGreaterThan(0);
    expect(total).toBe(prompt + output);
    expect(gateway.ledger.entries.at(-1)!.settlements[0]).toMatchObject({ outcome: 'completed' });
    expect(gateway.ledger.entries.at(-1)!.intent.operation).toBe('openai-completions');
  });

  test('a stream, with usage for those who ask', async () => {
    const options = { include_usage: true };
    const stream = await client.completions.create({
      model,
      prompt: 'Once',
      stream: true,
      stream_options: options,
    });
    const chunks = await collect(stream);
    expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).not.toBe('');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: expect.any(Number) } });
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop');
    const quiet = await client.completions.create({ model, prompt: 'Once', stream: true });
    for await (const { choices } of quiet) expect(choices.length).toBe(1);
    expect(gateway.ledger.entries.at(-1)!.settlements[0]!.usage).toBeDefined();
  });
});

test('a provider that has them gets the body as it was', async () => {
  const body = { model: 'native/ok', prompt: ['a', 'b'], echo: true, suffix: 'z', n: 2, logprobs: 1 };
  const completion = await client.completions.create(body);
  expect(completion.choices.length).toBe(4);
  expect(sent()).toEqual({ path: '/v1/completions', body: { ...body, model: 'ok' } });
});

test('one that does not is asked in a conversation', async () => {
  await client.completions.create({ model: 'chat/ok', prompt: 'Once upon', max_tokens: 9, temperature: 0 });
  expect(sent()).toEqual({
    path: '/v1/chat/completions',
    body: { model: 'ok', messages: [{ role: 'user', content: 'Once upon' }], max_tokens: 9, temperature: 0 },
  });
});

test.each([
  ['prompt', { prompt: ['a', 'b'] }],
  ['prompt', { prompt: [1, 2] }],
  ['suffix', { prompt: 'a', suffix: 'b' }],
  ['echo', { prompt: 'a', echo: true }],
  ['best_of', { prompt: 'a', best_of: 3 }],
])('what only text completions know is refused there by name: %s', async (param, body) => {
  const before = fake.requests().length;
  await expect(client.completions.create({ model: 'chat/ok', ...body })).rejects.toMatchObject({
    status: 400,
    code: 'unsupported_field',
    param,
  });
  expect(fake.requests().length).toBe(before);
});

test.each(['native', 'chat'])('errors of %s arrive as the SDK knows them', async (provider) => {
  const ask = (model: string) => client.completions.create({ model: `${provider}/${model}`, prompt: 'a' });
  await expect(ask('error-429-retry-1')).rejects.toThrow(OpenAI.RateLimitError);
  await expect(ask('error-500')).rejects.toThrow(OpenAI.InternalServerError);
  const stream = await client.completions.create({
    model: `${provider}/cut-after-3`,
    prompt: 'a',
    stream: true,
  });
  await expect(collect(stream)).rejects.toThrow(OpenAI.APIError);
});

test('the older path without a version is the same', async () => {
  const response = await fetch(`${gateway.url}/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'native/ok', prompt: 'a' }),
  });
  expect(response.status).toBe(200);
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
