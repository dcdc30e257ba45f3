// A whole control plane as it is started by the command: ports, handed-over requests, nodes, health, stopping.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@connectrpc/connect';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import { isWellFormedApiKey } from '#shared/crypto/api-key.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { SyncNode } from '#test/harness/sync-node.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './main.ts';

let postgres: TestPostgres;
let directory: string;
const started: ControlPlane[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  directory = mkdtempSync(join(tmpdir(), 'signalbox-test-main-'));
});
afterEach(async () => {
  for (const plane of started.splice(0)) await plane.close();
});
afterAll(async () => {
  await postgres.removeAll();
  rmSync(directory, { recursive: true, force: true });
});

async function start(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  const log = createLogger('silent');
  const plane = await startControlPlane({
    databaseUrl: await postgres.createDatabase(),
    dataDirectory: join(directory, String(Math.random())),
    host: '127.0.0.1',
    adminPort: 0,
    syncHost: '127.0.0.1',
    syncPort: 0,
    syncTls: false,
    masterKey: undefined,
    encryptionKey: undefined,
    configurationFile: undefined,
    environment: {},
    demo: true,
    bus: createInProcessBus({ log }),
    log,
    metrics: new Metrics(),
    ...options,
  });
  started.push(plane);
  return plane;
}

/** Whether a node that shows this token is given a stream. */
async function admits(plane: ControlPlane, token: string): Promise<boolean> {
  const node = new SyncNode({ url: plane.syncUrl, nodeId: `node-${token.slice(4, 12)}`, token });
  try {
    await expect.poll(() => node.welcome ?? node.ended, { timeout: 10_000 }).toBeDefined();
    if (node.ended === undefined) return true;
    expect(node.ended.error).toMatchObject({ code: Code.Unauthenticated });
    return false;
  } finally {
    node.close();
  }
}

test('becomes ready, and documents and serves every resource', async () => {
  const plane = await start();
  const url = `http://127.0.0.1:${plane.adminAddress!.port}`;
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({
    status: 'ready',
    revision: 1,
    database: 'up',
  });
  const document = (await (await fetch(`${url}/api/openapi.json`)).json()) as { paths: object };
  const headers = { authorization: `Bearer ${plane.adminKey.reveal()}` };
  for (const name of [
    'providers',
    'models',
    'aliases',
    'routes',
    'keys',
    'nodes',
    'revisions',
    'usage',
    'requests',
    'audit',
  ]) {
    expect(Object.keys(document.paths)).toContain(`/api/v1/${name}`);
    expect((await fetch(`${url}/api/v1/${name}`, { headers })).status, name).toBe(200);
  }
});

test('without a port it answers what another server hands over', async () => {
  const plane = await start({ adminPort: undefined });
  expect(plane.adminAddress).toBeUndefined();
  const server = createServer((request, response) => plane.handle(request, response)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const headers = { authorization: `Bearer ${plane.adminKey.reveal()}`, 'content-type': 'application/json' };
  const made = await fetch(`${url}/api/v1/keys`, { method: 'POST', headers, body: '{"name":"handed over"}' });
  expect(made.status).toBe(201);
  expect((await fetch(`${url}/swagger`)).status).toBe(200);
  server.close();
  server.closeAllConnections();
});

test('gives whoever started it a key for applications and a token for a data plane', async () => {
  const plane = await start();
  const { id, key } = await plane.createApiKey({ name: 'first' });
  expect(isWellFormedApiKey(key)).toBe(true);
  expect([await plane.apiKeyExists(id), await plane.apiKeyExists('key_none')]).toEqual([true, false]);
  expect((await plane.localJoinToken()).reveal()).toMatch(/^sbj-/);
  expect(plane.syncUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test('a restart ends the local token of the run before, and no other replica’s', async () => {
  const shared = {
    databaseUrl: await postgres.createDatabase(),
    masterKey: new Secret('an-admin-key-for-both-replicas-of-it'),
    encryptionKey: new Secret(Buffer.alloc(32, 7).toString('base64')),
  };
  const here = { ...shared, dataDirectory: join(directory, 'here') };
  const first = await start(here);
  const old = (await first.localJoinToken()).reveal();
  const other = await start({ ...shared, dataDirectory: join(directory, 'there') });
  const elsewhere = (await other.localJoinToken()).reveal();
  expect(await admits(first, old)).toBe(true);
  await first.close();
  const second = await start(here);
  const current = (await second.localJoinToken()).reveal();
  for (const plane of [second, other]) {
    const admitted = await Promise.all([old, current, elsewhere].map((token) => admits(plane, token)));
    expect(admitted).toEqual([false, true, true]);
  }
});

test.each([
  ['admin', 'adminPort', 'SIGNALBOX_ADMIN_PORT'],
  ['sync', 'syncPort', 'SIGNALBOX_SYNC_PORT'],
] as const)(
  'says which port is taken when the %s port is, and leaves nothing running',
  async (_what, option, variable) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as AddressInfo;
    await expect(start({ [option]: port })).rejects.toMatchObject({
      code: 'address_in_use',
      message: expect.stringMatching(new RegExp(`${port}.*${variable}`)),
    });
    holder.close();
  },
);

test('what was made is there after a restart with the same data directory', async () => {
  const databaseUrl = await postgres.createDatabase();
  const dataDirectory = join(directory, 'kept');
  const first = await start({ databaseUrl, dataDirectory });
  const { id } = await first.createApiKey({ name: 'kept' });
  await first.close();
  const second = await start({ databaseUrl, dataDirectory });
  expect(second.adminKey.reveal()).toBe(first.adminKey.reveal());
  expect(await second.apiKeyExists(id)).toBe(true);
});
