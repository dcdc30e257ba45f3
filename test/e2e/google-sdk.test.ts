// Google's official SDK cannot tell that Signalbox is in between, whatever answers behind it; and the SDKs of OpenAI and Anthropic
// cannot tell that Gemini does.
import Anthropic from '@anthropic-ai/sdk';
import { ApiError, type Content, type GenerateContentResponse, GoogleGenAI, Type } from '@google/genai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { waitFor } from '#test/harness/cluster.ts';
import { FAKE_SIGNATURE } from '#test/harness/fake-provider/gemini-answers.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';

let up: AllInOne;
let provider: FakeProvider;
let client: GoogleGenAI;

const scripts = [
  'ok',
  'tool-calls-2',
  'chunks-200.pause-20ms',
  'error-500',
  'error-429',
  'cut-after-3',
  'crlf.one-byte-chunks',
];
const upstreams = ['gemini', 'chat', 'claude'] as const;

beforeAll(async () => {
  provider = await startFakeProvider();
  const address = `base_url: "${provider.baseUrl}", allow_private_network: true`;
  // Who says that a limit is reached is left alone for a while: not the account that the other scripts are at.
  const providerOf = (upstream: string, script: string): string =>
    script === 'error-429' ? `${upstream}-limited` : upstream;
  const models = upstreams.flatMap((upstream) =>
    scripts.map(
      (script) =>
        `  - { name: "${upstream}/${script}", provider: ${providerOf(upstream, script)}, model: "${script}" }`,
    ),
  );
  const provides = (name: string, settings: string): readonly string[] =>
    [name, `${name}-limited`].map((each) => `  - { name: ${each}, ${settings}, ${address} }`);
  up = await startAllInOne({
    configuration: [
      'providers:',
      ...provides('gemini', 'type: gemini, api_keys: [AIza-fake]'),
      ...provides('claude', 'type: anthropic, api_keys: [sk-ant-fake]'),
      ...provides('chat', 'type: openai-compatible'),
      'models:',
      ...models,
    ].join('\n'),
  });
  client = clientWith(up.key());
});

afterAll(async () => {
  await up?.remove();
  await provider?.stop();
});

function clientWith(apiKey: string): GoogleGenAI {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: up.url } });
}

async function collect(
  stream: AsyncIterable<GenerateContentResponse>,
): Promise<readonly GenerateContentResponse[]> {
  const chunks: GenerateContentResponse[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks: readonly GenerateContentResponse[]) => chunks.map(({ text }) => text ?? '').join('');
const weather = {
  name: 'get_weather',
  description: 'Tells the weather.',
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ['city'] },
};
const config = { tools: [{ functionDeclarations: [weather] }] };
const question = 'What is the weather in Paris?';

describe.each([...upstreams.flatMap((name) => [`${name}/ok`, `${name}/crlf.one-byte-chunks`]), 'demo'])(
  'model %s',
  (model) => {
    test('answers, whole and streamed', async () => {
      const whole = await client.models.generateContent({ model, contents: question });
      expect(whole.text).not.toBe('');
      expect(whole.candidates?.[0]?.finishReason).toBe('STOP');
      expect(whole.usageMetadata?.candidatesTokenCount).toBeGreaterThan(0);
      const chunks = await collect(await client.models.generateContentStream({ model, contents: question }));
      expect(textOf(chunks)).toBe(whole.text);
      expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
    });

    test('keeps up a chat', async () => {
      const chat = client.chats.create({ model, config: { systemInstruction: 'Be brief.' } });
      expect((await chat.sendMessage({ message: 'Hello' })).text).not.toBe('');
      expect(textOf(await collect(await chat.sendMessageStream({ message: 'And now?' })))).not.toBe('');
      expect((await chat.sendMessage({ message: 'Bye' })).text).not.toBe('');
      const said = chat.getHistory(true).filter(({ role }) => role === 'user');
      expect(said).toHaveLength(3);
    });

    test('counts tokens', async () => {
      const { totalTokens } = await client.models.countTokens({ model, contents: question });
      expect(totalTokens).toBeGreaterThan(0);
    });
  },
);

describe.each([...upstreams.map((name) => `${name}/tool-calls-2`), 'demo'])(
  'a chat with tools and %s',
  (model) => {
    const answers = (calls: readonly { id?: string; name?: string }[] = []) =>
      calls.map(({ id, name }) => ({
        functionResponse: { ...(id && { id }), name: name!, response: { output: 'sunny' } },
      }));

    test('goes from the call to the result and on', async () => {
      const chat = client.chats.create({ model, config });
      const first = await chat.sendMessage({ message: question });
      expect(first.functionCalls?.[0]).toMatchObject({
        name: 'get_weather',
        args: { city: expect.any(String) },
      });
      await chat.sendMessage({ message: answers(first.functionCalls) });
    });

    test('goes the same way as a stream', async () => {
      const chat = client.chats.create({ model, config });
      const chunks = await collect(await chat.sendMessageStream({ message: question }));
      const calls = chunks.flatMap(({ functionCalls }) => functionCalls ?? []);
      expect(calls[0]).toMatchObject({ name: 'get_weather', args: { city: expect.any(String) } });
      const history: Content[] = chat.getHistory(true);
      expect(history.at(-1)?.role).toBe('model');
      await collect(await chat.sendMessageStream({ message: answers(calls) }));
    });
  },
);

