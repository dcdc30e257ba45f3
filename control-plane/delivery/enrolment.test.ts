import { createHash, sign, X509Certificate } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as Status } from '#proto/grpc/health/v1/health_pb.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { newKey } from '#shared/crypto/box.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { connectSync, newTransportKey, SyncNode } from '#test/harness/sync-node.ts';
import { systemActor } from '../domain/actor.ts';
import { openFleetSecrets } from '../secrets/fleet.ts';
import { localKeyEncryption } from '../secrets/key-encryption.ts';
import { inChange } from '../store/changes.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { findJoinToken, hashJoinToken, revokeJoinToken } from '../store/join-tokens.ts';
import { nodeIdOf, openAuthority } from './authority.ts';
import { type Delivery, type DeliveryOptions, startDelivery } from './server.ts';

const log = createLogger('silent');
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

let postgres: TestPostgres;
let databaseUrl: string;
let db: Db;
let delivery: Delivery;
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
  await inChange(db, { name: 'test', requestId: '', address: '' }, async (change) => {
    change.putResource({ type: 3, name: 'a', payload: Buffer.from('a') });
    change.record({ actor: 'test', action: 'create', kind: 'alias', name: 'a', before: null, after: {} });
  });
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await db.destroy();
});

const keyEncryption = localKeyEncryption(newKey());

async function start(options: Partial<DeliveryOptions> = {}): Promise<Delivery> {
  const started = await startDelivery({
    db,
    databaseUrl,
    fleetSecrets: await openFleetSecrets(db, keyEncryption),
    host: '127.0.0.1',
    port: 0,
    tls: true,
    replicaId: 'replica-1',
    watermarks: async () => new Map(),
    log,
    metrics: new Metrics(),
    ...options,
    times: { tickMs: 50, ...options.times },
  });
  open.push({ close: () => started.close({ drainMs: 0 }) });
  await vi.waitFor(() => expect(started.ready()).toBe(true));
  delivery = started;
  return started;
}

/** A call on a connection of its own. */
async function call<T>(
  use: (client: ReturnType<typeof connectSync>['client']) => Promise<T>,
  identity: Partial<tls.SecureContextOptions> = {},
  url = delivery.url,
): Promise<T> {
  const { manager, client } = connectSync({ url, tls: { ca: await authorityPem(), ...identity } as never });
  try {
    return await use(client);
  } finally {
    manager.abort();
  }
}

async function authorityPem(): Promise<string> {
  return (await openAuthority(await openFleetSecrets(db, keyEncryption), systemClock)).certificatePem;
}

function join(
  token: string,
  given: { nodeId?: string; key?: ReturnType<typeof newTransportKey>; proof?: Buffer; text?: string } = {},
) {
  const { nodeId = 'node-1', key = newTransportKey() } = given;
  const text = given.text ?? `signalbox-join|${nodeId}|${token}`;
  const proof = given.proof ?? sign('sha256', Buffer.from(text), key.privateKeyPem);
  return call((client) => client.join({ token, nodeId, publicKey: key.publicKey, proof }));
}

async function joined(nodeId = 'node-1') {
  const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
  const key = newTransportKey();
  const { certificatePem, authorityPem: ca } = await join(token, { nodeId, key });
  return { ca, cert: certificatePem, key: key.privateKeyPem };
}

async function codeOf(outcome: Promise<unknown>): Promise<Code> {
  const error = await outcome.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (error === undefined) throw new Error('the call succeeded');
  return error.code;
}

