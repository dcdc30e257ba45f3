// Embeddings, moderations and rankings over the real surface: bytes pass where they can, whatever is asked goes through the same
// chain as a turn, and what was used is written down.
import { describe, expect, test } from 'vitest';
import { bedrock } from '#data-plane/providers/bedrock.ts';
import { cohere } from '#data-plane/providers/cohere.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { demoProvider } from '#data-plane/providers/demo.ts';
import type { Provider } from '#data-plane/providers/provider.ts';
import { fakeVector } from '#test/harness/fake-provider/service-answers-embeddings.ts';
import { errorOf, goodKey, limitedKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';

const everything = compatible('openai', {
  services: ['embeddings', 'moderations', 'rerank', 'images-generations', 'audio-speech'],
});
const input = ['one', 'zwölf'];

const { provider, gateway } = gatewayPerFile(({ provider, backup }) => {
  const at = (name: string, kind: Provider, fake = provider) =>
    providerOf(name, { kind, baseUrl: fake.baseUrl });
  const openai = at('openai', everything);
  const openaiBackup = at('backup', everything, backup);
  const chatOnly = at('chat-only', compatible('groq'));
  const invoking: Provider = { ...demoProvider, services: bedrockServices() };
  return {
    snapshot: plainSnapshot(provider, {
      deployments: [
        deploymentOf('ok', openai),
        deploymentOf('chat', chatOnly),
        deploymentOf('cohere', at('cohere', cohere('cohere')), { upstreamModel: 'embed-v4.0' }),
        deploymentOf('titan', at('bedrock', invoking), { upstreamModel: 'amazon.titan-embed-text-v2:0' }),
        deploymentOf('demo', providerOf('demo', { kind: demoProvider })),
        deploymentOf('failing', openai, { upstreamModel: 'error-500' }),
        deploymentOf('second', openaiBackup, { upstreamModel: 'ok' }),
      ],
      routes: [
        routeOf('over-error', ['failing', 'second']),
        routeOf('over-chat', ['chat', 'second']),
        routeOf('over-titan', ['titan', 'second']),
        routeOf('over-demo', ['chat', 'demo']),
      ],
    }),
  };
});

function bedrockServices(): Provider['services'] {
  const tools = { environment: {} } as unknown as Parameters<typeof bedrock>[2];
  return bedrock('bedrock', { family: 'bedrock', needsKey: true, modelPatterns: [] } as never, tools)
    .services;
}

function post(path: string, body: object | string, { key = goodKey, headers = {} } = {}): Promise<Response> {
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

function lastEntry() {
  return gateway.ledger.entries.at(-1)!;
}

interface EmbeddingAnswer {
  readonly data: readonly { readonly embedding: readonly number[] }[];
  readonly usage: { readonly prompt_tokens: number };
}

describe('embeddings', () => {
  test('reach a provider of the same words as they came, and come back as they were sent', async () => {
    const body = '{ "unknown": {"b":1,"a":[2]}, "input":"h\\u00e9", "model" : "ok" , "user":"u"}';
    const response = await post('/v1/embeddings', body);
    expect(response.status).toBe(200);
    const [request] = provider.requests();
    expect(request!.path).toBe('/v1/embeddings');
    expect(request!.body.toString()).toBe(body);
    const direct = await fetch(`${provider.baseUrl}/embeddings`, { method: 'POST', body });
    expect(await response.text()).toBe(await direct.text());
    expect(response.headers.get('x-signalbox-provider')).toBe('openai');
  });

  test('are written down with what the provider billed', async () => {
    await post('/embeddings', { model: 'ok', input });
    expect(lastEntry().intent).toMatchObject({ operation: 'embeddings', model: 'ok', streamed: false });
    const [bill] = provider.bill();
    const [settlement] = lastEntry().settlements;
    expect(settlement).toMatchObject({
      outcome: 'completed',
      usage: { input: bill!.promptTokens, output: 0 },
    });
    expect(JSON.parse(settlement!.rawUsage)).toEqual({
      prompt_tokens: bill!.promptTokens,
      total_tokens: bill!.promptTokens,
    });
  });

  test.each(['cohere', 'titan', 'demo'])('of a model at %s come in OpenAI’s words', async (model) => {
    const response = await post('/v1/embeddings', { model, input: 'one' });
    const answer = (await response.json()) as EmbeddingAnswer;
    expect(answer).toMatchObject({ object: 'list', model, data: [{ object: 'embedding', index: 0 }] });
    if (model !== 'demo') expect(answer.data[0]!.embedding).toEqual(fakeVector('one'));
    const [settlement] = lastEntry().settlements;
    expect(settlement!.usage!.input).toBe(answer.usage.prompt_tokens);
    expect(answer.usage.prompt_tokens).toBeGreaterThan(0);
    expect(provider.bill().map(({ promptTokens }) => promptTokens)).toEqual(
      model === 'demo' ? [] : [answer.usage.prompt_tokens],
    );
  });

  test('that a vendor cannot be asked for are refused by the name of the field, or go out without it', async () => {
    const body = { model: 'cohere', input, truncate: 'END' };
    const refused = await post('/v1/embeddings', body);
    expect([refused.status, await errorOf(refused)]).toMatchObject([
      400,
      { code: 'unsupported_field', param: 'truncate' },
    ]);
    const dropped = await post('/v1/embeddings', { ...body, 'x-gateway': { drop_unsupported: true } });
    expect(dropped.status).toBe(200);
    expect(dropped.headers.get('x-signalbox-dropped')).toBe('truncate');
    expect(JSON.parse(provider.requests()[0]!.body.toString())).not.toHaveProperty('truncate');
  });

  test('in Gemini’s words, one or many', async () => {
    const content = { parts: [{ text: 'one' }] };
    const single = await post('/v1beta/models/ok:embedContent', { content });
    expect(await single.json()).toMatchObject({ embedding: { values: fakeVector('one') } });
    const batch = await post('/v1beta/models/cohere:batchEmbedContents', {
      requests: [{ content }, { content }],
    });
    expect(await batch.json()).toMatchObject({ embeddings: [{ values: fakeVector('one') }, {}] });
    expect(lastEntry().intent).toMatchObject({ operation: 'embeddings', requestedModel: 'cohere' });
  });
});

describe('failing over', () => {
  test.each([
    ['over-error', 'second', ['failed upstream_error', 'completed']],
    ['over-chat', 'second', ['completed']],
    ['over-titan', 'second', ['completed']],
    ['over-demo', 'demo', ['completed']],
  ])('%s is answered by %s', async (model, served, story) => {
    const before = gateway.ledger.entries.length;
    const response = await post('/v1/embeddings', { model, input });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-signalbox-model')).toBe(served);
    expect(gateway.ledger.story.slice(before)).toEqual(story);
  });

  test('ends at a provider that does not offer the service, when there is no other', async () => {
    const response = await post('/v1/embeddings', { model: 'chat', input });
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'unsupported_by_provider', param: 'model' });
    expect(error.message).toContain('"chat-only"');
    expect(error.message).toContain('embeddings');
    expect(provider.requests()).toEqual([]);
  });

  test('an answer that is none makes room for the next', async () => {
    provider.setBehaviour('garbage');
    const response = await post('/v1/embeddings', { model: 'over-error', input });
    expect(response.headers.get('x-signalbox-model')).toBe('second');
  });

  test('what the caller has to mend comes in the provider’s own words', async () => {
    const response = await post('/v1/embeddings', { model: 'ok', wrong: true });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ message: 'The fake provider rejects this request.' });
    expect(gateway.ledger.story.at(-1)).toBe('failed upstream_rejected');
  });
});

