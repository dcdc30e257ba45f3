// What an operator is told about a provider before relying on it: asked through the admin API, found out by the data plane.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { goodToken, startTokenServer, type TokenServer } from '#test/harness/token-server.ts';

let up: AllInOne;
let provider: FakeProvider;
let google: TokenServer;

beforeAll(async () => {
  [provider, google] = await Promise.all([startFakeProvider({ requiredKey: 'sk-good' }), startTokenServer()]);
  const address = `base_url: "${provider.baseUrl}", allow_private_network: true`;
  const cloud = `base_url: "http://127.0.0.1:${provider.port}", allow_private_network: true`;
  up = await startAllInOne({
    configuration: [
      'providers:',
      `  - { name: good, type: openai, ${address}, api_keys: [sk-good] }`,
      `  - { name: mixed, type: openai-compatible, ${address}, api_keys: [sk-old, sk-good] }`,
      `  - { name: wrong, type: anthropic, ${address}, api_keys: [sk-wrong] }`,
      `  - { name: silent, type: perplexity, ${address}, api_keys: [sk-good] }`,
      '  - { name: away, type: perplexity, base_url: "http://127.0.0.1:1", allow_private_network: true, api_keys: [x] }',
      `  - { name: azure, ${cloud}, api_keys: [sk-good], api_version: 2024-10-21 }`,
      `  - { name: vertex, ${cloud}, project: example }`,
    ].join('\n'),
    environment: { GCE_METADATA_HOST: `127.0.0.1:${google.port}`, HOME: '/nonexistent' },
  });
});

afterAll(async () => {
  await up?.remove();
  await Promise.all([provider?.stop(), google?.stop()]);
});

type Body = ReturnType<typeof JSON.parse>;

async function admin(method: string, path: string, body?: object): Promise<{ status: number; body: Body }> {
  const response = await fetch(`${up.url}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${up.adminKey()}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

describe('the models of a provider', () => {
  test('are those that it lists for the account', async () => {
    const { status, body } = await admin('GET', '/providers/good/models');
    expect(status).toBe(200);
    expect(body).toEqual({
      provider: 'good',
      models: ['ok', 'fake-small', 'fake-large'],
      more: false,
      latency_ms: expect.any(Number),
      node: { id: expect.stringMatching(/^node_/), region: '' },
    });
  });

  test('are asked for where the vendor has them, and with what the vendor wants to see', async () => {
    google.answer = () => ({ status: 200, body: { access_token: 'sk-good', expires_in: 3600 } });
    provider.reset();
    for (const name of ['azure', 'vertex', 'mixed']) {
      const { body } = await admin('GET', `/providers/${name}/models`);
      expect(body).toMatchObject({ models: ['ok', 'fake-small', 'fake-large'] });
    }
    const seen = provider
      .requests()
      .map(({ path, headers }) => [path, headers['api-key'] ?? headers.authorization]);
    expect(seen).toEqual([
      ['/openai/models?api-version=2024-10-21', 'sk-good'],
      ['/v1beta1/publishers/google/models?pageSize=1000', 'Bearer sk-good'],
      ['/v1/models', 'Bearer sk-old'],
      ['/v1/models', 'Bearer sk-good'],
    ]);
    google.answer = goodToken;
  });

  test.each([
    ['wrong', 502, 'upstream_unauthorized'],
    ['silent', 400, 'unsupported_by_provider'],
    ['demo', 400, 'unsupported_by_provider'],
    ['nobody', 404, 'not_found'],
    ['good?node=elsewhere', 503, 'no_data_plane'],
    ['good?nod=elsewhere', 400, 'invalid_request'],
  ])('of %s are a problem that says why', async (name, status, code) => {
    const [path = '', query] = name.split('?');
    const answer = await admin('GET', `/providers/${path}/models${query ? `?${query}` : ''}`);
    expect(answer).toMatchObject({ status, body: { code } });
  });

  test('of a provider that was made just now are there at once', async () => {
    const spec = { type: 'openai-compatible', base_url: provider.baseUrl, allow_private_network: true };
    const created = await admin('POST', '/providers', { name: 'new', ...spec, api_keys: ['sk-good'] });
    expect(created.status).toBe(201);
    expect(await admin('GET', '/providers/new/models')).toMatchObject({
      status: 200,
      body: { models: ['ok', 'fake-small', 'fake-large'] },
    });
  });
});

describe('the test of a provider', () => {
  test('says that all is well', async () => {
    const { status, body } = await admin('POST', '/providers/good/test');
    expect(status).toBe(200);
    expect(body).toMatchObject({ provider: 'good', ok: true, probe: 'model_list', error: null, models: 3 });
    expect(body.keys).toEqual([
      { id: expect.stringMatching(/^sec_/), ok: true, error: null, latency_ms: expect.any(Number) },
    ]);
  });

  test('finds the key that no longer works', async () => {
    const { body } = await admin('POST', '/providers/mixed/test');
    expect(body).toMatchObject({ ok: false, error: { code: 'upstream_unauthorized' }, models: 3 });
    expect(body.keys.map(({ ok }: { ok: boolean }) => ok)).toEqual([false, true]);
    const { body: stored } = await admin('GET', '/providers/mixed');
    expect(body.keys.map(({ id }: Body) => id)).toEqual(stored.api_keys.map(({ id }: Body) => id));
    expect(JSON.stringify(body)).not.toContain('sk-');
  });

  test('says when the machine has no account', async () => {
    google.answer = () => ({ status: 404, body: {} });
    const again = await admin('POST', '/providers', {
      name: 'vertex-2',
      type: 'vertex',
      base_url: `http://127.0.0.1:${provider.port}`,
      allow_private_network: true,
      project: 'example',
    });
    expect(again.status).toBe(201);
    const { body } = await admin('POST', '/providers/vertex-2/test');
    expect(body).toMatchObject({
      ok: false,
      error: { code: 'upstream_unauthorized' },
      models: null,
      keys: [],
    });
    expect(body.error.message).toContain('no credentials for Google');
    google.answer = goodToken;
  });

  test('only opens a connection where there is nothing free to ask', async () => {
    provider.reset();
    const { body } = await admin('POST', '/providers/silent/test');
    expect(body).toMatchObject({ ok: true, probe: 'connection', models: null, keys: [] });
    expect(provider.requests()).toEqual([]);
    const { body: away } = await admin('POST', '/providers/away/test');
    expect(away).toMatchObject({
      ok: false,
      probe: 'connection',
      error: { code: 'upstream_unreachable', message: expect.stringContaining('127.0.0.1:1') },
    });
  });

  test('of one that answers here has nothing to find out', async () => {
    const { body } = await admin('POST', '/providers/demo/test');
    expect(body).toMatchObject({ ok: true, probe: 'local', models: null, keys: [] });
  });

  test('is for operators', async () => {
    const response = await fetch(`${up.url}/api/v1/providers/good/test`, { method: 'POST' });
    expect(response.status).toBe(401);
  });
});