describe('joining', () => {
  test('a token gives a week-long client certificate for this node, and the stream works with it', async () => {
    await start();
    const identity = await joined('node-7');
    const certificate = new X509Certificate(identity.cert);
    expect(nodeIdOf(certificate.subjectAltName)).toBe('node-7');
    expect(certificate.verify(new X509Certificate(identity.ca).publicKey)).toBe(true);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    const lifeMs = Date.parse(certificate.validTo) - Date.now();
    expect(Math.abs(lifeMs - WEEK_MS)).toBeLessThan(60_000);
    const node = new SyncNode({ url: delivery.url, nodeId: 'node-7', tls: identity });
    open.push(node);
    await vi.waitFor(() => expect(node.memory.names()).toEqual(['a']));
  });

  test('the token names the authority that the server presents, so a node need trust nothing else', async () => {
    await start();
    const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
    const socket = tls.connect({
      host: '127.0.0.1',
      port: delivery.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const presented = socket.getPeerX509Certificate()!;
    socket.destroy();
    expect(presented.subjectAltName).toBe('DNS:control-plane.signalbox.internal');
    const spki = presented.issuerCertificate!.publicKey.export({ format: 'der', type: 'spki' });
    expect(token).toMatch(/^sbj-[\w-]{43}\.[0-9a-f]{64}$/);
    expect(token.split('.')[1]).toBe(createHash('sha256').update(spki).digest('hex'));
    expect(JSON.stringify(await findJoinToken(db, hashJoinToken(token)))).not.toContain(token.slice(4, 20));
  });

  test.each([
    { what: 'an unknown token', outcome: () => join(`sbj-${'x'.repeat(43)}.${'0'.repeat(64)}`) },
    { what: 'an empty token', outcome: () => join('') },
    {
      what: 'a withdrawn token',
      outcome: async () => {
        const {
          row: { id },
          token,
        } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
        await revokeJoinToken(db, id, new Date(), systemActor);
        return join(token);
      },
    },
    {
      what: 'an expired token',
      outcome: async () => {
        const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: -1 });
        return join(token);
      },
    },
    {
      what: 'a proof by another key',
      outcome: async () => {
        const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
        const proof = sign(
          'sha256',
          Buffer.from(`signalbox-join|node-1|${token}`),
          newTransportKey().privateKeyPem,
        );
        return join(token, { proof });
      },
    },
    {
      what: 'a proof for another node',
      outcome: async () => {
        const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
        return join(token, { text: `signalbox-join|node-2|${token}` });
      },
    },
  ])('$what is refused', async ({ outcome }) => {
    await start();
    expect(await codeOf(outcome())).toBe(Code.Unauthenticated);
  });

  test('a node id that could be mistaken for another is refused', async () => {
    await start();
    const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
    expect(await codeOf(join(token, { nodeId: 'node-1, URI:signalbox://node/node-2' }))).toBe(
      Code.InvalidArgument,
    );
  });

  test('a token withdrawn on one replica is refused by another', async () => {
    await start();
    const {
      row: { id },
      token,
    } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
    await start({ replicaId: 'replica-2' });
    await join(token);
    await revokeJoinToken(db, id, new Date(), systemActor);
    expect(await codeOf(join(token))).toBe(Code.Unauthenticated);
  });
});

describe('certificates', () => {
  test('are renewed over a connection that presents one, also by another replica than issued it', async () => {
    await start();
    const identity = await joined('node-1');
    await start({ replicaId: 'replica-2' });
    const key = newTransportKey();
    const proof = sign('sha256', Buffer.from('signalbox-renew|node-1'), key.privateKeyPem);
    const renewed = await call((client) => client.renew({ publicKey: key.publicKey, proof }), identity);
    const certificate = new X509Certificate(renewed.certificatePem);
    expect(nodeIdOf(certificate.subjectAltName)).toBe('node-1');
    expect(certificate.publicKey.export({ format: 'der', type: 'spki' })).toEqual(key.publicKey);
    const otherProof = sign('sha256', Buffer.from('signalbox-renew|node-2'), key.privateKeyPem);
    expect(
      await codeOf(call((client) => client.renew({ publicKey: key.publicKey, proof: otherProof }), identity)),
    ).toBe(Code.Unauthenticated);
  });

  test('without one, neither a stream nor a renewal is possible', async () => {
    await start();
    const key = newTransportKey();
    const renewal = {
      publicKey: key.publicKey,
      proof: sign('sha256', Buffer.from('signalbox-renew|'), key.privateKeyPem),
    };
    expect(await codeOf(call((client) => client.renew(renewal)))).toBe(Code.Unauthenticated);
    await expectStreamRefused({ ca: await authorityPem() }, Code.Unauthenticated);
  });

  test('one of another authority, however alike, is refused', async () => {
    await start();
    const foreign = await openAuthority({ loadOrCreate: async (_name, make) => make() }, systemClock);
    const key = newTransportKey();
    const cert = await foreign.issueNode('node-1', key.publicKey);
    await expectStreamRefused(
      { ca: await authorityPem(), cert, key: key.privateKeyPem },
      Code.Unauthenticated,
    );
  });

  test('one that has expired is refused', async () => {
    await start();
    const past: Clock = { wallMs: () => Date.now() - WEEK_MS - 1_000, monotonicMs: () => 0 };
    const authority = await openAuthority(await openFleetSecrets(db, keyEncryption), past);
    const key = newTransportKey();
    const cert = await authority.issueNode('node-1', key.publicKey);
    await expectStreamRefused(
      { ca: authority.certificatePem, cert, key: key.privateKeyPem },
      Code.Unauthenticated,
    );
  });

  test('one of a control plane does not make a node', async () => {
    await start();
    const authority = await openAuthority(await openFleetSecrets(db, keyEncryption), systemClock);
    const { chainPem, keyPem } = await authority.issueServer();
    await expectStreamRefused(
      { ca: authority.certificatePem, cert: chainPem, key: keyPem },
      Code.Unauthenticated,
    );
  });

  test('one of another node does not carry this node’s stream', async () => {
    await start();
    const identity = await joined('node-2');
    await expectStreamRefused(identity, Code.PermissionDenied);
  });

  async function expectStreamRefused(
    identity: { ca: string; cert?: string; key?: string },
    code: Code,
  ): Promise<void> {
    const node = new SyncNode({ url: delivery.url, nodeId: 'node-1', tls: identity });
    open.push(node);
    await vi.waitFor(() => expect(node.ended).toBeDefined());
    expect(ConnectError.from(node.ended?.error).code).toBe(code);
    expect(node.begins).toEqual([]);
  }
});

