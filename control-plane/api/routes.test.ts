// What only routes have: another way to write them, and another place to find them; and what is said of routing on the way to data planes.
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  DeploymentSchema,
  ProviderSchema,
  ResourceType,
  RouteSchema,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { type AdminApi, startAdminApi, testAdminKey } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';

let postgres: TestPostgres;
let admin: AdminApi;

beforeAll(async () => {
  postgres = await startPostgres();
  admin = await startAdminApi(await postgres.createDatabase());
  await admin.request('POST', '/providers', { name: 'openai', api_keys: ['sk-0123456789abcdefghij'] });
});
afterAll(async () => {
  await admin.close();
  await postgres.removeAll();
});

async function payload(type: ResourceType, name: string): Promise<Uint8Array> {
  const row = await admin.core.db
    .selectFrom('resources')
    .select('payload')
    .where('type', '=', type)
    .where('name', '=', name)
    .executeTakeFirstOrThrow();
  return row.payload!;
}

const theirs = (slug: string) => ({
  name: 'Smart models',
  slug,
  strategy: 'priority',
  models: [
    { model_name: 'gpt-4o', weight: 70, priority: 1 },
    { model_name: 'gpt-4o-mini', weight: 30, priority: 2 },
  ],
  fallback_models: ['gpt-3.5-turbo'],
});

test('a route is understood with the names that other gateways use, and shown with ours', async () => {
  const made = await admin.request('POST', '/routes', theirs('smart'));
  expect(made.status, made.text).toBe(201);
  expect(made.body).toMatchObject({
    slug: 'smart',
    name: 'Smart models',
    strategy: 'priority',
    models: [
      { model: 'gpt-4o', weight: 70, priority: 1 },
      { model: 'gpt-4o-mini', weight: 30, priority: 2 },
    ],
    fallbacks: ['gpt-3.5-turbo'],
  });
  expect(made.body).not.toHaveProperty('fallback_models');
});

test('… also when it is changed or replaced', async () => {
  await admin.request('POST', '/routes', theirs('changing'));
  const patch = { fallback_models: ['o3'], models: [{ model_name: 'o1' }] };
  const changed = await admin.request('PATCH', '/routes/changing', patch, { 'if-match': '*' });
  expect(changed.body).toMatchObject({ fallbacks: ['o3'], models: [{ model: 'o1', weight: 1 }] });
  const { slug: _, ...body } = theirs('changing');
  const replaced = await admin.request('PUT', '/routes/changing', body, { 'if-match': '*' });
  expect(replaced.body).toMatchObject({ fallbacks: ['gpt-3.5-turbo'] });
});

test('both names at once are refused, each where it stands', async () => {
  const both = {
    slug: 'both',
    models: [{ model: 'gpt-4o' }, { model: 'gpt-4o', model_name: 'gpt-4o' }],
    fallbacks: [],
    fallback_models: ['gpt-4o'],
  };
  const answer = await admin.request('POST', '/routes', both);
  expect([answer.status, answer.body.code]).toEqual([422, 'invalid_configuration']);
  expect(answer.body.problems).toEqual([
    {
      path: 'fallback_models',
      message: 'is another name of fallbacks, which is there too; give one of them',
    },
    {
      path: 'models[1].model_name',
      message: 'is another name of model, which is there too; give one of them',
    },
  ]);
});

test.each([
  [{ models: [{ model_name: 'gpt-4o', wieght: 1 }] }, 'models[0].wieght'],
  [{ models: [{ weight: 1 }] }, 'models[0].model'],
  [{ models: 'gpt-4o' }, 'models'],
  [{ models: [{ model_name: 'gpt-4o' }], fallback_models: 'gpt-4o' }, 'fallbacks'],
])('a mistake is found in either form: %j', async (fields, path) => {
  const answer = await admin.request('POST', '/routes', { slug: 'wrong', ...fields });
  expect([answer.status, answer.body.problems[0].path]).toEqual([400, path]);
});

