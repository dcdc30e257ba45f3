import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { BeginSchema, ChunkSchema, CommitSchema } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { systemClock as clock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { ConfigurationSource } from '#test/harness/configuration-source.ts';
import { applyTransfer, type Configuration } from './configuration.ts';
import { DiskCache } from './disk-cache.ts';
import { NodeIdentity } from './identity.ts';
import { Receiver, type Transfer } from './receiver.ts';

const log = createLogger('silent');
let dataDirectory: string;
let identity: NodeIdentity;
let source: ConfigurationSource;

beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'signalbox-cache-'));
  identity = await NodeIdentity.open({ dataDirectory, nodeId: undefined, clock, log });
  source = new ConfigurationSource();
  for (let index = 0; index < 1000; index++) source.key(`key_${index}`);
});
afterEach(() => rm(dataDirectory, { recursive: true, force: true }));

const cache = () => new DiskCache({ identity, clock, log });
const current = () => join(identity.directory, 'configuration.current');
const previous = () => join(identity.directory, 'configuration.previous');

async function toConfiguration(transfer: Transfer): Promise<Configuration> {
  const result = await applyTransfer({
    transfer,
    running: undefined,
    sealingKey: identity.keys.sealing,
    signingKey: source.signingKey,
    providerFor: () => undefined,
    clock,
  });
  if (result.type !== 'applied') throw new Error(JSON.stringify(result.reasons));
  return result.configuration;
}

/** The source's state as a node holds it that received it in full. */
async function received(): Promise<Configuration> {
  const receiver = new Receiver(
    () => ({ historyId: '', revision: 0n }),
    () => 0n,
  );
  for (const message of source.transfer({ nonce: 1n, sealingKey: identity.sealingPublicKey })) {
    if (message.case === 'begin') receiver.begin(create(BeginSchema, message.value));
    else if (message.case === 'chunk') receiver.chunk(create(ChunkSchema, message.value));
    else {
      const got = receiver.commit(create(CommitSchema, message.value));
      if (got.type === 'transfer') return await toConfiguration(got.transfer);
    }
  }
  throw new Error('no transfer came out');
}

async function storeNext(id: string): Promise<Configuration> {
  source.key(id);
  const configuration = await received();
  await cache().store(configuration);
  return configuration;
}

async function loaded(): Promise<{ generation: string; revision: bigint }[]> {
  const found: { generation: string; revision: bigint }[] = [];
  for await (const { generation, transfer } of cache().load()) {
    found.push({ generation, revision: (await toConfiguration(transfer)).revision });
  }
  return found;
}

test('what was stored is loaded again, signature and all', async () => {
  const stored = await storeNext('key_a');
  for await (const { transfer } of cache().load()) {
    const configuration = await toConfiguration(transfer);
    expect(configuration.digest).toEqual(stored.digest);
    expect(configuration.historyId).toBe(stored.historyId);
    expect(configuration.compilation.snapshot.keys.size).toBe(1001);
    return;
  }
  expect.unreachable('nothing was loaded');
});

test('two generations are kept, the newer first', async () => {
  await storeNext('key_a');
  await storeNext('key_b');
  await storeNext('key_c');
  expect(await loaded()).toEqual([
    { generation: 'current', revision: 1004n },
    { generation: 'previous', revision: 1003n },
  ]);
  expect((await readdir(identity.directory)).filter((file) => file.startsWith('configuration'))).toHaveLength(
    2,
  );
});

test('nothing in the file can be read without the disk key', async () => {
  source.alias('a-name-to-look-for', 'another-one');
  await storeNext('key_a');
  expect((await readFile(current())).includes('a-name-to-look-for')).toBe(false);
  identity.keys.disk.fill(0);
  expect(await loaded()).toEqual([]);
});

const mutilations: readonly { readonly what: string; readonly of: (file: Buffer) => Buffer }[] = [
  { what: 'emptied', of: () => Buffer.alloc(0) },
  { what: 'overwritten with zeros', of: (file) => Buffer.alloc(file.length) },
  { what: 'cut in the middle', of: (file) => file.subarray(0, file.length / 2) },
  { what: 'cut by a byte', of: (file) => file.subarray(0, -1) },
  { what: 'cut after its first frame', of: (file) => file.subarray(0, 25 + file.readUInt32BE(21)) },
  { what: 'continued', of: (file) => Buffer.concat([file, Buffer.from('more')]) },
  { what: 'repeated', of: (file) => Buffer.concat([file, file.subarray(21)]) },
  {
    what: 'given another file id',
    of: (file) => Buffer.concat([file.subarray(0, 5), Buffer.alloc(16), file.subarray(21)]),
  },
];

test.each(mutilations)('a current file $what gives way to the previous one', async ({ of }) => {
  await storeNext('key_a');
  await storeNext('key_b');
  await writeFile(current(), of(await readFile(current())));
  expect(await loaded()).toEqual([{ generation: 'previous', revision: 1002n }]);
});

test('one flipped bit anywhere is noticed', async () => {
  await storeNext('key_a');
  const file = await readFile(current());
  for (let position = 0; position < file.length; position += Math.ceil(file.length / 50)) {
    const flipped = Buffer.from(file);
    flipped[position]! ^= 1 << (position % 8);
    await writeFile(current(), flipped);
    expect(await loaded(), `byte ${position}`).toEqual([]);
  }
});

test('both damaged is the same as none, and the next store works', async () => {
  await storeNext('key_a');
  await storeNext('key_b');
  await writeFile(current(), 'gone');
  await writeFile(previous(), 'gone');
  expect(await loaded()).toEqual([]);
  await storeNext('key_c');
  expect(await loaded()).toEqual([{ generation: 'current', revision: 1004n }]);
});

test('a damaged current file is not what the next store keeps as the previous one', async () => {
  await storeNext('key_a');
  await storeNext('key_b');
  await writeFile(current(), 'gone');
  await loaded();
  await storeNext('key_c');
  expect(await loaded()).toEqual([
    { generation: 'current', revision: 1004n },
    { generation: 'previous', revision: 1002n },
  ]);
});

test('an old copy put in place of the current file is refused', async () => {
  await storeNext('key_a');
  const old = await readFile(current());
  await storeNext('key_b');
  source.remove(ResourceType.API_KEY, 'key_a');
  await storeNext('key_c');
  await writeFile(current(), old);
  await writeFile(previous(), old);
  expect(await loaded()).toEqual([]);
});

test('a crash between the two renames leaves the previous file to start from', async () => {
  await storeNext('key_a');
  await rename(current(), previous());
  expect(await loaded()).toEqual([{ generation: 'previous', revision: 1002n }]);
});

test('another history may begin again at a low revision', async () => {
  await storeNext('key_a');
  source = new ConfigurationSource();
  await storeNext('key_b');
  const { value } = await cache().load().next();
  expect(value).toMatchObject({
    generation: 'current',
    transfer: { historyId: source.historyId, toRevision: 2n },
  });
});
