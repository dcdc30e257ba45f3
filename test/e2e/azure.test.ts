// OpenAI's models at Azure through the official OpenAI SDK, in both ways in which an account there can be called, with a key and as an
// Entra application. What Azure's content filter says comes through, and disturbs nobody.
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { azure } from '#data-plane/providers/azure.ts';
import type { ProviderSettings } from '#data-plane/providers/provider.ts';
import type { ProviderEntry } from '#data-plane/snapshot/snapshot.ts';
import { createUpstreamClient } from '#data-plane/upstream/client.ts';
import { systemClock } from '#shared/clock.ts';
import { providerTypes } from '#shared/provider-types.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { startTokenServer, type TokenServer } from '#test/harness/token-server.ts';

const upstream = createUpstreamClient();
const messages = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];
const accounts: Readonly<Record<string, ProviderSettings>> = {
  deployments: { api_version: '2024-10-21' },
  newest: {},
  entra: { tenant_id: 'contoso.example', client_id: 'app' },
};

let fake: FakeProvider;
let entra: TokenServer;
let gateway: TestGateway;
let client: OpenAI;

beforeAll(async () => {
  [fake, entra] = await Promise.all([startFakeProvider(), startTokenServer()]);
  const providers = Object.entries(accounts).map(([name, settings]) => account(name, settings));
  const scripts = ['ok', 'tool-call', 'error-401'];
  gateway = await startGateway({
    snapshot: snapshotOf({
      deployments: providers.flatMap((provider) =>
        scripts.map((script) =>
          deploymentOf(`${provider.name}/${script}`, provider, { upstreamModel: script }),
        ),
      ),
      keys: { [goodKey]: principalOf('key_good') },
    }),
  });
  client = new OpenAI({ apiKey: goodKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.stop();
  upstream.close();
  await Promise.all([fake?.stop(), entra?.stop()]);
});

beforeEach(() => fake.reset());

function account(name: string, settings: ProviderSettings): ProviderEntry {
  const tools = { upstream, clock: systemClock, environment: {} };
  const kind = azure('azure', providerTypes.azure, tools, entra.origin);
  const keys = [providerKeyOf(name, { credential: kind.credential('azure-secret', settings) })];
  return {
    ...providerOf(name, { kind, baseUrl: `http://127.0.0.1:${fake.port}`, settings, keys }),
    basePath: '',
  };
}

const places: Readonly<Record<string, (model: string) => string>> = {
  deployments: (model) => `/openai/deployments/${model}/chat/completions?api-version=2024-10-21`,
  newest: () => '/openai/v1/chat/completions',
  entra: () => '/openai/v1/chat/completions',
};
const authorisations: Readonly<Record<string, object>> = {
  deployments: { 'api-key': 'azure-secret' },
  newest: { 'api-key': 'azure-secret' },
  entra: { authorization: 'Bearer token-1' },
};

describe.each(Object.keys(accounts))('an account called in the way "%s"', (name) => {
  const model = `${name}/ok`;

  test('answers at its place, and sees its own credentials', async () => {
    const completion = await client.chat.completions.create({ model, messages });
    expect(completion.choices[0]!.message.content).toBeTruthy();
    expect(completion).toMatchObject({ prompt_filter_results: [{ prompt_index: 0 }] });
    const [{ path, headers } = expect.fail()] = fake.requests();
    expect(path).toBe(places[name]!('ok'));
    expect(headers).toMatchObject(authorisations[name]!);
    expect(JSON.stringify(headers)).not.toContain(goodKey);
  });

  test('streams through the accumulating helper, whatever its filter says in between', async () => {
    const stream = client.chat.completions.stream({
      model,
      messages,
      stream_options: { include_usage: true },
    });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]!.message.content).toBe('word1 word2 word3 word4 word5 ');
    expect(completion.usage!.completion_tokens).toBe(5);
    const [{ settlements } = expect.fail()] = gateway.ledger.entries.slice(-1);
    expect(settlements).toMatchObject([{ outcome: 'completed' }]);
  });

  test('calls tools', async () => {
    const stream = client.chat.completions.stream({
      model: `${name}/tool-call`,
      messages,
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: {} } }],
    });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'get_weather' } }]);
  });

  test("that refuses its key is the operator's problem", async () => {
    const refused = client.chat.completions.create({ model: `${name}/error-401`, messages });
    await expect(refused).rejects.toMatchObject({ status: 502, code: 'upstream_unauthorized' });
  });
});

test('an application that signs in fetches one token for all its requests', () => {
  expect(entra.requests).toHaveLength(1);
});
