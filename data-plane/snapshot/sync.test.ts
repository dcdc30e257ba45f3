import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import type { SyncRequest } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { createLogger, type Logger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { ConfigurationSource } from '#test/harness/configuration-source.ts';
import {
  type ScriptedControlPlane,
  type ScriptedStream,
  type ScriptOptions,
  startScriptedControlPlane,
} from '#test/harness/scripted-control-plane.ts';
import { fixedCredential } from '../providers/credential.ts';
import type { Provider } from '../providers/provider.ts';
import { type Sync, type SyncOptions, startSync } from './sync.ts';

const token = new Secret(`sbj-abc.${'0'.repeat(64)}`);
const waiting = { timeout: 15_000, interval: 10 };

let dataDirectory: string;
let source: ConfigurationSource;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'signalbox-sync-'));
  source = new ConfigurationSource();
});
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
  await rm(dataDirectory, { recursive: true, force: true });
});

async function control(options: Partial<ScriptOptions> = {}): Promise<ScriptedControlPlane> {
  const plane = await startScriptedControlPlane({
    source,
    onStream: (stream) => stream.transfer(),
    ...options,
  });
  open.push(plane);
  return plane;
}

const demo: Provider = {
  type: 'demo',
  turns: () => [],
  services: {},
  credential: () => fixedCredential({}),
  async *answer() {},
};

async function node(urls: readonly string[], options: Partial<SyncOptions> = {}): Promise<Sync> {
  const sync = await startSync({
    urls,
    joinToken: token,
    dataDirectory,
    nodeId: undefined,
    region: 'eu',
    advertisedAddress: 'http://127.0.0.1:8080',
    providerFor: (type) => (type === 'demo' ? demo : undefined),
    load: () => 3,
    spoolBytes: () => 1234,
    journalEpochs: () => ['epoch_1'],
    onWatermark: () => {},
    log: createLogger('silent'),
    metrics: new Metrics(),
    deadMs: 600,
    ...options,
  });
  open.push(sync);
  return sync;
}

async function stop(one: { close(): Promise<void> }): Promise<void> {
  open.splice(open.indexOf(one), 1);
  await one.close();
}

const messages = <Case extends SyncRequest['message']['case']>(stream: ScriptedStream, wanted: Case) =>
  stream.received.flatMap(({ message }) =>
    message.case === wanted
      ? [message.value as Extract<SyncRequest['message'], { case: Case }>['value']]
      : [],
  );
const last = async (plane: ScriptedControlPlane, count = 1): Promise<ScriptedStream> => {
  await vi.waitFor(() => expect(plane.streams.length).toBeGreaterThanOrEqual(count), waiting);
  return plane.streams.at(-1)!;
};
const runs = (sync: Sync, revision: bigint) =>
  vi.waitFor(() => expect(sync.status().revision).toBe(revision), waiting);

describe('a node', () => {
  test('says who it is and what it has, and is ready with the first configuration', async () => {
    const key = source.key('key_1');
    const plane = await control();
    const sync = await node([plane.url]);
    await sync.ready();
    const stream = await last(plane);
    expect(stream.hello).toMatchObject({
      nodeId: sync.nodeId,
      region: 'eu',
      haveRevision: 0n,
      historyId: '',
    });
    expect(stream.hello).toMatchObject({ schemaMin: 1, advertisedAddress: 'http://127.0.0.1:8080' });
    expect(stream.headers.get('authorization')).toBe(`Bearer ${token.reveal()}`);
    expect(sync.current()?.keys.find(key)?.keyId).toBe('key_1');
    await vi.waitFor(() => expect(messages(stream, 'ack')).toHaveLength(1), waiting);
    const [ack] = messages(stream, 'ack');
    expect(ack).toMatchObject({ nonce: 1n, revision: source.revision });
    expect(Buffer.from(ack!.digest)).toEqual(source.digest());
    expect(ack?.applyMs).toBeGreaterThan(0);
  });

  test('applies what changes, and a request in flight keeps the snapshot it began with', async () => {
    const revoked = source.key('key_1');
    const plane = await control();
    const sync = await node([plane.url]);
    await sync.ready();
    const held = sync.current();
    const before = source.revision;
    const created = source.key('key_2');
    source.remove(ResourceType.API_KEY, 'key_1');
    (await last(plane)).transfer(before);
    await runs(sync, source.revision);
    expect(sync.current()?.keys.find(revoked)).toBeUndefined();
    expect(sync.current()?.keys.find(created)?.keyId).toBe('key_2');
    expect(held?.keys.find(revoked)?.keyId).toBe('key_1');
  });

  test('refuses a configuration that cannot work, says why, and keeps the one it has', async () => {
    const key = source.key('key_1');
    const plane = await control();
    const sync = await node([plane.url]);
    await sync.ready();
    const before = source.revision;
    source.key('key_2');
    source.provider({ name: 'broken', type: 'quantum' });
    const stream = await last(plane);
    stream.transfer(before);
    await vi.waitFor(() => expect(messages(stream, 'nack')).toHaveLength(1), waiting);
    expect(messages(stream, 'nack')[0]).toMatchObject({
      nonce: 2n,
      revision: source.revision,
      runningRevision: before,
      errors: [{ type: ResourceType.PROVIDER, name: 'broken', field: 'type', code: 'unknown_provider_type' }],
    });
    expect(sync.status()).toMatchObject({ revision: before, lastNack: { revision: source.revision } });
    expect(sync.current()?.keys.find(key)?.keyId).toBe('key_1');
    source.remove(ResourceType.PROVIDER, 'broken');
    stream.transfer(before);
    await runs(sync, source.revision);
    expect(sync.current()?.keys.size).toBe(2);
  });

  test('tells its load and learns how much of its journals is in the ledger', async () => {
    const onWatermark = vi.fn();
    const plane = await control({ watermarks: [{ journalEpoch: 'epoch_1', sequence: 41n }] });
    await node([plane.url], { onWatermark });
    await vi.waitFor(() => expect(onWatermark).toHaveBeenCalledWith('epoch_1', 41n), waiting);
    const heartbeat = messages(await last(plane), 'heartbeat')[0];
    expect(heartbeat).toMatchObject({ load: 3, spoolBytes: 1234n, journalEpochs: ['epoch_1'] });
  });

  test('refuses to talk in the clear to another machine, and an address or token that cannot be one', async () => {
    await expect(node(['http://10.1.2.3:8082'])).rejects.toThrow('is plain HTTP to another machine');
    await expect(node(['http://127.0.0.1:8082/path'])).rejects.toThrow('holds more than a scheme');
    await expect(node(['ftp://127.0.0.1'])).rejects.toThrow('is not valid');
    await expect(node([])).rejects.toThrow('at least one');
    await expect(node(['https://cp:8082'], { joinToken: new Secret('sbj-short') })).rejects.toThrow(
      'join token is not valid',
    );
  });
});

