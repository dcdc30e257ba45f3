// Two control planes and three data planes over one Postgres and one NATS: what an operator may rely on while everything is up
// or while a node is away. The planes are the programs that people run, over mutual TLS.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete, startTraffic } from '#test/harness/traffic.ts';

interface NodeView {
  readonly id: string;
  readonly connected: boolean;
  readonly region: string;
  readonly build: string;
  readonly applied_revision: number;
  readonly last_nack: { readonly errors: readonly { readonly message: string }[] } | null;
}

let cluster: Cluster;
let provider: FakeProviderProcess;
let key: string;

beforeAll(async () => {
  [cluster, provider] = await Promise.all([
    Cluster.start({ controlPlanes: 2, dataPlanes: 3 }),
    startFakeProviderProcess(),
  ]);
  ({ key } = await cluster.offer(provider.baseUrl, ['ok', 'echo']));
  await everyDataPlane((url) => answersWith(url, key, 'ok', 200));
});

afterAll(async () => {
  await cluster?.stop();
  await provider?.stop();
});

describe('a provider', () => {
  test('is tested by a data plane, whichever control plane is asked', async () => {
    const { items } = await cluster.must<{ items: { name: string }[] }>('GET', '/api/v1/providers');
    const path = `/api/v1/providers/${items[0]!.name}/test`;
    const answers = await Promise.all([0, 1].map((replica) => cluster.admin('POST', path, { replica })));
    const tested = answers.filter(({ status }) => status === 200);
    expect(tested.length).toBeGreaterThan(0);
    const node = { id: expect.stringMatching(/^node_/) };
    for (const { body } of tested) expect(body).toMatchObject({ ok: true, models: 3, node });
    // Data planes choose their control plane by lot: one may have none, and says so.
    for (const { status, body } of answers)
      if (status !== 200) expect(body).toMatchObject({ status: 503, code: 'no_data_plane' });
  });
});

describe('a configuration change', () => {
  test('made on either control plane, a key works on every data plane', async () => {
    for (const replica of [0, 1]) {
      const created = await cluster.admin<{ key: string }>('POST', '/api/v1/keys', {
        body: { name: 'new' },
        replica,
      });
      expect(created.status).toBe(201);
      await everyDataPlane((url) => answersWith(url, created.body.key, 'ok', 200));
    }
  });

  test('a key revoked under load is refused everywhere within a second', async () => {
    const created = await cluster.must<{ id: string; key: string }>('POST', '/api/v1/keys', {
      name: 'to be revoked',
    });
    await everyDataPlane((url) => answersWith(url, created.key, 'ok', 200));
    const traffic = startTraffic({ urls: dataPlaneUrls, key: created.key, model: 'ok', loops: 6 });
    await waitFor('traffic to flow', () => traffic.answers.length > 100);
    await cluster.must('DELETE', `/api/v1/keys/${created.id}`);
    const revokedAt = performance.now();
    await waitFor('every data plane to refuse', () =>
      dataPlaneUrls().every((url) =>
        traffic.answers.some((answer) => answer.url === url && answer.status === 401),
      ),
    );
    const answers = await traffic.stop();
    expect(answers.filter((answer) => answer.status !== 200 && answer.status !== 401)).toEqual([]);
    const late = answers.filter((answer) => answer.status === 200 && answer.startedAt > revokedAt + 1000);
    expect(late).toEqual([]);
  });

  test('a route that changes under load loses no request', async () => {
    await cluster.must('POST', '/api/v1/routes', {
      slug: 'moving',
      strategy: 'priority',
      models: [{ model: 'ok' }],
    });
    await everyDataPlane((url) => answersWith(url, key, 'moving', 200));
    const traffic = startTraffic({ urls: dataPlaneUrls, key, model: 'moving', loops: 6 });
    for (const model of ['echo', 'ok', 'echo']) {
      const { headers } = await cluster.admin('GET', '/api/v1/routes/moving');
      const changed = await cluster.admin('PATCH', '/api/v1/routes/moving', {
        body: { models: [{ model }] },
        headers: { 'if-match': headers.get('etag') ?? '' },
      });
      expect(changed.status).toBe(200);
      const seen = traffic.answers.length;
      await waitFor('more traffic', () => traffic.answers.length > seen + 60);
    }
    const answers = await traffic.stop();
    expect(answers.filter((answer) => answer.status !== 200 || !answer.whole)).toEqual([]);
    await everyDataPlane(async (url) => (await complete(url, key, hello('moving'))).detail.includes('echo'));
  });
});

