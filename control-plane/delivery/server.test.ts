import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { newKey } from '#shared/crypto/box.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { NodeMemory, SyncNode, type SyncNodeOptions } from '#test/harness/sync-node.ts';
import { openFleetSecrets } from '../secrets/fleet.ts';
import { localKeyEncryption } from '../secrets/key-encryption.ts';
import { inChange } from '../store/changes.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { getNode } from '../store/nodes.ts';
import { type Delivery, type DeliveryOptions, startDelivery } from './server.ts';

const keyEncryption = localKeyEncryption(newKey());
const log = createLogger('silent');
const actor = { name: 'test', requestId: 'req_1', address: '127.0.0.1' };

let postgres: TestPostgres;
let databaseUrl: string;
let db: Db;
let token: string;
const open: { close(): void | Promise<void> }[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.removeAll();
});
beforeEach(async () => {
  databaseUrl = await postgres.createDatabase();
  db = openDatabase(databaseUrl, () => undefined);
  await migrateToLatest(db);
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await db.destroy();
});

async function start(options: Partial<DeliveryOptions> = {}): Promise<Delivery> {
  const delivery = await startDelivery({
    db,
    databaseUrl,
    fleetSecrets: await openFleetSecrets(db, keyEncryption),
    host: '127.0.0.1',
    port: 0,
    tls: false,
    replicaId: 'replica-1',
    watermarks: async () => new Map(),
    log,
    metrics: new Metrics(),
    ...options,
    times: { tickMs: 50, ...options.times },
  });
  open.push({ close: () => delivery.close({ drainMs: 0 }) });
  await vi.waitFor(() => expect(delivery.ready()).toBe(true));
  ({ token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 }));
  return delivery;
}

function connect(delivery: Delivery, options: Partial<SyncNodeOptions> = {}): SyncNode {
  const node = new SyncNode({ url: delivery.url, nodeId: 'node-1', token, ...options });
  open.push(node);
  return node;
}

/** One committed change; returns its revision. */
async function put(names: readonly string[], removed: readonly string[] = []): Promise<bigint> {
  const { revision } = await inChange(db, actor, async (change) => {
    for (const name of names)
      change.putResource({ type: 3, name, payload: Buffer.from(`${name}@${change.revision}`) });
    for (const name of removed) change.removeResource({ type: 3, name });
    change.record({ actor: 'test', action: 'update', kind: 'alias', name: 'test', before: null, after: {} });
  });
  return revision;
}

async function reaches(node: SyncNode, revision: bigint): Promise<void> {
  await vi.waitFor(() => expect(node.memory.revision).toBe(revision), { timeout: 5_000, interval: 5 });
}

async function rowOf(id: string) {
  const row = await getNode(db, id);
  expect(row).toBeDefined();
  return row!;
}

describe('delivery to connected nodes', () => {
  test('a node with nothing gets everything, and after that only what changes', async () => {
    await put(['a', 'b']);
    const node = connect(await start());
    await reaches(node, 1n);
    expect(node.begins.map(({ full }) => full)).toEqual([true]);
    await put(['c'], ['a']);
    await reaches(node, 2n);
    expect(node.begins.map(({ full, fromRevision }) => [full, fromRevision])).toEqual([
      [true, 0n],
      [false, 1n],
    ]);
    expect(node.memory.names()).toEqual(['b', 'c']);
    expect(node.memory.fleetKey).toHaveLength(32);
  });

  test('a node that returns with the newest revision is sent nothing', async () => {
    await put(['a']);
    const delivery = await start();
    const first = connect(delivery);
    await reaches(first, 1n);
    first.close();
    const second = connect(delivery, { memory: first.memory, hello: { bootEpoch: 2n } });
    await put(['b']);
    await reaches(second, 2n);
    expect(second.begins.map(({ fromRevision }) => fromRevision)).toEqual([1n]);
  });

  test('deletions missed while disconnected arrive when the node returns, also to a replica that started since', async () => {
    await put(['a', 'b', 'c']);
    const delivery = await start();
    const node = connect(delivery);
    await reaches(node, 1n);
    node.close();
    await put([], ['b']);
    await put(['d'], ['c']);
    const other = await start({ replicaId: 'replica-2' });
    const returned = connect(other, { memory: node.memory });
    await reaches(returned, 3n);
    expect(returned.begins.map(({ full, fromRevision }) => [full, fromRevision])).toEqual([[false, 1n]]);
    expect(returned.memory.names()).toEqual(['a', 'd']);
  });

  test('resubscribe not resent: a node that lost what it had is given it again', async () => {
    await put(['a']);
    const delivery = await start();
    const first = connect(delivery);
    await reaches(first, 1n);
    first.close();
    const reborn = connect(delivery, { hello: { bootEpoch: 2n } });
    await reaches(reborn, 1n);
    expect(reborn.begins.map(({ full }) => full)).toEqual([true]);
  });

  test('each of two replicas tells its nodes of a change made anywhere', async () => {
    await put(['a']);
    const nodes = [
      connect(await start({ replicaId: 'replica-1' }), { nodeId: 'node-1' }),
      connect(await start({ replicaId: 'replica-2' }), { nodeId: 'node-2' }),
    ];
    for (const node of nodes) await reaches(node, 1n);
    const revision = await put(['b']);
    for (const node of nodes) await reaches(node, revision);
    expect(Buffer.from(nodes[0]!.welcome!.signingKey)).toEqual(Buffer.from(nodes[1]!.welcome!.signingKey));
    expect(nodes[0]!.memory.fleetKey).toEqual(nodes[1]!.memory.fleetKey);
  });

  test('a node that knows a newer revision than its replica has seen is not sent back', async () => {
    await put(['a']);
    const delivery = await start();
    const ahead = new NodeMemory();
    const elsewhere = connect(await start({ replicaId: 'replica-2' }), { memory: ahead });
    const revision = await put(['b']);
    await reaches(elsewhere, revision);
    elsewhere.close();
    const node = connect(delivery, { memory: ahead });
    const next = await put(['c']);
    await reaches(node, next);
    expect(node.begins.every(({ full, toRevision }) => !full && toRevision > revision - 1n)).toBe(true);
  });

  test('a configuration of many resources arrives in several chunks', async () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `resource-${index}-${'x'.repeat(40)}`);
    await put(names);
    const node = connect(await start());
    await reaches(node, 1n);
    expect(node.memory.resources.size).toBe(20_000);
  });
});

