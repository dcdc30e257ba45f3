// What applications notice when a part that is not on their path dies: nothing. Each part is really killed or stopped while
// requests flow, and comes back.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete, startTraffic, type Traffic } from '#test/harness/traffic.ts';

let cluster: Cluster;
let provider: FakeProviderProcess;
let key: string;

beforeAll(async () => {
  [cluster, provider] = await Promise.all([
    Cluster.start({ controlPlanes: 2, dataPlanes: 2 }),
    startFakeProviderProcess(),
  ]);
  ({ key } = await cluster.offer(provider.baseUrl, ['ok', 'ok.pause-20ms']));
  for (const plane of cluster.dataPlanes) await waitFor('the key to work', () => answers(plane.url), plane);
});

afterAll(async () => {
  await cluster?.stop();
  await provider?.stop();
});

describe('control planes', () => {
  test('killed under traffic: no request fails', async () => {
    const traffic = startTraffic({ urls: dataPlaneUrls, key, model: 'ok', loops: 4 });
    await moreAnswers(traffic, 50);
    await Promise.all(cluster.controlPlanes.map((plane) => plane.stop('SIGKILL')));
    await moreAnswers(traffic, 200);
    await Promise.all(cluster.controlPlanes.map((plane) => plane.start()));
    await moreAnswers(traffic, 50);
    const all = await traffic.stop();
    expect(all.filter((answer) => answer.status !== 200 || !answer.whole)).toEqual([]);
    await nodesFollow();
  });

  test('frozen: nodes notice, move to the other one, and follow it', async () => {
    cluster.controlPlanes[0]!.program!.freeze();
    try {
      const { body } = await cluster.admin<{ key: string }>('POST', '/api/v1/keys', {
        body: { name: 'frozen' },
        replica: 1,
      });
      for (const plane of cluster.dataPlanes)
        await waitFor('the new key to work', () => answers(plane.url, body.key), plane);
    } finally {
      cluster.controlPlanes[0]!.program!.thaw();
    }
    await nodesFollow();
  });
});

describe('Postgres', () => {
  test('stopped: data planes are unaffected, the admin API answers 503 and recovers by itself', async () => {
    const traffic = startTraffic({ urls: dataPlaneUrls, key, model: 'ok', loops: 4 });
    await moreAnswers(traffic, 50);
    await cluster.postgres.stop();
    const refused = await cluster.admin('GET', '/api/v1/keys');
    expect(refused).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
    expect(refused.headers.get('retry-after')).not.toBeNull();
    await moreAnswers(traffic, 100);
    await cluster.postgres.start();
    await waitFor(
      'the admin API to recover',
      async () => (await cluster.admin('GET', '/api/v1/keys')).status === 200,
    );
    const all = await traffic.stop();
    expect(all.filter((answer) => answer.status !== 200 || !answer.whole)).toEqual([]);
    await nodesFollow();
  });

  test('and every control plane dead: a data plane cold-starts from its disk and serves', async () => {
    const node = cluster.dataPlanes[0]!;
    await cluster.postgres.stop();
    await Promise.all(cluster.controlPlanes.map((plane) => plane.stop('SIGKILL')));
    await node.stop('SIGKILL');
    await node.start();
    expect(await answers(node.url)).toBe(true);
    await cluster.postgres.start();
    await Promise.all(cluster.controlPlanes.map((plane) => plane.start()));
    await nodesFollow();
  });
});

describe('NATS', () => {
  test('stopped for half a minute: no request fails and the ledger equals what the provider billed', async () => {
    const traffic = startTraffic({ urls: dataPlaneUrls, key, model: 'ok.pause-20ms', loops: 4 });
    await moreAnswers(traffic, 50);
    await cluster.nats.stop();
    const stoppedAt = performance.now();
    await waitFor('half a minute of traffic', () => performance.now() - stoppedAt > 30_000);
    await cluster.nats.start();
    await moreAnswers(traffic, 50);
    const all = await traffic.stop();
    expect(all.length).toBeGreaterThan(500);
    expect(all.filter((answer) => answer.status !== 200 || !answer.whole)).toEqual([]);
    await ledgerEqualsBill();
  });
});

describe('a configuration that a node cannot use', () => {
  test('is refused with a reason that the admin API shows, and the node keeps what it runs', async () => {
    const before = await cluster.must<{ key: string }>('POST', '/api/v1/keys', { name: 'before' });
    for (const plane of cluster.dataPlanes)
      await waitFor('the key', () => answers(plane.url, before.key), plane);
    await sabotage();
    await waitFor('the refusal to be shown', async () => {
      const { items } = await cluster.must<{ items: { last_nack: null | { errors: unknown[] } }[] }>(
        'GET',
        '/api/v1/nodes',
      );
      return items.every((node) => (node.last_nack?.errors.length ?? 0) > 0);
    });
    for (const plane of cluster.dataPlanes) expect(await answers(plane.url, before.key)).toBe(true);
    await repair();
    await nodesFollow();
  });
});

/** Writes a resource that no build understands, as only a defect in a control plane could. */
async function sabotage(): Promise<void> {
  await withDatabase(async (client) => {
    await client.query('begin');
    const { rows } = await client.query(
      'update configuration_head set revision = revision + 1 returning revision',
    );
    const revision = rows[0].revision;
    await client.query('insert into resources (type, name, version, payload) values (1, $1, $2, $3)', [
      'broken',
      revision,
      Buffer.from([0xff, 0xff]),
    ]);
    await client.query("select pg_notify('signalbox_revision', $1)", [String(revision)]);
    await client.query('commit');
  });
}

async function repair(): Promise<void> {
  await withDatabase(async (client) => {
    await client.query('begin');
    const { rows } = await client.query(
      'update configuration_head set revision = revision + 1 returning revision',
    );
    await client.query('update resources set payload = null, version = $1 where name = $2', [
      rows[0].revision,
      'broken',
    ]);
    await client.query("select pg_notify('signalbox_revision', $1)", [String(rows[0].revision)]);
    await client.query('commit');
  });
}

async function withDatabase(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function dataPlaneUrls(): string[] {
  return cluster.dataPlanes.map((plane) => plane.url);
}

async function answers(url: string, apiKey = key): Promise<boolean> {
  const answer = await complete(url, apiKey, { model: 'ok', messages: [{ role: 'user', content: 'hello' }] });
  return answer.status === 200 && answer.whole;
}

async function moreAnswers(traffic: Traffic, count: number): Promise<void> {
  const seen = traffic.answers.length;
  await waitFor(`${count} more answers`, () => traffic.answers.length >= seen + count);
}

/** A change made now reaches every data plane. */
async function nodesFollow(): Promise<void> {
  const created = await cluster.must<{ key: string }>('POST', '/api/v1/keys', { name: 'probe' });
  for (const plane of cluster.dataPlanes)
    await waitFor('the change to arrive', () => answers(plane.url, created.key), plane);
}

async function ledgerEqualsBill(): Promise<void> {
  const billed = await provider.bill();
  const attempts = async () =>
    (await cluster.must<{ totals: { attempts: number } }>('GET', '/api/v1/usage')).totals.attempts;
  await waitFor('the ledger to have every attempt', async () => (await attempts()) >= billed.length);
  const usage = await cluster.must<{ totals: Record<string, unknown> }>('GET', '/api/v1/usage');
  expect(usage.totals).toMatchObject({
    attempts: billed.length,
    tokens: { output: billed.reduce((sum, call) => sum + call.completionTokens, 0) },
  });
}
