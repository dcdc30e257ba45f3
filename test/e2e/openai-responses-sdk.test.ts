// The official OpenAI SDK's Responses API through Signalbox: over a provider that has it, over providers that have not, and over the
// demo; answers, streams with the accumulating helper, tools, and everything that can be done with a kept response.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { type RedisServer, startRedis } from '#test/harness/redis.ts';

let up: AllInOne;
let provider: FakeProvider;
let redis: RedisServer;
let client: OpenAI;

const names = ['native', 'chat', 'claude', 'limited'];
const types = ['openai', 'openai-compatible', 'anthropic', 'openai-compatible'];
const weather = {
  type: 'function' as const,
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: false,
};

beforeAll(async () => {
  provider = await startFakeProvider();
  redis = await startRedis();
  const list = names.map(
    (name, index) =>
      `  - { name: ${name}, type: ${types[index]}, base_url: "${provider.baseUrl}", api_keys: [sk-fake], allow_private_network: true }`,
  );
  up = await startAllInOne({
    configuration: `providers:\n${list.join('\n')}\n`,
    environment: { SIGNALBOX_REDIS_URL: redis.url },
  });
  client = new OpenAI({ apiKey: up.key(), baseURL: `${up.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await up?.remove();
  await provider?.stop();
  await redis?.[Symbol.asyncDispose]();
});

describe.each(['native/ok', 'chat/ok', 'claude/ok', 'demo/demo', 'chat/one-byte-chunks'])(
  'with model %s',
  (model) => {
    test('a response', async () => {
      const response = await client.responses.create({ model, input: 'Hello' });
      expect(response).toMatchObject({ object: 'response', status: 'completed' });
      expect(response.output_text).toBeTruthy();
      expect(response.usage!.total_tokens).toBe(response.usage!.input_tokens + response.usage!.output_tokens);
    });

    test('a stream, read to its end', async () => {
      let text = '';
      let last = '';
      for await (const event of await client.responses.create({ model, input: 'Hello', stream: true })) {
        if (event.type === 'response.output_text.delta') text += event.delta;
        last = event.type;
      }
      expect(text).not.toBe('');
      expect(last).toBe('response.completed');
    });

    test('a stream through the accumulating helper', async () => {
      const stream = client.responses.stream({ model, input: 'Hello' });
      const deltas: string[] = [];
      stream.on('response.output_text.delta', ({ delta }) => deltas.push(delta));
      const response = await stream.finalResponse();
      expect(response.status).toBe('completed');
      expect(response.output_text).toBe(deltas.join(''));
    });

    test('a response that is kept, told again, listed and deleted', async () => {
      const { id, output_text } = await client.responses.create({ model, input: 'Remember me' });
      expect((await client.responses.retrieve(id)).output_text).toBe(output_text);
      const again = await client.responses.stream({ response_id: id }).finalResponse();
      expect(again.output_text).toBe(output_text);
      const items = [];
      for await (const item of client.responses.inputItems.list(id)) items.push(item);
      expect(items).toMatchObject([
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Remember me' }] },
      ]);
      await client.responses.delete(id);
      await expect(client.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
    });

    test('a conversation that goes on from a response', async () => {
      const first = await client.responses.create({ model, input: 'My name is Alice.' });
      const second = await client.responses.create({ model, input: 'And?', previous_response_id: first.id });
      expect(second.status).toBe('completed');
      const items = await client.responses.inputItems.list(second.id, { order: 'asc' });
      expect(items.data).toHaveLength(3);
    });
  },
);

describe.each(['native/tool-call', 'chat/tool-call', 'claude/tool-call', 'demo/demo'])(
  'tools with model %s',
  (model) => {
    const request = { model, input: 'Weather in Paris?', tools: [weather], tool_choice: 'required' as const };

    test('a call, and its result', async () => {
      const response = await client.responses.create(request);
      const call = response.output.find((item) => item.type === 'function_call')!;
      expect(call.name).toBe('get_weather');
      expect(JSON.parse(call.arguments)).toHaveProperty('city');
      const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'Sunny' };
      const after = await client.responses.create({
        model: model.replace('/tool-call', '/ok'),
        tools: [weather],
        previous_response_id: response.id,
        input: [result],
      });
      expect(after.output_text).toBeTruthy();
    });

    test('a call accumulated from a stream', async () => {
      const response = await client.responses.stream(request).finalResponse();
      const call = response.output.find((item) => item.type === 'function_call')!;
      expect(() => JSON.parse(call.arguments)).not.toThrow();
    });
  },
);

describe('errors arrive as the SDK knows them', () => {
  test('a response that is not there', async () => {
    const lost = client.responses.create({
      model: 'chat/ok',
      input: 'Hi',
      previous_response_id: 'resp_none',
    });
    await expect(lost).rejects.toThrow(OpenAI.BadRequestError);
    await expect(lost).rejects.toMatchObject({
      code: 'previous_response_not_found',
      param: 'previous_response_id',
    });
    await expect(client.responses.delete('resp_none')).rejects.toThrow(OpenAI.NotFoundError);
  });

  test('what runs in the background', async () => {
    const refused = client.responses.create({ model: 'chat/ok', input: 'Hi', background: true });
    await expect(refused).rejects.toMatchObject({ status: 400, param: 'background' });
  });

  test.each(['native', 'chat', 'claude'])('a stream of %s that breaks off', async (at) => {
    const stream = await client.responses.create({ model: `${at}/cut-after-3`, input: 'Hi', stream: true });
    const read = async () => {
      for await (const event of stream) expect(event.type).toMatch(/^response\./);
    };
    await expect(read()).rejects.toThrow(OpenAI.APIError);
  });

  test('a provider that limits', async () => {
    const refused = client.responses.create({ model: 'limited/error-429-retry-1', input: 'Hi' });
    await expect(refused).rejects.toThrow(OpenAI.RateLimitError);
  });
});

test('when the store is away, answers go on and what needs it says so', async () => {
  const { id } = await client.responses.create({ model: 'chat/ok', input: 'Hi' });
  await redis.stop();
  const response = await client.responses.create({ model: 'chat/ok', input: 'Hi' });
  expect(response.output_text).toBeTruthy();
  await expect(client.responses.retrieve(id)).rejects.toMatchObject({
    status: 503,
    code: 'response_store_unavailable',
  });
  await redis.start();
  const back = async () => {
    const made = await client.responses.create({ model: 'chat/ok', input: 'Hi' });
    return (await client.responses.retrieve(made.id)).id === made.id;
  };
  await expect.poll(() => back().catch(() => false), { timeout: 20_000 }).toBe(true);
});