describe('what people see of nodes', () => {
  test('a refused revision is visible with its reasons, and is not sent again', async () => {
    await put(['a']);
    const delivery = await start();
    const refuse: SyncNodeOptions['refuse'] = ({ toRevision }) =>
      toRevision === 2n
        ? [{ type: 3, name: 'b', field: 'target', code: 'unknown_target', message: 'no such model' }]
        : [];
    const node = connect(delivery, { refuse });
    await reaches(node, 1n);
    await put(['b']);
    await vi.waitFor(
      async () =>
        expect((await rowOf('node-1')).last_nack).toMatchObject({
          revision: '2',
          running_revision: '1',
          build: 'test/1',
          errors: [
            { type: 'alias', name: 'b', field: 'target', code: 'unknown_target', message: 'no such model' },
          ],
        }),
      { timeout: 5_000 },
    );
    expect((await rowOf('node-1')).applied_revision).toBe(1n);
    node.close();
    const returned = connect(delivery, { memory: node.memory, refuse });
    await put(['c']);
    await reaches(returned, 3n);
    expect([...node.begins, ...returned.begins].filter(({ toRevision }) => toRevision === 2n)).toHaveLength(
      1,
    );
    expect((await rowOf('node-1')).last_nack).toMatchObject({ revision: '2' });
  });

  test('a node is listed with its replica while it is connected and without one when it has left', async () => {
    await put(['a']);
    const delivery = await start();
    const node = connect(delivery, { heartbeatMs: 50 });
    await vi.waitFor(
      async () => {
        const row = await getNode(db, 'node-1');
        expect(row).toMatchObject({
          region: 'eu',
          address: 'http://node.example',
          replica_id: 'replica-1',
          applied_revision: 1n,
          apply_ms: 1.5,
          load: 3,
          spool_bytes: 7n,
        });
      },
      { timeout: 5_000 },
    );
    expect(delivery.connectedNodes()).toBe(1);
    node.close();
    await vi.waitFor(async () => expect((await rowOf('node-1')).replica_id).toBeNull(), { timeout: 5_000 });
    expect(delivery.connectedNodes()).toBe(0);
  });
});

