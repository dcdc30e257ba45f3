// The fleet over HTTP: what people see of data planes, and the tokens with which they join.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { newKey } from '#shared/crypto/box.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { SyncNode, type SyncNodeOptions } from '#test/harness/sync-node.ts';
import { type Delivery, startDelivery } from '../delivery/server.ts';
import { openFleetSecrets } from '../secrets/fleet.ts';
import { localKeyEncryption } from '../secrets/key-encryption.ts';
import { inChange } from '../store/changes.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { auditApi } from './audit.ts';
import { nodesApi } from './nodes.ts';
import { type Api, createApi } from './server.ts';

const log = createLogger('silent');
const adminKey = new Secret('admin-key-of-this-test');

let postgres: TestPostgres;
let db: Db;
let delivery: Delivery;
let api: Api;
let url: string;
const open: SyncNode[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  const databaseUrl = await postgres.createDatabase();
  db = openDatabase(databaseUrl, () => {});
  await migrateToLatest(db);
  delivery = await startDelivery({
    db,
    databaseUrl,
    fleetSecrets: await openFleetSecrets(db, localKeyEncryption(newKey())),
    host: '127.0.0.1',
    port: 0,
    tls: false,
    replicaId: 'replica-1',
    watermarks: async () => new Map(),
    log,
    metrics: new Metrics(),
  });
  api = await createApi({
    plugins: [nodesApi({ db, delivery }), auditApi(db)],
    adminKey,
    health: () => ({ status: 'ready', revision: 1, database: 'up' }),
    metrics: new Metrics(),
    log,
  });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${port}/api/v1`;
  await change();
});
afterEach(async () => {
  for (const node of open.splice(0)) node.close();
  await db.deleteFrom('nodes').execute();
});
afterAll(async () => {
  await api.close();
  await delivery.close({ drainMs: 0 });
  await db.destroy();
  await postgres.removeAll();
});

async function request(method: string, path: string, body?: unknown) {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${adminKey.reveal()}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, body: text === '' ? undefined : JSON.parse(text) };
}

async function change(): Promise<number> {
  const { revision } = await inChange(db, { name: 'test', requestId: '', address: '' }, async (open) => {
    open.putResource({ type: 3, name: 'a', payload: Buffer.from('a') });
    open.record({ actor: 'test', action: 'update', kind: 'alias', name: 'a', before: null, after: {} });
  });
  return Number(revision);
}

async function connect(nodeId: string, options: Partial<SyncNodeOptions> = {}): Promise<SyncNode> {
  const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
  const node = new SyncNode({ url: delivery.url, nodeId, token, heartbeatMs: 100, ...options });
  open.push(node);
  return node;
}

async function shown(id: string, expected: object): Promise<void> {
  await vi.waitFor(async () => expect((await request('GET', `/nodes/${id}`)).body).toMatchObject(expected), {
    timeout: 10_000,
  });
}

describe('a data plane', () => {
  test('is shown with where it is, what it runs and how busy it is', async () => {
    await connect('node-1');
    await shown('node-1', {
      id: 'node-1',
      region: 'eu',
      build: 'test/1',
      address: 'http://node.example',
      connected: true,
      replica: 'replica-1',
      apply_ms: 1.5,
      lag: { revisions: 0, seconds: 0 },
      last_nack: null,
      requests_in_flight: 3,
      journal_bytes: 7,
    });
  });

  test('that refuses a configuration is shown with the reasons and with how far it is behind', async () => {
    const node = await connect('node-1', {
      refuse: ({ full }) =>
        full ? [] : [{ type: 1, name: 'p', code: 'unknown_type', message: 'no such type' }],
    });
    await vi.waitFor(() => expect(node.memory.revision).toBeGreaterThan(0n));
    const running = Number(node.memory.revision);
    const refused = await change();
    await shown('node-1', {
      applied_revision: running,
      lag: { revisions: 1 },
      last_nack: {
        revision: refused,
        running_revision: running,
        build: 'test/1',
        errors: [{ type: 'provider', name: 'p', field: '', code: 'unknown_type', message: 'no such type' }],
      },
    });
    const { lag } = (await request('GET', '/nodes/node-1')).body;
    expect(lag.seconds).toBeGreaterThan(0);
  });

  test('that has left is shown as away', async () => {
    const node = await connect('node-1');
    await shown('node-1', { connected: true });
    node.close();
    await shown('node-1', { connected: false, replica: null });
  });

  test('that nobody has heard of is not found', async () => {
    expect((await request('GET', '/nodes/nobody')).status).toBe(404);
  });
});

test('nodes are listed page by page and by region and connection', async () => {
  await connect('node-1');
  await connect('node-2', { hello: { region: 'us' } });
  const away = await connect('node-3');
  await shown('node-3', { connected: true });
  away.close();
  await shown('node-1', { connected: true });
  await shown('node-2', { connected: true });
  await shown('node-3', { connected: false });
  const ids = async (query: string) => {
    const { body } = await request('GET', `/nodes?${query}`);
    return body.items.map(({ id }: { id: string }) => id);
  };
  expect(await ids('')).toEqual(['node-1', 'node-2', 'node-3']);
  expect(await ids('region=us')).toEqual(['node-2']);
  expect(await ids('connected=true')).toEqual(['node-1', 'node-2']);
  expect(await ids('connected=false')).toEqual(['node-3']);
  const first = (await request('GET', '/nodes?limit=2')).body;
  expect(first.items).toHaveLength(2);
  expect(await ids(`limit=2&cursor=${first.next_cursor}`)).toEqual(['node-3']);
});

describe('a join token', () => {
  test('is shown once, lets nodes in, and is listed without its value', async () => {
    const created = await request('POST', '/nodes/join-tokens', { label: 'rack 7' });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ label: 'rack 7', status: 'active', revoked_at: null });
    const node = await connect('node-1', { token: created.body.token });
    await vi.waitFor(() => expect(node.welcome).toBeDefined());
    const list = await request('GET', '/nodes/join-tokens?limit=1');
    const { token, ...rest } = created.body;
    expect(list.text).not.toContain(token.slice(0, 20));
    const tokens = (await request('GET', '/nodes/join-tokens')).body.items;
    expect(tokens).toContainEqual(rest);
  });

  test('that was withdrawn lets nobody in any more', async () => {
    const { body } = await request('POST', '/nodes/join-tokens', {});
    expect((await request('DELETE', `/nodes/join-tokens/${body.id}`)).status).toBe(204);
    expect((await request('DELETE', `/nodes/join-tokens/${body.id}`)).status).toBe(204);
    const node = await connect('node-1', { token: body.token });
    await vi.waitFor(() => expect(String(node.ended?.error)).toContain('withdrawn'));
    expect((await request('DELETE', '/nodes/join-tokens/join_unknown')).status).toBe(404);
  });

  test('can be listed page by page however quickly tokens were made', async () => {
    for (let index = 0; index < 5; index++) await request('POST', '/nodes/join-tokens', { label: 'many' });
    const all = (await request('GET', '/nodes/join-tokens?limit=500')).body.items;
    const paged: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body }: { body: { items: unknown[]; next_cursor: string | null } } = await request(
        'GET',
        `/nodes/join-tokens?limit=2${cursor && `&cursor=${cursor}`}`,
      );
      paged.push(...body.items);
      cursor = body.next_cursor;
    }
    expect(paged).toEqual(all);
  });

  test('that would be expired already is refused', async () => {
    const answer = await request('POST', '/nodes/join-tokens', { expires_at: '2020-01-01T00:00:00Z' });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('expires_at');
  });

  test('leaves a trace of who made and who withdrew it, without the token', async () => {
    const { body } = await request('POST', '/nodes/join-tokens', { label: 'traced' });
    await request('DELETE', `/nodes/join-tokens/${body.id}`);
    const audit = await request('GET', `/audit?kind=join-token&name=${body.id}`);
    expect(audit.body.items.map(({ action, actor }: Record<string, string>) => [action, actor])).toEqual([
      ['revoke', 'admin'],
      ['create', 'admin'],
    ]);
    expect(audit.text).not.toContain(body.token.slice(4, 20));
  });
});