describe('a node that was away', () => {
  test('has forgotten, when it returns, what was deleted meanwhile', async () => {
    const node = cluster.dataPlanes[2]!;
    const created = await cluster.must<{ id: string; key: string }>('POST', '/api/v1/keys', {
      name: 'short-lived',
    });
    await everyDataPlane((url) => answersWith(url, created.key, 'ok', 200));
    await node.stop();
    await cluster.must('DELETE', `/api/v1/keys/${created.id}`);
    await node.start();
    await waitFor('the key to be refused', () => answersWith(node.url, created.key, 'ok', 401), node);
    expect(await answersWith(node.url, key, 'ok', 200)).toBe(true);
  });

  test('starts although its disk cache is corrupt', async () => {
    const node = cluster.dataPlanes[1]!;
    await node.stop();
    const files = cacheFiles(node.directory);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) writeFileSync(file, 'this is not a cache');
    await node.start();
    await waitFor('the node to serve', () => answersWith(node.url, key, 'ok', 200), node);
  });

  test('is shown by every control plane with its revision and whether it is connected', async () => {
    const views = await Promise.all([0, 1].map((replica) => nodes(replica)));
    for (const view of views) {
      expect(view).toHaveLength(3);
      expect(view[0]).toMatchObject({ region: 'test', build: expect.stringContaining('signalbox/') });
    }
    const node = cluster.dataPlanes[0]!;
    await node.stop();
    await waitFor(
      'it to be shown as away',
      async () => (await nodes(1)).filter((view) => !view.connected).length === 1,
    );
    await node.start();
    await waitFor('it to be shown as back', async () => (await nodes(0)).every((view) => view.connected));
  });
});

describe('usage', () => {
  test('what the provider billed is what the ledger says, attempt by attempt', async () => {
    const traffic = startTraffic({ urls: dataPlaneUrls, key, model: 'ok', loops: 6 });
    await waitFor('traffic', () => traffic.answers.length > 300);
    await traffic.stop();
    await waitFor('the ledger to have every attempt', async () => {
      const billed = await provider.bill();
      const { body } = await cluster.admin<{ totals: { attempts: number } }>('GET', '/api/v1/usage');
      return body.totals.attempts >= billed.length;
    });
    const billed = await provider.bill();
    const usage = await cluster.must<{ totals: Record<string, unknown> }>('GET', '/api/v1/usage');
    expect(usage.totals).toMatchObject({
      attempts: billed.length,
      tokens: {
        input: billed.reduce((sum, call) => sum + call.promptTokens, 0),
        output: billed.reduce((sum, call) => sum + call.completionTokens, 0),
      },
      cost_nanodollars: null,
    });
  });
});

function dataPlaneUrls(): string[] {
  return cluster.dataPlanes.map((plane) => plane.url);
}

async function everyDataPlane(condition: (url: string) => Promise<boolean>): Promise<void> {
  for (const plane of cluster.dataPlanes)
    await waitFor(`${plane.url} to follow`, () => condition(plane.url), plane);
}

async function answersWith(url: string, apiKey: string, model: string, status: number): Promise<boolean> {
  return (await complete(url, apiKey, hello(model))).status === status;
}

function hello(model: string) {
  return { model, messages: [{ role: 'user', content: 'hello' }] };
}

async function nodes(replica: number): Promise<readonly NodeView[]> {
  return (await cluster.admin<{ items: NodeView[] }>('GET', '/api/v1/nodes', { replica })).body.items;
}

function cacheFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith('configuration'))
    .map((entry) => join(entry.parentPath, entry.name));
}