describe('streams', () => {
  test('a heartbeat is answered with how far the ledger has come', async () => {
    await put(['a']);
    const delivery = await start({ watermarks: async (nodeId) => new Map([[`${nodeId}-epoch`, 42n]]) });
    const node = connect(delivery, { heartbeatMs: 50, journalEpochs: ['node-1-epoch'] });
    await vi.waitFor(() =>
      expect(node.of('heartbeat').at(-1)).toMatchObject({
        watermarks: [{ journalEpoch: 'node-1-epoch', sequence: 42n }],
      }),
    );
  });

  test('a node that has fallen silent is dropped', async () => {
    await put(['a']);
    const delivery = await start({ times: { deadMs: 1_000 } });
    const lively = connect(delivery, { nodeId: 'lively', heartbeatMs: 50 });
    const silent = connect(delivery, { nodeId: 'silent' });
    await vi.waitFor(() => expect(delivery.connectedNodes()).toBe(2));
    await vi.waitFor(() => expect(silent.ended).toBeDefined(), { timeout: 10_000 });
    expect(delivery.connectedNodes()).toBe(1);
    expect(lively.ended).toBeUndefined();
  });

  test('a node that takes a transfer and never answers is dropped', async () => {
    await put(['a']);
    const delivery = await start({ times: { ackMs: 200 } });
    const node = connect(delivery, { answersTransfers: false, heartbeatMs: 50 });
    await vi.waitFor(() => expect(node.begins).toHaveLength(1));
    await vi.waitFor(() => expect(node.ended).toBeDefined(), { timeout: 5_000 });
  });

  test('full transfers wait for a slot, and small changes do not', async () => {
    await put(['a']);
    const delivery = await start({ fullTransfersMax: 1 });
    const resumed = connect(delivery, { nodeId: 'resumed' });
    await reaches(resumed, 1n);
    const slow = connect(delivery, { nodeId: 'slow', answersTransfers: false });
    await vi.waitFor(() => expect(slow.begins).toHaveLength(1));
    const waiting = connect(delivery, { nodeId: 'waiting' });
    await vi.waitFor(() => expect(delivery.connectedNodes()).toBe(3));
    const revision = await put(['b']);
    await reaches(resumed, revision);
    expect(waiting.begins).toEqual([]);
    slow.answer();
    await reaches(waiting, revision);
  });

  test('more streams than the replica can take at once are told when to return, and are let in then', async () => {
    await put(['a']);
    const delivery = await start({ newStreamsPerSecond: 2 });
    const nodes = [1, 2, 3].map((number) => connect(delivery, { nodeId: `node-${number}` }));
    await vi.waitFor(() => expect(nodes.filter((node) => node.of('throttle').length > 0)).toHaveLength(1));
    const throttled = nodes.findIndex((node) => node.of('throttle').length > 0);
    const { retryAfterMs } = nodes[throttled]!.of('throttle')[0]!;
    expect(retryAfterMs).toBeGreaterThan(0);
    await vi.waitFor(
      async () => {
        const node = connect(delivery, { nodeId: `node-${throttled + 1}` });
        await vi.waitFor(() => expect(node.begins.length + node.of('throttle').length).toBeGreaterThan(0));
        expect(node.of('throttle')).toEqual([]);
      },
      { timeout: 10_000, interval: retryAfterMs },
    );
  });

  test('a stream that has reached its age is asked to move on and works until it does', async () => {
    await put(['a']);
    const delivery = await start({
      times: { ageMsMin: 100, ageMsMax: 200 },
      drainHosts: ['other.example:8082'],
    });
    const node = connect(delivery, { heartbeatMs: 50 });
    await vi.waitFor(() => expect(node.of('drain')).toMatchObject([{ hosts: ['other.example:8082'] }]), {
      timeout: 5_000,
    });
    const revision = await put(['b']);
    await reaches(node, revision);
  });

  test('a stopping replica asks its nodes to leave before it closes their streams', async () => {
    await put(['a']);
    const delivery = await start();
    const node = connect(delivery);
    await reaches(node, 1n);
    await delivery.close({ drainMs: 200 });
    expect(node.of('drain')).toHaveLength(1);
    await vi.waitFor(() => expect(node.ended).toBeDefined());
  });

  test('a ghost of an earlier boot does not displace the node, and a later boot does', async () => {
    await put(['a']);
    const delivery = await start();
    const current = connect(delivery, { hello: { bootEpoch: 5n } });
    await reaches(current, 1n);
    const ghost = connect(delivery, { hello: { bootEpoch: 4n } });
    await vi.waitFor(() => expect(String(ghost.ended?.error)).toContain('ghost'));
    expect(current.ended).toBeUndefined();
    const later = connect(delivery, { hello: { bootEpoch: 6n } });
    await vi.waitFor(() => expect(current.ended).toBeDefined());
    await reaches(later, 1n);
  });

  test.each([
    { mistake: { nodeId: 'no spaces allowed' }, says: 'node_id' },
    { mistake: { sealingKey: new Uint8Array(5) }, says: 'sealing_key' },
    { mistake: { sealingKey: new Uint8Array(32) }, says: 'sealing_key' },
    { mistake: { schemaMin: 90, schemaMax: 99 }, says: 'schema' },
  ])('a hello with a wrong $says is refused with the reason', async ({ mistake, says }) => {
    const node = connect(await start(), { hello: mistake });
    await vi.waitFor(() => expect(String(node.ended?.error)).toContain(says));
  });
});

describe('without the database', () => {
  test('nodes are served from memory, and catch up when the database is back', async () => {
    await put(['a', 'b']);
    const delivery = await start();
    const early = connect(delivery, { nodeId: 'early', heartbeatMs: 50 });
    await reaches(early, 1n);
    await postgres.stop();
    try {
      const late = connect(delivery, { nodeId: 'late', heartbeatMs: 50 });
      await reaches(late, 1n);
      expect(late.memory.names()).toEqual(['a', 'b']);
      early.close();
      const returned = connect(delivery, { nodeId: 'early', memory: early.memory, hello: { bootEpoch: 2n } });
      await vi.waitFor(() => expect(returned.welcome).toBeDefined());
      expect(returned.ended).toBeUndefined();
    } finally {
      await postgres.start();
    }
    const revision = await put(['c']);
    const newcomer = connect(delivery, { nodeId: 'newcomer' });
    await reaches(newcomer, revision);
    await vi.waitFor(async () => expect((await rowOf('late')).replica_id).toBe('replica-1'), {
      timeout: 10_000,
    });
  });
});