describe('plain connections', () => {
  test('are for loopback addresses alone', async () => {
    await expect(start({ tls: false, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'invalid_configuration',
    });
  });

  test('carry streams that show a join token, and no others', async () => {
    await start({ tls: false });
    const {
      row: { id },
      token,
    } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
    const attempt = async (shown: string | undefined) => {
      const node = new SyncNode({ url: delivery.url, nodeId: 'node-1', ...(shown && { token: shown }) });
      open.push(node);
      await vi.waitFor(() => expect(node.ended !== undefined || node.begins.length > 0).toBe(true));
      return node.begins.length > 0;
    };
    expect(await attempt(undefined)).toBe(false);
    expect(await attempt(`sbj-${'x'.repeat(43)}.${'0'.repeat(64)}`)).toBe(false);
    expect(await attempt(token)).toBe(true);
    await revokeJoinToken(db, id, new Date(), systemActor);
    expect(await attempt(token)).toBe(false);
  });
});

describe('the listener', () => {
  test('reports its health to whoever asks, and when it stops', async () => {
    await start();
    const { manager, transport } = connectSync({ url: delivery.url, tls: { ca: await authorityPem() } });
    open.push({ close: () => manager.abort() });
    const health = createClient(Health, transport);
    const seen: Status[] = [];
    const watching = (async () => {
      for await (const { status } of health.watch({ service: '' })) seen.push(status);
    })().catch(() => undefined);
    expect((await health.check({ service: 'signalbox.sync.v1.SyncService' })).status).toBe(Status.SERVING);
    expect(await codeOf(health.check({ service: 'another' }))).toBe(Code.NotFound);
    await vi.waitFor(() => expect(seen).toEqual([Status.SERVING]));
    const closing = delivery.close({ drainMs: 500 });
    await vi.waitFor(() => expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]));
    await closing;
    await watching;
  });

  test('survives bytes that are not HTTP/2, and connections that break in every way', async () => {
    await start({ tls: false });
    const garbage = net.connect(delivery.port, '127.0.0.1');
    garbage.on('error', () => undefined);
    garbage.resume();
    garbage.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => garbage.once('close', resolve));
    const session = http2.connect(delivery.url);
    session.on('error', () => undefined);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/signalbox.sync.v1.SyncService/Sync',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => undefined);
    stream.write(Buffer.from([9, 9, 9, 9, 9, 9]));
    await new Promise((resolve) => setImmediate(resolve));
    session.destroy();
    const { token } = await delivery.issueJoinToken({ label: 'test', ttlMs: 60_000 });
    const node = new SyncNode({ url: delivery.url, nodeId: 'node-1', token });
    open.push(node);
    await vi.waitFor(() => expect(node.memory.names()).toEqual(['a']));
  });

  test('drops a connection that no longer answers pings', async () => {
    await start({ tls: false, times: { heartbeatMs: 50, deadMs: 300 } });
    const socket = net.connect(delivery.port, '127.0.0.1');
    open.push({ close: () => void socket.destroy() });
    // A proper beginning (preface and an empty SETTINGS frame), and then nothing, ever.
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });
});
