// Both ends of configuration sync as they are shipped, over plain HTTP/2 and over mutual TLS, on a real database: what a
// change becomes on a node, and what a node makes of control planes that stop, freeze, lie and come back.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Authority, openAuthority } from '#control-plane/delivery/authority.ts';
import { type Delivery, type DeliveryOptions, startDelivery } from '#control-plane/delivery/server.ts';
import { type FleetSecrets, openFleetSecrets } from '#control-plane/secrets/fleet.ts';
import { localKeyEncryption } from '#control-plane/secrets/key-encryption.ts';
import { providePepper } from '#control-plane/secrets/pepper.ts';
import { loadFleetKey } from '#control-plane/secrets/provider-secrets.ts';
import { inChange } from '#control-plane/store/changes.ts';
import { type Db, migrateToLatest, openDatabase } from '#control-plane/store/database.ts';
import { getNode } from '#control-plane/store/nodes.ts';
import { type Sync, type SyncOptions, startSync } from '#data-plane/snapshot/sync.ts';
import { ApiKeySchema, ProviderSchema, ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { apiKeyHmac, newApiKey, preparePepper } from '#shared/crypto/api-key.ts';
import { newKey } from '#shared/crypto/box.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { ConfigurationSource } from '#test/harness/configuration-source.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { startScriptedControlPlane } from '#test/harness/scripted-control-plane.ts';

const actor = { name: 'test', requestId: 'req_1', address: '127.0.0.1' };
const keyEncryption = localKeyEncryption(newKey());
const pepper = newKey();
const log = createLogger('silent');
const waiting = { timeout: 20_000, interval: 10 };

let postgres: TestPostgres;
let databaseUrl: string;
let db: Db;
let fleetSecrets: FleetSecrets;
let dataDirectory: string;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.removeAll());
beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'signalbox-e2e-sync-'));
  databaseUrl = await postgres.createDatabase();
  db = openDatabase(databaseUrl, () => undefined);
  await migrateToLatest(db);
  fleetSecrets = await openFleetSecrets(db, keyEncryption);
  const fleetKey = await loadFleetKey(fleetSecrets);
  await inChange(db, actor, (change) => providePepper(change, fleetKey, pepper));
});
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
  await db.destroy();
  await rm(dataDirectory, { recursive: true, force: true });
});

async function control(options: Partial<DeliveryOptions>): Promise<Delivery> {
  const delivery = await startDelivery({
    db,
    databaseUrl,
    fleetSecrets,
    host: '127.0.0.1',
    port: 0,
    tls: false,
    replicaId: 'replica-1',
    watermarks: async () => new Map(),
    log,
    metrics: new Metrics(),
    ...options,
    times: { tickMs: 50, heartbeatMs: 200, ...options.times },
  });
  open.push({ close: () => delivery.close({ drainMs: 0 }) });
  await vi.waitFor(() => expect(delivery.ready()).toBe(true), waiting);
  return delivery;
}

async function stopAll(): Promise<void> {
  for (const one of open.splice(0).toReversed()) await one.close();
}

const tokenOf = async (delivery: Delivery) =>
  new Secret((await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 })).token);

async function node(
  urls: readonly string[],
  joinToken: Secret | undefined,
  options: Partial<SyncOptions> = {},
) {
  const sync = await startSync({
    urls,
    joinToken,
    dataDirectory,
    nodeId: 'node-1',
    region: 'eu',
    advertisedAddress: '',
    providerFor: () => undefined,
    load: () => 0,
    spoolBytes: () => 0,
    journalEpochs: () => [],
    onWatermark: () => {},
    log,
    metrics: new Metrics(),
    deadMs: 1500,
    ...options,
  });
  open.push(sync);
  return sync;
}

/** Commits a change that adds keys and removes others; returns what the new keys' owners present. */
async function changeKeys(given: { add?: readonly string[]; remove?: readonly string[] }): Promise<string[]> {
  const presented = (given.add ?? []).map(() => newApiKey());
  await inChange(db, actor, async (change) => {
    for (const [index, id] of (given.add ?? []).entries()) {
      const message = create(ApiKeySchema, {
        id,
        name: id,
        hmac: apiKeyHmac(preparePepper(pepper), presented[index]!),
      });
      change.putResource({ type: ResourceType.API_KEY, name: id, payload: toBinary(ApiKeySchema, message) });
    }
    for (const name of given.remove ?? []) change.removeResource({ type: ResourceType.API_KEY, name });
    change.record({ actor: 'test', action: 'update', kind: 'key', name: 'test', before: null, after: {} });
  });
  return presented;
}

