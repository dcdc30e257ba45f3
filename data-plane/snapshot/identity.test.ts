import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { NodeIdentity } from './identity.ts';

const log = createLogger('silent');
let dataDirectory: string;

beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'signalbox-identity-'));
});
afterEach(() => rm(dataDirectory, { recursive: true, force: true }));

const open = (nodeId?: string, clock: Clock = systemClock) =>
  NodeIdentity.open({ dataDirectory, nodeId, clock, log });
const damage = (file: string, text: string) => writeFile(join(dataDirectory, 'node', file), text);

describe('the identity of a node', () => {
  test('is made at the first start and is the same at the next', async () => {
    const first = await open();
    await first.pinSigningKey(Buffer.alloc(32, 7));
    const second = await open();
    expect(first.nodeId).toMatch(/^node_/);
    expect(second.nodeId).toBe(first.nodeId);
    expect(second.sealingPublicKey).toEqual(first.sealingPublicKey);
    expect(second.keys.disk).toEqual(first.keys.disk);
    expect(second.signingKey).toEqual(Buffer.alloc(32, 7));
  });

  test('is for nobody else to read', async () => {
    const identity = await open();
    await identity.pinSigningKey(Buffer.alloc(32, 7));
    await identity.highWater.stored({ fileId: 'a', historyId: 'h', revision: 1n }, '');
    expect((await stat(identity.directory)).mode & 0o777).toBe(0o700);
    for (const file of await readdir(identity.directory)) {
      expect((await stat(join(identity.directory, file))).mode & 0o777, file).toBe(0o600);
    }
  });

  test('has a larger boot epoch at every start, even when the clock was set back or the record is lost', async () => {
    const at = (wallMs: number): Clock => ({ ...systemClock, wallMs: () => wallMs });
    const epochs = [
      await open(undefined, at(1000)),
      await open(undefined, at(10)),
      await open(undefined, at(10)),
    ];
    await damage('boot-epoch', 'what?');
    epochs.push(await open(undefined, at(5000)));
    const numbers = epochs.map((identity) => identity.bootEpoch);
    expect(numbers).toEqual(numbers.toSorted((one, other) => (one < other ? -1 : 1)));
    expect(new Set(numbers).size).toBe(4);
  });

  test('with a given name keeps its keys', async () => {
    const first = await open();
    const second = await open('node-in-berlin');
    expect(second.nodeId).toBe('node-in-berlin');
    expect(second.keys.disk).toEqual(first.keys.disk);
    expect((await open()).nodeId).toBe('node-in-berlin');
  });

  test('with damaged keys gets new ones and sets the damaged file aside', async () => {
    const first = await open();
    await damage('keys.json', '{"sealing":"AAAA"}');
    const second = await open();
    expect(second.nodeId).toBe(first.nodeId);
    expect(second.sealingPublicKey).not.toEqual(first.sealingPublicKey);
    expect(await readFile(join(first.directory, 'keys.json.damaged'), 'utf8')).toBe('{"sealing":"AAAA"}');
  });

  test('with a damaged name says which file and what to do, because the ledger counts under the name', async () => {
    await open();
    await damage('node-id', '\u0000\u0000');
    await expect(open()).rejects.toThrow(/node-id does not hold a node id.*Restore it/);
    expect((await open('node-again')).nodeId).toBe('node-again');
  });

  test('refuses a name that cannot be one', async () => {
    await expect(open('a name')).rejects.toThrow('The node id "a name" is not valid');
  });

  test.each(['certificate.json', 'signing-key', 'high-water.json', 'boot-epoch'])(
    'survives a damaged %s',
    async (file) => {
      await open();
      await damage(file, 'not what it was');
      const identity = await open();
      expect(identity.certificate).toBeUndefined();
      expect(identity.signingKey).toBeUndefined();
    },
  );
});

describe('the high-water mark', () => {
  test('accepts what is newest, the file before it, and no older one', async () => {
    const { highWater } = await open();
    const stored = (fileId: string, revision: bigint, previous: string) =>
      highWater.stored({ fileId, historyId: 'h', revision }, previous);
    await stored('a', 1n, '');
    await stored('b', 5n, 'a');
    await stored('c', 9n, 'b');
    const reopened = (await open()).highWater;
    const accepts = (fileId: string, revision: bigint) =>
      reopened.accepts({ fileId, historyId: 'h', revision });
    expect(accepts('c', 9n)).toBe(true);
    expect(accepts('b', 5n)).toBe(true);
    expect(accepts('a', 1n)).toBe(false);
    expect(accepts('forged', 5n)).toBe(false);
    expect(reopened.of('h')).toBe(9n);
  });

  test('does not learn to accept an older file by finding it beside the newest', async () => {
    const { highWater } = await open();
    await highWater.stored({ fileId: 'a', historyId: 'h', revision: 5n }, '');
    await highWater.stored({ fileId: 'b', historyId: 'h', revision: 6n }, 'planted');
    expect(highWater.accepts({ fileId: 'planted', historyId: 'h', revision: 1n })).toBe(false);
  });

  test('accepts a file written just before a crash, which nobody could record any more', async () => {
    const { highWater } = await open();
    await highWater.stored({ fileId: 'a', historyId: 'h', revision: 5n }, '');
    expect(highWater.accepts({ fileId: 'unrecorded', historyId: 'h', revision: 6n })).toBe(true);
  });

  test('counts each history by itself', async () => {
    const { highWater } = await open();
    await highWater.stored({ fileId: 'a', historyId: 'before', revision: 100n }, '');
    await highWater.stored({ fileId: 'b', historyId: 'after', revision: 3n }, 'a');
    expect([highWater.of('before'), highWater.of('after'), highWater.of('never')]).toEqual([100n, 3n, 0n]);
  });
});
