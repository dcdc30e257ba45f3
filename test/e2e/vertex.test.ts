// Claude at Vertex through the official Anthropic SDK, and what happens when Google does not give a token: the gateway's HTTP surface,
// a token server, and a provider that refuses what Vertex would refuse.
import { generateKeyPairSync } from 'node:crypto';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ProviderSettings } from '#data-plane/providers/provider.ts';
import { createProviders } from '#data-plane/providers/registry.ts';
import { vertex } from '#data-plane/providers/vertex.ts';
import type { ProviderEntry } from '#data-plane/snapshot/snapshot.ts';
import { createUpstreamClient } from '#data-plane/upstream/client.ts';
import { systemClock } from '#shared/clock.ts';
import { providerTypes } from '#shared/provider-types.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { goodToken, startTokenServer, type TokenServer } from '#test/harness/token-server.ts';

const upstream = createUpstreamClient();
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const serviceAccount = (email: string): string =>
  JSON.stringify({
    type: 'service_account',
    client_email: email,
    private_key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  });

let fake: FakeProvider;
let google: TokenServer;
let gateway: TestGateway;
let client: Anthropic;

beforeAll(async () => {
  [fake, google] = await Promise.all([startFakeProvider(), startTokenServer()]);
  const account = claudeAt('vertex', [serviceAccount('good@example')]);
  const pair = claudeAt('pair', [serviceAccount('bad@example'), serviceAccount('good@example')]);
  const names = ['fake', 'fake@tool-call', 'fake@cut-after-2', 'fake@error-429-retry-1'];
  const spare = providerOf('spare', { baseUrl: fake.baseUrl });
  gateway = await startGateway({
    snapshot: snapshotOf({
      deployments: [
        ...names.map((name) => deploymentOf(name, account, { upstreamModel: `claude-${name}` })),
        deploymentOf('paired', pair, { upstreamModel: 'claude-fake' }),
        deploymentOf('refused', claudeAt('refused', [serviceAccount('bad@example')]), {
          upstreamModel: 'claude-fake',
          priority: 1,
        }),
        deploymentOf('chain', claudeAt('chain', [serviceAccount('bad@example')]), {
          upstreamModel: 'claude-fake',
          priority: 1,
        }),
        deploymentOf('chain', spare, { upstreamModel: 'ok', priority: 2 }),
      ],
      keys: { [goodKey]: principalOf('key_good') },
    }),
  });
  client = new Anthropic({ apiKey: goodKey, baseURL: gateway.url, maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  upstream.close();
  await Promise.all([fake?.stop(), google?.stop()]);
});

beforeEach(() => {
  fake.reset();
  google.answer = (request, count) => {
    const claims = request.form.assertion?.split('.')[1] ?? '';
    const isBad = Buffer.from(claims, 'base64url').toString().includes('bad@example');
    return isBad ? { status: 400, body: { error: 'invalid_grant' } } : goodToken(request, count);
  };
});

const project = { project: 'example', region: 'us-east5' };

function claudeAt(name: string, secrets: readonly string[]): ProviderEntry {
  return accountAt(name, `http://127.0.0.1:${fake.port}`, project, secrets);
}

function accountAt(
  name: string,
  baseUrl: string,
  settings: ProviderSettings,
  secrets: readonly string[],
): ProviderEntry {
  const tools = { upstream, clock: systemClock, environment: {} };
  const hosts = { token: google.origin, metadata: google.origin };
  const kind = vertex('vertex', providerTypes.vertex, tools, hosts);
  // The first is tried first: a weight of 0 comes after the others.
  const keys = secrets.map((secret, index) =>
    providerKeyOf(`${name}-${index}`, {
      credential: kind.credential(secret, settings),
      weight: index === 0 ? 1 : 0,
    }),
  );
  return { ...providerOf(name, { kind, baseUrl, settings, keys }), basePath: '' };
}

const messages = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];
const weather = {
  name: 'get_weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } },
};

test('a message', async () => {
  const message = await client.messages.create({ model: 'fake', max_tokens: 200, messages });
  expect(message.content[0]).toMatchObject({ type: 'text', text: expect.stringMatching(/./) });
  expect(message.usage.output_tokens).toBeGreaterThan(0);
  const [{ path, headers, body } = expect.fail()] = fake.requests();
  expect(path).toBe(
    '/v1/projects/example/locations/us-east5/publishers/anthropic/models/claude-fake:rawPredict',
  );
  expect(headers.authorization).toMatch(/^Bearer token-/);
  expect(headers['anthropic-version']).toBeUndefined();
  // The client's own bytes, with the version in the model's place.
  expect(body.toString()).toBe(
    JSON.stringify({ anthropic_version: 'vertex-2023-10-16', max_tokens: 200, messages }),
  );
});

test('a stream, with a tool', async () => {
  const stream = client.messages.stream({
    model: 'fake@tool-call',
    max_tokens: 200,
    messages,
    tools: [weather],
  });
  const message = await stream.finalMessage();
  expect(message.stop_reason).toBe('tool_use');
  expect(message.content[0]).toMatchObject({ type: 'tool_use', name: 'get_weather' });
  expect(fake.requests()[0]!.path).toMatch(/claude-fake@tool-call:streamRawPredict$/);
});

test('of what the SDK asks for beyond the API, only what Vertex knows is passed on', async () => {
  await client.beta.messages.create({
    model: 'fake',
    max_tokens: 10,
    messages,
    betas: ['context-1m-2025-08-07', 'files-api-2025-04-14'],
  });
  expect(fake.requests()[0]!.headers['anthropic-beta']).toBe('context-1m-2025-08-07');
});

test('a client that speaks OpenAI gets the same model', async () => {
  const openai = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
  const completion = await openai.chat.completions.create({ model: 'fake', messages, max_tokens: 50 });
  expect(completion.choices[0]!.message.content).toBeTruthy();
  const sent = JSON.parse(fake.requests()[0]!.body.toString());
  expect(sent).toMatchObject({ anthropic_version: 'vertex-2023-10-16', max_tokens: 50 });
  expect(sent).not.toHaveProperty('model');
});

describe('what goes wrong at Vertex', () => {
  test('is the error that the SDK knows', async () => {
    const limited = client.messages.create({ model: 'fake@error-429-retry-1', max_tokens: 10, messages });
    await expect(limited).rejects.toThrow(Anthropic.RateLimitError);
  });

  test('in the middle of a stream is an error, not an end', async () => {
    const stream = client.messages.stream({ model: 'fake@cut-after-2', max_tokens: 200, messages });
    await expect(stream.finalMessage()).rejects.toThrow(Anthropic.AnthropicError);
  });
});

describe('a service account that Google refuses', () => {
  test('is left for the next key', async () => {
    const before = gateway.ledger.story.length;
    const message = await client.messages.create({ model: 'paired', max_tokens: 10, messages });
    expect(message.type).toBe('message');
    expect(gateway.ledger.story.slice(before)).toEqual(['failed upstream_unauthorized', 'completed']);
    expect(fake.requests()).toHaveLength(1);
  });

  test('is left for the next deployment', async () => {
    const message = await client.messages.create({ model: 'chain', max_tokens: 10, messages });
    expect(message.type).toBe('message');
    expect(fake.requests().map(({ path }) => path)).toEqual(['/v1/chat/completions']);
  });

  test('and nothing else is told in a way that gives nothing away', async () => {
    const refused = client.messages.create({ model: 'refused', max_tokens: 10, messages });
    await expect(refused).rejects.toMatchObject({
      status: 502,
      message: expect.stringContaining('invalid_grant'),
    });
    await expect(refused).rejects.not.toThrow('bad@example');
    expect(fake.requests()).toHaveLength(0);
  });
});

describe('Gemini', () => {
  const answer = {
    responseId: 'r1',
    modelVersion: 'gemini-2.5-flash',
    candidates: [{ content: { role: 'model', parts: [{ text: 'Sunny.' }] }, finishReason: 'STOP' }],
    usageMetadata: {
      promptTokenCount: 7,
      candidatesTokenCount: 2,
      totalTokenCount: 9,
      trafficType: 'ON_DEMAND',
    },
  };
  const places = {
    'of a project':
      '/v1/projects/example/locations/us-east5/publishers/google/models/gemini-2.5-flash:generateContent',
    'in express mode': '/v1/publishers/google/models/gemini-2.5-flash:generateContent',
  };

  test.each(Object.entries(places))('%s answers a client that speaks OpenAI', async (way, place) => {
    const server = await startTokenServer();
    try {
      server.answer = () => ({ status: 200, body: answer });
      const isExpress = way === 'in express mode';
      const secret = isExpress ? 'AIza-key' : serviceAccount('good@example');
      const settings = isExpress ? {} : { project: 'example', region: 'us-east5' };
      const entry = accountAt(way, `http://127.0.0.1:${server.port}`, settings, [secret]);
      gateway.snapshot = snapshotOf({
        deployments: [deploymentOf('gemini', entry, { upstreamModel: 'gemini-2.5-flash' })],
        keys: { [goodKey]: principalOf('key_good') },
      });
      const openai = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
      const completion = await openai.chat.completions.create({ model: 'gemini', messages });
      expect(completion.choices[0]!.message.content).toBe('Sunny.');
      expect(completion.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 2 });
      const [{ path, headers } = expect.fail()] = server.requests;
      expect(path).toBe(place);
      if (isExpress) expect(headers['x-goog-api-key']).toBe('AIza-key');
      else expect(headers.authorization).toMatch(/^Bearer token-/);
    } finally {
      await server.stop();
    }
  });
});

test('every provider type is made, and the clouds are among them', () => {
  const providers = createProviders({ upstream, clock: systemClock, environment: {} });
  for (const type of Object.keys(providerTypes)) expect(providers(type)?.type).toBe(type);
});