describe('without a control plane', () => {
  test('a node serves what it stored, with a larger boot epoch, and asks only for what it misses', async () => {
    const key = source.key('key_1');
    const plane = await control();
    const first = await node([plane.url]);
    await first.ready();
    const epoch = (await last(plane)).hello.bootEpoch;
    await stop(first);
    await stop(plane);
    const again = await node([plane.url]);
    expect(again.current()?.keys.find(key)?.keyId).toBe('key_1');
    await again.ready();
    expect(again.status()).toMatchObject({ connected: false, revision: source.revision });
    const reborn = await control({ port: plane.port, onStream: () => {} });
    const { hello } = await last(reborn);
    expect(hello).toMatchObject({
      haveRevision: source.revision,
      historyId: source.historyId,
      nodeId: again.nodeId,
    });
    expect(Buffer.from(hello.haveDigest)).toEqual(source.digest());
    expect(hello.bootEpoch).toBeGreaterThan(epoch);
  });

  test('a node whose stored copies are both damaged starts empty and gets everything again', async () => {
    const key = source.key('key_1');
    const plane = await control();
    const first = await node([plane.url]);
    await first.ready();
    await stop(first);
    for (const name of ['configuration.current', 'configuration.previous']) {
      await writeFile(join(dataDirectory, 'node', name), 'damaged');
    }
    const again = await node([plane.url]);
    expect(again.current()).toBeUndefined();
    await again.ready();
    expect(again.current()?.keys.find(key)?.keyId).toBe('key_1');
  });

  test('a node goes on serving, and finds another one', async () => {
    const [one, other] = [await control(), await control()];
    const sync = await node([one.url, other.url]);
    await sync.ready();
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const [used, unused] = sync.status().url === one.url ? [one, other] : [other, one];
    await stop(used);
    await vi.waitFor(
      () => expect(sync.status()).toMatchObject({ connected: true, url: unused.url }),
      waiting,
    );
    expect(sync.current()?.revision).toBe(source.revision);
  });

  test('a node notices one that is frozen and goes elsewhere', async () => {
    const [one, other] = [await control(), await control()];
    const warn = vi.fn();
    const sync = await node([one.url, other.url], {
      log: { ...createLogger('silent'), warn } as unknown as Logger,
    });
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const [used, unused] = sync.status().url === one.url ? [one, other] : [other, one];
    used.freeze();
    await vi.waitFor(
      () => expect(sync.status()).toMatchObject({ connected: true, url: unused.url }),
      waiting,
    );
    // Told by the connection itself, before the stream is missed.
    expect(String(warn.mock.calls[0]?.[0].reason)).toContain('nothing was heard for');
  });

  test('a node notices one whose stream is stuck although its connection answers', async () => {
    const [one, other] = [await control(), await control()];
    const sync = await node([one.url, other.url]);
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const [used, unused] = sync.status().url === one.url ? [one, other] : [other, one];
    used.streams[0]?.mute();
    await vi.waitFor(
      () => expect(sync.status()).toMatchObject({ connected: true, url: unused.url }),
      waiting,
    );
  });

  test('a node that is stopped at any moment of connecting leaves no error behind', async () => {
    const plane = await control();
    for (let turns = 0; turns < 40; turns++) {
      const sync = await node([plane.url]);
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      await stop(sync);
    }
  });

  test('a node that is stopped while it tries to connect stops at once', async () => {
    const sync = await node(['http://127.0.0.1:9', 'https://127.0.0.1:9']);
    await stop(sync);
    expect(sync.status().connected).toBe(false);
  });
});

