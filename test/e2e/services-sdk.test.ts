// Official SDKs asking for what is no turn: embeddings from every kind of vendor, pictures, sound, moderations. They cannot tell
// that Signalbox is in between.
import { GoogleGenAI } from '@google/genai';
import { OpenAIEmbeddings } from '@langchain/openai';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProviders } from '#data-plane/providers/registry.ts';
import { systemClock } from '#shared/clock.ts';
import { fakeVector } from '#test/harness/fake-provider/service-answers-embeddings.ts';
import {
  type FakeProvider,
  goodKey,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { deploymentOf, providerKeyOf, providerOf } from '#test/harness/snapshots.ts';

let provider: FakeProvider;
let gateway: TestGateway;
let client: OpenAI;
let google: GoogleGenAI;

/** Each kind of vendor, and a model of it. */
const vendors = [
  ['openai', 'ok'],
  ['azure', 'ok'],
  ['mistral', 'ok'],
  ['gemini', 'gemini-embedding-001'],
  ['vertex', 'text-embedding-005'],
  ['vertex', 'gemini-embedding-2'],
  ['bedrock', 'amazon.titan-embed-text-v2:0'],
  ['bedrock', 'cohere.embed-english-v3'],
  ['cohere', 'embed-v4.0'],
  ['ollama', 'ok'],
] as const;
const takesOne = ['vertex/gemini-embedding-2', 'bedrock/amazon.titan-embed-text-v2:0'];
const names = vendors.map(([type, model]) => `${type}/${model}`);

beforeAll(async () => {
  provider = await startFakeProvider();
  gateway = await startGateway();
  const providerFor = createProviders({ upstream: gateway.upstream, clock: systemClock, environment: {} });
  const deployments = vendors.map(([type, model]) => {
    const entry = providerOf(`${type}-account`, {
      kind: providerFor(type)!,
      baseUrl: provider.baseUrl,
      keys: [providerKeyOf('only')],
    });
    return deploymentOf(`${type}/${model}`, entry, { upstreamModel: model });
  });
  const demo = deploymentOf('demo', providerOf('demo', { kind: providerFor('demo')! }));
  gateway.snapshot = plainSnapshot(provider, { deployments: [...deployments, demo] });
  client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  google = new GoogleGenAI({ apiKey: goodKey, httpOptions: { baseUrl: gateway.url } });
});

afterAll(async () => {
  await gateway.stop();
  await provider.stop();
});

function lastSettlement() {
  return gateway.ledger.entries.at(-1)!.settlements[0]!;
}

describe.each(names)('embeddings of %s', (model) => {
  const input = takesOne.includes(model) ? ['hello'] : ['hello', 'zwölf'];
  const expected = input.map((text) => fakeVector(text));

  test('through the OpenAI SDK, which asks for base64 by itself', async () => {
    const { data, usage } = await client.embeddings.create({ model, input });
    expect(data.map(({ embedding }) => [...embedding])).toEqual(expected);
    expect(data.map(({ index }) => index)).toEqual(input.map((_, index) => index));
    expect(usage.prompt_tokens).toBe(provider.bill().at(-1)!.promptTokens);
    expect(lastSettlement()).toMatchObject({ outcome: 'completed', usage: { input: usage.prompt_tokens } });
  });

  test('through the OpenAI SDK in decimal', async () => {
    const { data } = await client.embeddings.create({ model, input, encoding_format: 'float' });
    expect(data.map(({ embedding }) => embedding)).toEqual(expected);
  });

  test('through Google’s SDK', async () => {
    const { embeddings } = await google.models.embedContent({ model, contents: input });
    expect(embeddings!.map(({ values }) => values)).toEqual(expected);
    expect(lastSettlement().usage!.input).toBe(provider.bill().at(-1)!.promptTokens);
  });
});

test('embeddings of the demo', async () => {
  const { data } = await client.embeddings.create({ model: 'demo', input: 'hello' });
  expect(Math.hypot(...data[0]!.embedding)).toBeCloseTo(1, 5);
});

test('embeddings through LangChain', async () => {
  const model = new OpenAIEmbeddings({
    apiKey: goodKey,
    model: 'cohere/embed-v4.0',
    configuration: { baseURL: `${gateway.url}/v1` },
  });
  expect(await model.embedDocuments(['a', 'bc'])).toEqual([fakeVector('a'), fakeVector('bc')]);
  expect(await model.embedQuery('abc')).toEqual(fakeVector('abc'));
});

describe('pictures', () => {
  const model = 'openai/ok';

  test('made', async () => {
    const { data, usage } = await client.images.generate({ model, prompt: 'a red fox', n: 2 });
    expect(data!.map(({ b64_json: bytes }) => Buffer.from(bytes!, 'base64').toString())).toEqual([
      'a picture',
      'a picture',
    ]);
    expect(lastSettlement().usage).toMatchObject({
      input: usage!.input_tokens,
      output: usage!.output_tokens,
    });
  });

  test('made in parts', async () => {
    const stream = await client.images.generate({ model, prompt: 'x', stream: true, partial_images: 2 });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types.at(-1)).toBe('image_generation.completed');
    expect(types).toHaveLength(3);
  });

  test('changed', async () => {
    const image = await toFile(Buffer.from([1, 2, 3]), 'fox.png', { type: 'image/png' });
    const { data } = await client.images.edit({ model, image: [image, image], prompt: 'greener' });
    expect(data).toHaveLength(1);
    expect(provider.requests().at(-1)!.headers['content-type']).toMatch(/^multipart\/form-data/);
  });
});

describe('sound', () => {
  const model = 'openai/ok';
  const speech = () => toFile(Buffer.alloc(100_000, 7), 'speech.mp3', { type: 'audio/mpeg' });

  test('to words', async () => {
    const { text } = await client.audio.transcriptions.create({ model, file: await speech() });
    expect(text).toBe('What was said.');
    expect(lastSettlement().usage).toMatchObject({ input: 2, inputAudio: 18, output: 3 });
  });

  test('to words as they are understood', async () => {
    const stream = await client.audio.transcriptions.create({ model, file: await speech(), stream: true });
    let text = '';
    for await (const event of stream) if (event.type === 'transcript.text.delta') text += event.delta;
    expect(text).toBe('What was said.');
  });

  test('to subtitles', async () => {
    const request = { model, file: await speech(), response_format: 'srt' as const };
    expect(await client.audio.transcriptions.create(request)).toContain('00:00:00,000 --> ');
  });

  test('to English', async () => {
    const { text } = await client.audio.translations.create({ model, file: await speech() });
    expect(text).toBe('What was said.');
  });

  test('from words', async () => {
    const response = await client.audio.speech.create({ model, voice: 'alloy', input: 'Hello' });
    expect(response.headers.get('content-type')).toBe('audio/mpeg');
    expect((await response.arrayBuffer()).byteLength).toBe(5 * 64);
  });
});

describe('moderations', () => {
  test('are answered', async () => {
    const { results } = await client.moderations.create({ model: 'openai/ok', input: ['a', 'b'] });
    expect(results.map(({ flagged }) => flagged)).toEqual([false, false]);
  });

  test('have to name a model, and are refused by a provider that has none', async () => {
    await expect(client.moderations.create({ input: 'a' })).rejects.toMatchObject({
      status: 400,
      param: 'model',
    });
    await expect(client.moderations.create({ model: 'cohere/embed-v4.0', input: 'a' })).rejects.toMatchObject(
      {
        status: 400,
        code: 'unsupported_by_provider',
      },
    );
  });
});