async function breakConfiguration(broken: boolean): Promise<void> {
  await inChange(db, actor, async (change) => {
    const message = create(ProviderSchema, { name: 'broken', type: 'quantum' });
    if (broken) {
      change.putResource({
        type: ResourceType.PROVIDER,
        name: 'broken',
        payload: toBinary(ProviderSchema, message),
      });
    } else change.removeResource({ type: ResourceType.PROVIDER, name: 'broken' });
    change.record({
      actor: 'test',
      action: 'update',
      kind: 'provider',
      name: 'broken',
      before: null,
      after: {},
    });
  });
}

const knows = (sync: Sync, key: string) =>
  vi.waitFor(() => expect(sync.current()?.keys.find(key)).toBeDefined(), waiting);
const forgets = (sync: Sync, key: string) =>
  vi.waitFor(() => expect(sync.current()?.keys.find(key)).toBeUndefined(), waiting);

describe.each([{ tls: false }, { tls: true }])('with TLS $tls', ({ tls }) => {
  test('a key created is usable, a key revoked is refused, and the control plane knows that it is', async () => {
    const plane = await control({ tls });
    const sync = await node([plane.url], await tokenOf(plane));
    await sync.ready();
    const [key] = await changeKeys({ add: ['key_1'] });
    await knows(sync, key!);
    await changeKeys({ remove: ['key_1'] });
    await forgets(sync, key!);
    const applied = async () => (await getNode(db, 'node-1'))?.applied_revision;
    await vi.waitFor(async () => expect(await applied()).toBe(sync.status().revision), waiting);
  });

  test('a deletion made while the node was away is gone when it returns', async () => {
    const plane = await control({ tls });
    const token = await tokenOf(plane);
    const [removed, kept] = await changeKeys({ add: ['key_1', 'key_2'] });
    const first = await node([plane.url], token);
    await knows(first, removed!);
    open.splice(open.indexOf(first), 1);
    await first.close();
    await changeKeys({ remove: ['key_1'] });
    const again = await node([plane.url], token);
    expect(again.current()?.keys.find(removed!)).toBeDefined();
    await forgets(again, removed!);
    expect(again.current()?.keys.find(kept!)).toBeDefined();
  });

  test('a node with a damaged disk cache starts, and gets everything again', async () => {
    const plane = await control({ tls });
    const token = await tokenOf(plane);
    const [key] = await changeKeys({ add: ['key_1'] });
    const first = await node([plane.url], token);
    await knows(first, key!);
    open.splice(open.indexOf(first), 1);
    await first.close();
    const file = join(dataDirectory, 'node', 'configuration.current');
    const contents = await readFile(file);
    contents[contents.length >> 1]! ^= 1;
    await writeFile(file, contents);
    const again = await node([plane.url], token);
    expect(again.current()).toBeUndefined();
    await knows(again, key!);
  });

  test('a configuration that a node refuses is visible with its reason, and the node keeps the one it has', async () => {
    const plane = await control({ tls });
    const [key] = await changeKeys({ add: ['key_1'] });
    const sync = await node([plane.url], await tokenOf(plane));
    await knows(sync, key!);
    const before = sync.status().revision;
    await breakConfiguration(true);
    await vi.waitFor(async () => {
      expect((await getNode(db, 'node-1'))?.last_nack).toMatchObject({
        running_revision: String(before),
        errors: [{ type: 'provider', name: 'broken', field: 'type', code: 'unknown_provider_type' }],
      });
    }, waiting);
    expect(sync.status().revision).toBe(before);
    expect(sync.current()?.keys.find(key!)).toBeDefined();
    await breakConfiguration(false);
    await vi.waitFor(() => expect(sync.status().revision).toBe(before + 2n), waiting);
  });

  test('a node serves from disk with everything dead, and catches up when a control plane is back', async () => {
    const plane = await control({ tls });
    const token = await tokenOf(plane);
    const [key] = await changeKeys({ add: ['key_1'] });
    await knows(await node([plane.url], token), key!);
    await stopAll();
    const alone = await node([plane.url], tls ? undefined : token);
    await alone.ready();
    expect(alone.current()?.keys.find(key!)).toBeDefined();
    expect(alone.status().connected).toBe(false);
    await control({ tls, port: plane.port });
    const [later] = await changeKeys({ add: ['key_2'] });
    await knows(alone, later!);
  });

  test('a node leaves a frozen control plane for another', async () => {
    const [one, other] = [await control({ tls }), await control({ tls, replicaId: 'replica-2' })];
    const line = await freezable(one.port);
    const scheme = tls ? 'https' : 'http';
    const sync = await node([`${scheme}://127.0.0.1:${line.port}`, other.url], await tokenOf(one));
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    line.freeze();
    await vi.waitFor(() => expect(sync.status()).toMatchObject({ connected: true, url: other.url }), waiting);
    const [key] = await changeKeys({ add: ['key_1'] });
    await knows(sync, key!);
  });

  test('a control plane that stops in order hands its nodes over without a gap', async () => {
    const [one, other] = [await control({ tls }), await control({ tls, replicaId: 'replica-2' })];
    const sync = await node([one.url, other.url], await tokenOf(one));
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const [leaving, staying] = sync.status().url === one.url ? [one, other] : [other, one];
    let gaps = 0;
    const watch = setInterval(() => {
      if (!sync.status().connected) gaps += 1;
    }, 1);
    await leaving.close({ drainMs: 3000 });
    clearInterval(watch);
    expect(gaps).toBe(0);
    expect(sync.status()).toMatchObject({ connected: true, url: staying.url });
  });
});