describe('a node that is asked', () => {
  test('to come back later stays away that long and then returns to the same one', async () => {
    let asked = 0;
    const plane = await control({
      onStream(stream) {
        asked += 1;
        if (asked === 1) stream.send({ case: 'throttle', value: { retryAfterMs: 700 } });
        else stream.transfer();
      },
    });
    const other = await control({
      onStream: (stream) => stream.send({ case: 'throttle', value: { retryAfterMs: 60_000 } }),
    });
    const startedMs = performance.now();
    const sync = await node([plane.url]);
    await sync.ready();
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(700);
    expect(plane.streams).toHaveLength(2);
    expect(other.streams).toHaveLength(0);
  });

  test('to leave opens its next stream before it closes this one', async () => {
    const leaving = await control();
    const staying = await control();
    const sync = await node([leaving.url]);
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    const [old] = leaving.streams;
    old?.send({ case: 'drain', value: { reconnectWithinMs: 200, hosts: [staying.url] } });
    const next = await last(staying);
    expect(next.hello).toMatchObject({ haveRevision: source.revision, bootEpoch: old?.hello.bootEpoch });
    await vi.waitFor(() => expect(old?.ended).toBe(true), waiting);
    await vi.waitFor(
      () => expect(sync.status()).toMatchObject({ connected: true, url: staying.url }),
      waiting,
    );
    const before = source.revision;
    source.key('key_1');
    next.transfer(before);
    await runs(sync, source.revision);
    expect(leaving.streams).toHaveLength(1);
  });

  test('to leave for a host that does not answer stays until it is sent away, and comes back', async () => {
    const plane = await control();
    const sync = await node([plane.url]);
    await vi.waitFor(() => expect(sync.status().connected).toBe(true), waiting);
    plane.streams[0]?.send({
      case: 'drain',
      value: { reconnectWithinMs: 100, hosts: ['127.0.0.1:9', 'not a host'] },
    });
    await last(plane, 2);
    await vi.waitFor(() => expect(plane.streams[0]?.ended).toBe(true), waiting);
    await vi.waitFor(() => expect(sync.status()).toMatchObject({ connected: true, url: plane.url }), waiting);
  });
});

describe('a node is not led back', () => {
  test('by a control plane that offers an older revision of the same history', async () => {
    source.key('key_1');
    const plane = await control();
    const sync = await node([plane.url]);
    await sync.ready();
    const newest = source.revision;
    source.revision -= 1n;
    const stream = await last(plane);
    stream.transfer();
    await vi.waitFor(() => expect(messages(stream, 'nack')).toHaveLength(1), waiting);
    expect(messages(stream, 'nack')[0]?.errors[0]?.code).toBe('rollback');
    expect(sync.status().revision).toBe(newest);
  });

  test('but follows a new history, sent whole, to a lower revision', async () => {
    for (let index = 0; index < 5; index++) source.key(`key_${index}`);
    const plane = await control();
    const sync = await node([plane.url]);
    await sync.ready();
    source.historyId = 'history_restored';
    source.revision = 2n;
    (await last(plane)).transfer();
    await runs(sync, 2n);
    expect(sync.current()?.keys.size).toBe(5);
  });

  test('by a control plane with another signing key, not even after a restart', async () => {
    const key = source.key('key_1');
    const plane = await control();
    const first = await node([plane.url]);
    await first.ready();
    await stop(first);
    await stop(plane);
    const impostor = new ConfigurationSource();
    impostor.historyId = source.historyId;
    impostor.revision = 1000n;
    impostor.key('key_2');
    const other = await control({ source: impostor, port: plane.port });
    const sync = await node([other.url]);
    await last(other, 2);
    expect(sync.status()).toMatchObject({ connected: false, revision: source.revision });
    expect(sync.current()?.keys.find(key)?.keyId).toBe('key_1');
  });
});

test('a stream that breaks the rules is given up and opened again', async () => {
  let count = 0;
  const plane = await control({
    onStream(stream) {
      count += 1;
      if (count === 1) stream.end();
      else if (count === 2) stream.send({ case: undefined });
      else stream.transfer();
      if (count === 2) stream.end();
    },
  });
  const sync = await node([plane.url]);
  await sync.ready();
  expect(plane.streams.length).toBeGreaterThanOrEqual(3);
});