test('everything that /api/v1/routes does is at /api/routes too, and needs the key there as well', async () => {
  const call = (method: string, path: string, body?: unknown, key = testAdminKey) =>
    fetch(`${admin.url}/api/routes${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'if-match': '*' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  expect((await call('POST', '', theirs('unversioned'))).status).toBe(201);
  expect((await call('PATCH', '/unversioned', { enabled: false })).status).toBe(200);
  const found = (await (await call('GET', '?search=unversioned')).json()) as { items: unknown[] };
  expect(found.items).toMatchObject([{ slug: 'unversioned', enabled: false }]);
  expect((await call('DELETE', '/unversioned', {})).status).toBe(204);
  expect((await call('GET', '', undefined, 'another-key')).status).toBe(401);
  expect((await fetch(`${admin.url}/api/routesmith`)).status).toBe(401);
});

test('the OpenAPI document shows both forms', () => {
  const { paths } = admin.api.document() as { paths: Record<string, Record<string, unknown>> };
  const text = JSON.stringify(paths['/api/v1/routes']!.post);
  for (const name of ['model_name', 'fallback_models', 'fallbacks', 'lowest-tpm-rpm'])
    expect(text).toContain(`"${name}"`);
});

test('what is said of routing reaches data planes, names put into ours and money into its smallest unit', async () => {
  const routed = await admin.request('POST', '/routes', {
    ...theirs('complete'),
    strategy: 'lowest-latency',
    context_window_fallbacks: ['o1'],
    content_policy_fallbacks: ['o3'],
    timeout: '90s',
    failover_timeout_multiple: 0.5,
    stream_recovery: 'continue',
    max_concurrency: { max: 5, queue: 2, wait: '3s' },
  });
  expect(routed.status, routed.text).toBe(201);
  expect(toJson(RouteSchema, fromBinary(RouteSchema, await payload(ResourceType.ROUTE, 'complete')))).toEqual(
    {
      slug: 'complete',
      displayName: 'Smart models',
      strategy: 'least-latency',
      members: [
        { model: 'gpt-4o', weight: 70, priority: 1 },
        { model: 'gpt-4o-mini', weight: 30, priority: 2 },
      ],
      fallbacks: ['gpt-3.5-turbo'],
      enabled: true,
      contextWindowFallbacks: ['o1'],
      contentPolicyFallbacks: ['o3'],
      timeoutMs: 90_000,
      failoverTimeoutMultiple: 0.5,
      streamRecovery: 'continue',
      concurrency: { max: 5, waitingMax: 2, waitMsMax: 3000 },
    },
  );
  await admin.request('POST', '/models', {
    id: 'd1',
    name: 'mine',
    provider: 'openai',
    strategy: 'simple-shuffle',
    rpm: 500,
    tpm: 200_000,
    max_concurrency: 7,
    price: { input: 2.5, output: 10 },
  });
  const deployment = fromBinary(DeploymentSchema, await payload(ResourceType.DEPLOYMENT, 'd1'));
  expect(toJson(DeploymentSchema, deployment)).toMatchObject({
    strategy: 'random',
    rpm: 500,
    tpm: '200000',
    concurrency: { max: 7, waitingMax: 100, waitMsMax: 10_000 },
    price: { input: 2500, cachedInput: 2500, output: 10_000 },
  });
});

test('a key keeps its limits, shown and sent', async () => {
  const made = await admin.request('POST', '/providers', {
    name: 'groq',
    key_strategy: 'lowest-tpm-rpm',
    max_concurrency: 50,
    api_keys: ['gsk-0123456789abcdefghij', { key: 'gsk-9876543210abcdefghij', max_concurrency: 3 }],
  });
  expect(made.body).toMatchObject({ key_strategy: 'lowest-usage', max_concurrency: 50 });
  expect(made.body.api_keys[1]).toMatchObject({ weight: 1, max_concurrency: 3 });
  const again = await admin.request('PUT', '/providers/groq', made.body, { 'if-match': '*' });
  expect(again.body.api_keys).toEqual(made.body.api_keys);
  const message = fromBinary(ProviderSchema, await payload(ResourceType.PROVIDER, 'groq'));
  expect(message).toMatchObject({ keyStrategy: 'lowest-usage', concurrency: { max: 50 } });
  expect(message.keys.map(({ concurrency }) => concurrency?.max)).toEqual([undefined, 3]);
});

test('deployments of one name cannot contradict each other', async () => {
  const make = (id: string, strategy: string) =>
    admin.request('POST', '/models', { id, name: 'shared', provider: 'openai', strategy });
  expect((await make('one', 'random')).status).toBe(201);
  expect((await make('two', 'simple-shuffle')).status).toBe(201);
  const answer = await make('three', 'adaptive');
  expect([answer.status, answer.body.problems[0].path]).toEqual([422, 'models/three.strategy']);
});

test('an object of an earlier build is complete when it is read, and can be changed', async () => {
  await admin.request('POST', '/routes', { slug: 'old', models: [{ model: 'gpt-4o' }] });
  const spec = JSON.stringify({
    slug: 'old',
    name: '',
    strategy: 'priority',
    models: [{ model: 'gpt-4o', weight: 1, priority: 1 }],
    fallbacks: [],
    enabled: true,
  });
  await admin.core.db.updateTable('objects').set({ spec }).where('name', '=', 'old').execute();
  const read = await admin.request('GET', '/routes/old');
  expect(read.body).toMatchObject({ context_window_fallbacks: [], stream_recovery: 'error' });
  const changed = await admin.request('PATCH', '/routes/old', { timeout: '5s' }, { 'if-match': '*' });
  expect(changed.status, changed.text).toBe(200);
});
