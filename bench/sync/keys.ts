// A snapshot with 100,000 keys: how large it is, how long a node takes to apply it, and whether its event loop, on which requests
// run, ever stalls. Then one more key, which must cost next to nothing.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import pg from 'pg';
import { ApiKeySchema, ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { nowMs, startFleet } from './fleet-process.ts';

const KEYS = 100_000;
const KEYS_PER_STATEMENT = 5_000;

export async function measureKeys(): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const cluster = await Cluster.start({ dataPlanes: 0 });
  stack.defer(() => cluster.stop());
  const { revision } = await fillWithKeys(cluster.databaseUrl);
  const node = startFleet({ core: 1 });
  stack.defer(() => node.stop());

  const begun = nowMs();
  const first = await node.ask({
    kind: 'start',
    ...(await cluster.syncAccess()),
    count: 1,
    directory: join(cluster.directory, 'fleet'),
  });
  const all = await node.ask({ kind: 'applied', revision });
  const applyMs = await reportedApplyMs(cluster, revision);

  const oneMore = await cluster.must<{ revision: number }>('POST', '/api/v1/keys', { name: 'one more' });
  const committed = nowMs();
  const added = await node.ask({ kind: 'applied', revision: oneMore.revision });

  return [
    `## A snapshot of ${KEYS.toLocaleString('en-US')} keys`,
    '',
    '| figure | value |',
    '|---|---|',
    `| join, transfer and apply together | ${((Math.max(...all.timesMs) - begun) / 1000).toFixed(2)} s |`,
    `| apply, as the node reports it | ${applyMs.toFixed(0)} ms |`,
    `| longest event-loop stall of the node meanwhile | ${Math.max(first.stallMsMax, all.stallMsMax).toFixed(1)} ms |`,
    `| one more key: committed to applied | ${Math.max(0, added.timesMs[0]! - committed).toFixed(0)} ms |`,
    `| longest stall for one more key | ${added.stallMsMax.toFixed(1)} ms |`,
    '',
  ].join('\n');
}

interface NodeApplied {
  readonly applied_revision: number;
  readonly apply_ms: number | null;
}

/** As the node told the control plane, which writes it down about once a second. */
async function reportedApplyMs(cluster: Cluster, revision: number): Promise<number> {
  let reported: number | null = null;
  await waitFor('the node to be written down', async () => {
    const { items } = await cluster.must<{ items: NodeApplied[] }>('GET', '/api/v1/nodes');
    if ((items[0]?.applied_revision ?? 0) >= revision) reported = items[0]?.apply_ms ?? null;
    return reported !== null;
  });
  return reported ?? Number.NaN;
}

/** Written as one revision straight into the database; through the API it would take longer than the measurement. */
async function fillWithKeys(databaseUrl: string): Promise<{ revision: number }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query(
      'update configuration_head set revision = revision + 1 returning revision',
    );
    const revision = Number(rows[0].revision);
    for (let start = 0; start < KEYS; start += KEYS_PER_STATEMENT) {
      const keys = Array.from({ length: KEYS_PER_STATEMENT }, (_, index) => keyRow(start + index));
      await client.query(
        'insert into resources (type, name, version, payload) select $1, name, $2, payload from unnest($3::text[], $4::bytea[]) as row (name, payload)',
        [ResourceType.API_KEY, revision, keys.map(({ name }) => name), keys.map(({ payload }) => payload)],
      );
    }
    await client.query("select pg_notify('signalbox_revision', $1)", [String(revision)]);
    await client.query('commit');
    return { revision };
  } finally {
    await client.end();
  }
}

function keyRow(index: number): { name: string; payload: Buffer } {
  const id = `key_${index.toString(16).padStart(24, '0')}`;
  const key = create(ApiKeySchema, {
    id,
    name: `team ${index % 500}, service ${index}`,
    hmac: randomBytes(32),
  });
  return { name: id, payload: Buffer.from(toBinary(ApiKeySchema, key)) };
}