describe('joining', () => {
  /** A server that calls itself a control plane and would take any token. */
  async function impostor(chainOf: (own: string, real: Authority) => string) {
    const join = vi.fn(() => ({ certificatePem: '', authorityPem: '' }));
    const real = await openAuthority(fleetSecrets, systemClock);
    const otherDb = openDatabase(await postgres.createDatabase(), () => undefined);
    await migrateToLatest(otherDb);
    const other = await openAuthority(await openFleetSecrets(otherDb, keyEncryption), systemClock);
    await otherDb.destroy();
    const { keyPem: key, chainPem } = await other.issueServer();
    const tls = { key, cert: chainOf(chainPem, real) };
    const plane = await startScriptedControlPlane({ source: new ConfigurationSource(), tls, join });
    open.push(plane);
    return { plane, join, token: new Secret(`sbj-abc.${Buffer.from(real.fingerprint).toString('hex')}`) };
  }

  test.each([
    {
      what: 'a server under another authority',
      chainOf: (own: string) => own,
      says: 'nothing was sent to it',
    },
    {
      what: 'one that shows the certificate of the right authority beside its own',
      chainOf: (own: string, real: Authority) =>
        `${own.split('-----END CERTIFICATE-----')[0]}-----END CERTIFICATE-----\n${real.certificatePem}\n`,
      says: '',
    },
  ])('shows the token not to $what', async ({ chainOf, says }) => {
    const { plane, join, token } = await impostor(chainOf);
    const errors: unknown[] = [];
    const listening = {
      ...log,
      info: vi.fn(),
      warn: (details: { reason?: string }) => errors.push(details.reason),
    };
    const sync = await node([plane.url], token, { log: listening as unknown as SyncOptions['log'] });
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(1), waiting);
    expect(errors[0]).toContain(says);
    expect(sync.status().connected).toBe(false);
    expect(join).not.toHaveBeenCalled();
    expect(plane.streams).toEqual([]);
  });

  test('happens once: the certificate serves from then on, without a token', async () => {
    const plane = await control({ tls: true });
    const first = await node([plane.url], await tokenOf(plane));
    await first.ready();
    open.splice(open.indexOf(first), 1);
    await first.close();
    const again = await node([plane.url], undefined);
    await vi.waitFor(() => expect(again.status().connected).toBe(true), waiting);
  });

  test('without a token says what is missing, and goes on trying', async () => {
    const plane = await control({ tls: true });
    const errors: unknown[] = [];
    const listening = { ...log, warn: (details: { reason?: string }) => errors.push(details.reason) };
    await node([plane.url], undefined, { log: listening as unknown as SyncOptions['log'] });
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(1), waiting);
    expect(errors[0]).toContain('SIGNALBOX_JOIN_TOKEN');
  });

  test('is followed by renewal when two thirds of the certificate are over, on the stream that is open', async () => {
    const plane = await control({ tls: true });
    let aheadMs = 0;
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs };
    const sync = await node([plane.url], await tokenOf(plane), { clock });
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const file = join(dataDirectory, 'node', 'certificate.json');
    const before = await readFile(file, 'utf8');
    aheadMs = 5 * 24 * 60 * 60 * 1000;
    await vi.waitFor(async () => expect(await readFile(file, 'utf8')).not.toBe(before), waiting);
    expect(sync.status().connected).toBe(true);
  });

  test('is asked for again when the token names another authority than the certificate has', async () => {
    const before = await control({ tls: true });
    const first = await node([before.url], await tokenOf(before));
    await first.ready();
    await stopAll();
    await db.destroy();
    databaseUrl = await postgres.createDatabase();
    db = openDatabase(databaseUrl, () => undefined);
    await migrateToLatest(db);
    fleetSecrets = await openFleetSecrets(db, keyEncryption);
    const after = await control({ tls: true });
    await rm(join(dataDirectory, 'node', 'signing-key'));
    const sync = await node([after.url], await tokenOf(after));
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
  });
});

/** A line to a port that can go dead while both ends believe it is alive. */
async function freezable(target: number): Promise<{ port: number; freeze(): void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(target, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    freeze() {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}
