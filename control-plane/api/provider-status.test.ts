// How providers and models are doing, as people see it over HTTP: the configuration of a real database, and digests over a bus.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { healthSubject } from '#shared/bus/bus.ts';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import type { Clock } from '#shared/clock.ts';
import { encodeDigest, type SubjectReport } from '#shared/health/digest.ts';
import { bucketOf, latencyBuckets } from '#shared/health/latency-buckets.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { digestOf, reportOf } from '#test/harness/health-reports.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { type HealthCollector, startHealthCollector } from '../health/collector.ts';
import { objectsApi } from './objects.ts';
import { healthApi } from './provider-status.ts';
import { type Api, createApi } from './server.ts';

const log = createLogger('silent');
const adminKey = new Secret('admin-key-of-this-test');
const bus = createInProcessBus({ log });
const metrics = new Metrics();
let nowMs = 1_000_000;
const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
let sequence = 0n;

let postgres: TestPostgres;
let configuration: AdminApi;
let collector: HealthCollector;
let api: Api;
let url: string;
let keyIds: string[];

beforeAll(async () => {
  postgres = await startPostgres();
  configuration = await startAdminApi(await postgres.createDatabase());
  const provider = await configuration.request('POST', '/providers', {
    name: 'vendor',
    type: 'openai',
    api_keys: ['sk-first-secret-0001', 'sk-second-secret-0002'],
  });
  keyIds = provider.body.api_keys.map(({ id }: { id: string }) => id);
  await configuration.request('POST', '/providers', {
    name: 'other',
    type: 'openai',
    api_keys: ['sk-third-0003'],
  });
  for (const model of [
    { name: 'm', provider: 'vendor' },
    { name: 'm', provider: 'other', id: 'a-name-of-its-own' },
    { name: 'quiet', provider: 'other' },
  ])
    expect((await configuration.request('POST', '/models', model)).status).toBe(201);
  collector = startHealthCollector({ bus, metrics, clock });
  api = await createApi({
    plugins: [healthApi({ objects: configuration.core.objects, health: collector })],
    adminKey,
    health: () => ({ status: 'ready', revision: 1, database: 'up' }),
    metrics: new Metrics(),
    log,
  });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${port}/api/v1`;
});
beforeEach(() => {
  nowMs += limits.healthDigestLifeMs;
});
afterAll(async () => {
  collector.close();
  await api.close();
  await configuration.close();
  await bus.close();
  await postgres.removeAll();
});

async function tell(nodeId: string, subjects: readonly SubjectReport[], region = ''): Promise<void> {
  sequence += 1n;
  bus.broadcast.announce(healthSubject, encodeDigest(digestOf(nodeId, subjects, { sequence, region })));
  await new Promise((resolve) => setImmediate(resolve));
}

async function get(path: string, key = adminKey.reveal()) {
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
  const body: ReturnType<typeof JSON.parse> = await response.json();
  return { status: response.status, body };
}

async function statusOf(name: string) {
  const { body } = await get('/providers/status');
  return body.items.find(({ provider }: { provider: string }) => provider === name);
}

function firstBytes(durationsMs: readonly number[]): number[] {
  const counts = new Array<number>(latencyBuckets).fill(0);
  for (const durationMs of durationsMs) counts[bucketOf(durationMs)]! += 1;
  return counts;
}

describe('the status of providers', () => {
  test('is unknown while no data plane says anything', async () => {
    const { status, body } = await get('/providers/status');
    expect(status).toBe(200);
    expect(body.items.map(({ provider }: { provider: string }) => provider)).toEqual(['other', 'vendor']);
    expect(body.items[1]).toEqual({
      provider: 'vendor',
      type: 'openai',
      state: 'unknown',
      score: null,
      success_share: null,
      first_byte_ms: { p50: null, p95: null },
      in_flight: 0,
      requests_per_minute: 0,
      tokens_per_minute: 0,
      errors_per_minute: 0,
      rate_limited_per_minute: 0,
      nodes: [],
      reachable: null,
      keys: keyIds.map((id, index) => ({
        id,
        hint: expect.stringMatching(new RegExp(`000${index + 1}$`)),
        state: 'unknown',
        resting_ms: 0,
        headroom: null,
        requests_per_minute: 0,
        tokens_per_minute: 0,
        rate_limited_per_minute: 0,
      })),
    });
  });

  test('adds up what the data planes see', async () => {
    const report = reportOf('provider:vendor', { seen: 30, failed: 0, inFlight: 2, requestsPerMinute: 40 });
    await tell('node-a', [{ ...report, firstBytes: firstBytes([100, 100, 100, 100]) }], 'eu');
    await tell('node-b', [
      { ...report, ended: 10, endedWrong: 2, rateLimitedPerMinute: 4, firstBytes: firstBytes([2000]) },
    ]);
    nowMs += 700;
    const shown = await statusOf('vendor');
    expect(shown).toMatchObject({
      state: 'degraded',
      success_share: 0.95,
      in_flight: 4,
      requests_per_minute: 80,
      rate_limited_per_minute: 4,
      nodes: [
        { id: 'node-a', region: 'eu', state: 'up', score: 100, reported_ms_ago: 700 },
        { id: 'node-b', region: '', state: 'degraded', score: 76, reported_ms_ago: 700 },
      ],
    });
    expect(shown.score).toBe(94);
    expect(shown.first_byte_ms.p50).toBeGreaterThan(90);
    expect(shown.first_byte_ms.p50).toBeLessThan(120);
    expect(shown.first_byte_ms.p95).toBeGreaterThan(1800);
  });

  test('is degraded when one data plane does not ask it, and down when none does', async () => {
    const open = reportOf('provider:vendor', {
      seen: 5,
      failed: 5,
      breaker: 'open',
      openMs: 2000,
      troubledMs: 10,
    });
    await tell('node-a', [open]);
    await tell('node-b', [reportOf('provider:vendor', { seen: 5 })]);
    expect(await statusOf('vendor')).toMatchObject({ state: 'degraded', score: 50 });
    await tell('node-b', [open]);
    expect(await statusOf('vendor')).toMatchObject({ state: 'down', score: 0 });
  });

  test('is down when it can be reached, and all its deployments are shut off', async () => {
    const shut = { seen: 5, failed: 5, breaker: 'open', openMs: 2000, troubledMs: 10 } as const;
    const answering = reportOf('provider:other', { seen: 1, ended: 6, endedWrong: 5 });
    await tell('node-a', [answering, reportOf('deployment:a-name-of-its-own', shut)]);
    expect(await statusOf('other')).toMatchObject({ state: 'down', success_share: 0.167 });
    await tell('node-a', [
      answering,
      reportOf('deployment:a-name-of-its-own', shut),
      reportOf('deployment:quiet:other:quiet', { seen: 3 }),
    ]);
    expect(await statusOf('other')).toMatchObject({ state: 'degraded' });
  });

  test('shows each key with how long it rests and what is left of its limits', async () => {
    await tell('node-a', [
      reportOf(`key:${keyIds[0]}`, { restMs: 5000, rateLimitedPerMinute: 3, headroom: 0 }),
      reportOf(`key:${keyIds[1]}`, { seen: 4, headroom: 0.25 }),
    ]);
    nowMs += 1000;
    const { keys } = await statusOf('vendor');
    expect(keys).toMatchObject([
      { id: keyIds[0], state: 'resting', resting_ms: 4000, headroom: 0, rate_limited_per_minute: 3 },
      { id: keyIds[1], state: 'active', resting_ms: 0, headroom: 0.25 },
    ]);
    expect(JSON.stringify(keys)).not.toContain('secret');
  });

  test('shows what a probe found of a provider that nobody asks', async () => {
    await tell('node-a', [reportOf('provider:vendor', { isReachable: false })]);
    expect(await statusOf('vendor')).toMatchObject({ state: 'down', score: null, reachable: false });
    await tell('node-a', [reportOf('provider:vendor', { isReachable: true })]);
    expect(await statusOf('vendor')).toMatchObject({ state: 'up', score: null, reachable: true });
  });

  test('forgets a data plane that has fallen silent, and what is not configured is not shown', async () => {
    await tell('node-a', [
      reportOf('provider:vendor', { seen: 5 }),
      reportOf('provider:nobody', { seen: 5 }),
    ]);
    expect(await statusOf('nobody')).toBeUndefined();
    expect(await statusOf('vendor')).toMatchObject({ state: 'up' });
    expect(await metrics.render()).toContain('signalbox_health_nodes 1');
    nowMs += limits.healthDigestLifeMs;
    expect(await statusOf('vendor')).toMatchObject({ state: 'unknown', nodes: [] });
  });

  test('comes in pages and to administrators only', async () => {
    const first = await get('/providers/status?limit=1');
    expect(first.body.items).toHaveLength(1);
    const second = await get(`/providers/status?limit=1&cursor=${first.body.next_cursor}`);
    expect(second.body).toMatchObject({ items: [{ provider: 'vendor' }], next_cursor: null });
    expect((await get('/providers/status', 'wrong')).status).toBe(401);
  });
});

describe('the health of models', () => {
  test('is that of the best of their deployments', async () => {
    await tell('node-a', [
      reportOf('deployment:m:vendor:m', { seen: 8, failed: 8, breaker: 'open', openMs: 900, troubledMs: 5 }),
      reportOf('deployment:a-name-of-its-own', { seen: 8, failed: 0 }),
    ]);
    const { status, body } = await get('/models/health');
    expect(status).toBe(200);
    expect(body.items).toMatchObject([
      {
        model: 'm',
        state: 'up',
        score: 100,
        deployments: [
          { id: 'a-name-of-its-own', provider: 'other', model: 'm', state: 'up' },
          { id: 'm:vendor:m', provider: 'vendor', model: 'm', state: 'down', score: 0 },
        ],
      },
      { model: 'quiet', state: 'unknown', score: null, deployments: [{ state: 'unknown' }] },
    ]);
  });

  test('comes in pages of models', async () => {
    const first = await get('/models/health?limit=1');
    expect(first.body.items).toMatchObject([{ model: 'm' }]);
    const second = await get(`/models/health?limit=1&cursor=${first.body.next_cursor}`);
    expect(second.body).toMatchObject({ items: [{ model: 'quiet' }], next_cursor: null });
  });
});

test('beside the configuration’s own paths, both are found, and so is a provider by its name', async () => {
  const beside = await createApi({
    plugins: [
      objectsApi(configuration.core.objects),
      healthApi({ objects: configuration.core.objects, health: collector }),
    ],
    adminKey,
    health: () => ({ status: 'ready', revision: 1, database: 'up' }),
    metrics: new Metrics(),
    log,
  });
  const { port } = await beside.listen({ host: '127.0.0.1', port: 0 });
  const headers = { authorization: `Bearer ${adminKey.reveal()}` };
  const read = async (path: string) =>
    (await fetch(`http://127.0.0.1:${port}/api/v1${path}`, { headers })).json() as Promise<object>;
  expect(await read('/providers/status')).toHaveProperty('items.0.keys');
  expect(await read('/models/health')).toHaveProperty('items.0.deployments');
  expect(await read('/providers/vendor')).toMatchObject({ name: 'vendor' });
  await beside.close();
});