test('a signature goes back with its call', async () => {
  const chat = client.chats.create({ model: 'gemini/tool-calls-2', config });
  const { functionCalls = [] } = await chat.sendMessage({ message: question });
  const results = functionCalls.map(({ name }) => ({
    functionResponse: { name: name!, response: { output: 1 } },
  }));
  await chat.sendMessage({ message: results });
  const sent = JSON.parse(provider.requests().at(-1)!.body.toString());
  expect(sent.contents[1].parts[0].thoughtSignature).toBe(FAKE_SIGNATURE);
});

describe.each(upstreams)('an upstream of the type %s', (upstream) => {
  test('is let go when the client leaves', async () => {
    const model = `${upstream}/chunks-200.pause-20ms`;
    const aborted = () => provider.bill().filter((call) => call.aborted).length;
    const before = aborted();
    const leaving = new AbortController();
    const stream = await client.models.generateContentStream({
      model,
      contents: question,
      config: { abortSignal: leaving.signal },
    });
    for await (const _ of stream) break;
    leaving.abort();
    await waitFor('the provider to see it', () => aborted() > before);
  });

  test.each([
    ['error-500', 502],
    ['error-429', 429],
  ])('that answers %s is an error the SDK knows', async (script, status) => {
    const refused = client.models.generateContent({ model: `${upstream}/${script}`, contents: question });
    const error = await refused.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect([status, script === 'error-500' ? 500 : status]).toContain((error as ApiError).status);
  });

  test('that breaks off a stream is an error, not an end', async () => {
    const stream = await client.models.generateContentStream({
      model: `${upstream}/cut-after-3`,
      contents: question,
    });
    await expect(collect(stream)).rejects.toThrow(ApiError);
  });
});

test('models are listed and shown, and strangers and unknown models are told apart', async () => {
  const names: string[] = [];
  for await (const { name } of await client.models.list()) names.push(name!);
  expect(names).toContain('models/gemini/ok');
  expect(await client.models.get({ model: 'gemini/ok' })).toMatchObject({ name: 'models/gemini/ok' });
  const ask = { model: 'gemini/ok', contents: question };
  await expect(clientWith('sb-wrong').models.generateContent(ask)).rejects.toMatchObject({ status: 401 });
  await expect(client.models.generateContent({ ...ask, model: 'nobody' })).rejects.toMatchObject({
    status: 404,
  });
});

describe('Gemini behind the SDKs of others', () => {
  const schema = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };

  test('calls tools for OpenAI’s, streamed and not, and takes the results', async () => {
    const openai = new OpenAI({ apiKey: up.key(), baseURL: `${up.url}/v1`, maxRetries: 0 });
    const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters: schema } }];
    const asked: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: question }];
    const request = { model: 'gemini/tool-calls-2', tools, messages: asked };
    const whole = await openai.chat.completions.create(request);
    const streamed = await openai.chat.completions.stream(request).finalChatCompletion();
    for (const { message, finish_reason } of [whole.choices[0]!, streamed.choices[0]!]) {
      expect(finish_reason).toBe('tool_calls');
      expect(message.tool_calls).toHaveLength(2);
      const results = message.tool_calls!.map(
        ({ id }): OpenAI.ChatCompletionToolMessageParam => ({
          role: 'tool',
          tool_call_id: id,
          content: 'sunny',
        }),
      );
      const answer = await openai.chat.completions.create({
        model: 'gemini/ok',
        tools,
        messages: [...asked, message, ...results],
      });
      expect(answer.choices[0]!.message.content).not.toBe('');
    }
  });

  test('calls tools for Anthropic’s, streamed and not, and takes the results', async () => {
    const anthropic = new Anthropic({ apiKey: up.key(), baseURL: up.url, maxRetries: 0 });
    const tools = [{ name: 'get_weather', input_schema: schema }];
    const asked: Anthropic.MessageParam[] = [{ role: 'user', content: question }];
    const request = { model: 'gemini/tool-calls-2', max_tokens: 200, tools, messages: asked };
    for (const message of [
      await anthropic.messages.create(request),
      await anthropic.messages.stream(request).finalMessage(),
    ]) {
      expect(message.stop_reason).toBe('tool_use');
      const calls = message.content.filter((block) => block.type === 'tool_use');
      expect(calls).toHaveLength(2);
      const results = calls.map(({ id }) => ({
        type: 'tool_result' as const,
        tool_use_id: id,
        content: 'sunny',
      }));
      const answer = await anthropic.messages.create({
        model: 'gemini/ok',
        max_tokens: 200,
        tools,
        messages: [
          ...asked,
          { role: 'assistant', content: message.content },
          { role: 'user', content: results },
        ],
      });
      expect(answer.stop_reason).toBe('end_turn');
    }
  });
});