describe('the same chain as for turns', () => {
  const paths = [
    '/v1/embeddings',
    '/v1/moderations',
    '/v1/rerank',
    '/v1/images/generations',
    '/v1/audio/speech',
  ];

  test.each(paths)('%s asks for a key, a model that the key may use, and one that exists', async (path) => {
    expect((await post(path, { model: 'ok' }, { key: 'sb-unknown' })).status).toBe(401);
    const forbidden = await post(path, { model: 'cohere' }, { key: limitedKey });
    expect([forbidden.status, (await errorOf(forbidden)).code]).toEqual([403, 'model_not_allowed']);
    const unknown = await post(path, { model: 'gone' });
    expect([unknown.status, (await errorOf(unknown)).code]).toEqual([404, 'model_not_found']);
    expect(provider.requests()).toEqual([]);
  });

  test.each(paths)('%s names the model where it is missing', async (path) => {
    const response = await post(path, { input: 'x', prompt: 'x' });
    expect([response.status, await errorOf(response)]).toMatchObject([
      400,
      { code: 'invalid_request', param: 'model' },
    ]);
  });

  test.each(paths)('%s takes POST and JSON', async (path) => {
    const get = await fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${goodKey}` } });
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    expect((await post(path, 'x', { headers: { 'content-type': 'text/plain' } })).status).toBe(415);
  });
});

test('moderations pass as they are', async () => {
  const body = { model: 'ok', input: ['a', 'b'] };
  const answer = await (await post('/v1/moderations', body)).json();
  expect(answer).toMatchObject({ id: 'modr-fake', results: [{ flagged: false }, { flagged: false }] });
  expect(lastEntry().settlements[0]).toMatchObject({ outcome: 'completed', usage: undefined, rawUsage: '' });
});

describe('rankings', () => {
  const body = { query: 'q', documents: ['a', { text: 'b' }], return_documents: true };

  test.each(['/v1/rerank', '/rerank', '/v2/rerank'])('%s passes to a compatible host', async (path) => {
    const response = await post(path, { model: 'ok', ...body });
    expect(await response.json()).toMatchObject({ results: [{ index: 1 }, { index: 0 }] });
    expect(lastEntry().settlements[0]).toMatchObject({ usage: { input: 7 }, rawUsage: '{"total_tokens":7}' });
  });

  test('from Cohere, counted in searches', async () => {
    const response = await post('/v1/rerank', { model: 'cohere', ...body });
    expect(await response.json()).toMatchObject({
      results: [
        { index: 1, relevance_score: 1, document: { text: 'b' } },
        { index: 0, relevance_score: 0.5, document: { text: 'a' } },
      ],
    });
    expect(provider.requests()[0]!.path).toBe('/v1/v2/rerank');
    expect(JSON.parse(lastEntry().settlements[0]!.rawUsage)).toMatchObject({
      billed_units: { search_units: 1 },
    });
  });
});
