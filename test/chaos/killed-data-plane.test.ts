// A data plane is killed, twenty times, in the middle of its work. Whatever reached the provider is in the ledger exactly once;
// what was in flight is there as interrupted.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete, startTraffic } from '#test/harness/traffic.ts';

const KILLS = 20;

let cluster: Cluster;
let provider: FakeProviderProcess;
let key: string;

beforeAll(async () => {
  [cluster, provider] = await Promise.all([Cluster.start(), startFakeProviderProcess()]);
  ({ key } = await cluster.offer(provider.baseUrl, ['ok']));
  await waitFor(
    'the key to work',
    async () => (await complete(cluster.dataPlanes[0]!.url, key, hello)).status === 200,
  );
});

afterAll(async () => {
  await cluster?.stop();
  await provider?.stop();
});

const hello = { model: 'ok', messages: [{ role: 'user', content: 'hello' }] };

test('killed under load, again and again, it loses no attempt and counts none twice', async () => {
  const node = cluster.dataPlanes[0]!;
  await provider.setBehaviour('pause-2ms');
  const traffic = startTraffic({ urls: () => [node.url], key, model: 'ok', loops: 8 });
  for (let kill = 0; kill < KILLS; kill++) {
    const seen = traffic.answers.filter((answer) => answer.status === 200).length;
    await waitFor(
      'requests to be answered',
      () => traffic.answers.filter((answer) => answer.status === 200).length > seen + 20,
      node,
    );
    await node.stop('SIGKILL');
    await node.start();
  }
  await traffic.stop();

  const billed = (await provider.bill()).map((call) => call.clientRequestId);
  expect(new Set(billed).size).toBe(billed.length);
  await waitFor('the ledger to have every attempt that was billed', async () => {
    const inLedger = new Set((await ledger()).map((row) => row.attempt_id));
    return billed.every((attemptId) => inLedger.has(attemptId ?? ''));
  });

  const rows = await ledger();
  expect(new Set(rows.map((row) => row.attempt_id)).size).toBe(rows.length);
  // An attempt may be journaled and die before its request leaves: then it is in the ledger, unbilled, as interrupted.
  const outcomes = new Map(rows.map((row) => [row.attempt_id, row.outcome]));
  expect(rows.filter((row) => !billed.includes(row.attempt_id) && row.outcome !== 'interrupted')).toEqual([]);
  const finished = (await provider.bill()).filter(
    (call) => call.finished && outcomes.get(call.clientRequestId ?? '') === 'completed',
  );
  expect(finished.length).toBeGreaterThan(KILLS * 20);
  expect(rows.filter((row) => row.outcome === 'interrupted').length).toBeGreaterThan(0);
});

async function ledger(): Promise<{ attempt_id: string; outcome: string }[]> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  try {
    return (await client.query('select attempt_id, outcome from attempts')).rows;
  } finally {
    await client.end();
  }
}
