import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ResourceBatchSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { Encoding } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { ConfigurationDigest } from '#shared/configuration-digest.ts';
import { limits } from '#shared/limits.ts';
import type { ResourceRow } from '../store/resources.ts';
import { Catalogue } from './catalogue.ts';
import type { Transfer } from './transfer.ts';

const historyId = 'history-1';
type Held = Map<string, bigint>;

function newCatalogue(): Catalogue {
  return new Catalogue(({ revision }) => Buffer.from(`signed ${revision}`));
}

function row(
  name: string,
  version: bigint,
  payload: Buffer | null = Buffer.from(`${name}@${version}`),
): ResourceRow {
  return { type: 5, name, version, payload };
}

/** What a node holds after a transfer. */
function applied(transfer: Transfer, before: Held): Held {
  const held: Held = transfer.full ? new Map() : new Map(before);
  const hash = createHash('sha256');
  let bytes = 0;
  for (const { data, encoding } of transfer.chunks) {
    expect(data.length).toBeLessThanOrEqual(limits.syncChunkBytesMax);
    hash.update(data);
    bytes += data.length;
    const batch = fromBinary(ResourceBatchSchema, encoding === Encoding.GZIP ? gunzipSync(data) : data);
    for (const { name, version } of batch.upserts) held.set(name, version);
    for (const { name } of batch.removals) held.delete(name);
  }
  expect(bytes).toBe(transfer.totalBytes);
  expect(hash.digest()).toEqual(transfer.sha256);
  expect(digestOf(held)).toEqual(transfer.digest);
  return held;
}

function digestOf(held: Held): Buffer {
  const digest = ConfigurationDigest.empty();
  for (const [name, version] of held) digest.add(5, name, version);
  return digest.bytes();
}

function many(count: number, version: bigint): ResourceRow[] {
  return Array.from({ length: count }, (_, index) => row(`key-${index}`, version, Buffer.alloc(120, index)));
}

describe('transfers', () => {
  test('whatever a node last had, the transfer from there gives it exactly the head', async () => {
    const change = fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), removed: fc.boolean() });
    // Several changes may arrive at once, when a replica learns of several revisions together.
    const arrivals = fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(arrivals, fc.nat(), async (batches, pick) => {
        const catalogue = newCatalogue();
        const states: { revision: bigint; held: Held }[] = [];
        let held: Held = new Map();
        let revision = 0n;
        for (const batch of batches) {
          const changed = new Map<string, ResourceRow>();
          held = new Map(held);
          for (const { name, removed } of batch) {
            revision++;
            changed.set(name, row(name, revision, removed ? null : Buffer.from(name)));
            if (removed) held.delete(name);
            else held.set(name, revision);
          }
          await catalogue.apply({ revision, historyId }, [...changed.values()]);
          states.push({ revision, held });
          if (states.length === 1 + (pick % 3)) await catalogue.full(); // packs the base the later ones build on
        }
        for (const state of states)
          expect(applied(await catalogue.delta(state.revision), state.held)).toEqual(held);
        expect(applied(await catalogue.delta(0n), new Map())).toEqual(held);
        expect(applied(await catalogue.full(), new Map([['ghost', 1n]]))).toEqual(held);
        expect(catalogue.head?.digest).toEqual(digestOf(held));
      }),
      { numRuns: 100 },
    );
  });

  test('are packed once and shared by all nodes that need them', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 1n, historyId }, [row('a', 1n)]);
    await catalogue.apply({ revision: 2n, historyId }, [row('b', 2n)]);
    expect(await catalogue.delta(1n)).toBe(await catalogue.delta(1n));
    expect(await catalogue.full()).toBe(await catalogue.full());
    expect((await catalogue.delta(1n)).signature).toEqual(Buffer.from('signed 2'));
  });

  test('to a node from before the ring of recent revisions still carry every removal', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 1n, historyId }, [row('a', 1n), row('b', 1n)]);
    await catalogue.apply({ revision: 2n, historyId }, [row('a', 2n, null)]);
    const rounds = BigInt(limits.syncRingRevisions + 10);
    for (let revision = 3n; revision < 3n + rounds; revision++) {
      await catalogue.apply({ revision, historyId }, [row('c', revision)]);
    }
    expect(catalogue.digestAt(1n)).toBeUndefined();
    const held = applied(
      await catalogue.delta(1n),
      new Map([
        ['a', 1n],
        ['b', 1n],
      ]),
    );
    expect([...held.keys()].toSorted()).toEqual(['b', 'c']);
  });

  test('reuse the packed snapshot and add what changed since', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 1n, historyId }, many(20_000, 1n));
    const before = await catalogue.full();
    await catalogue.apply({ revision: 2n, historyId }, [row('key-7', 2n, null), row('new', 2n)]);
    const after = await catalogue.full();
    expect(after.chunks.slice(0, -1)).toEqual(before.chunks);
    const held = applied(after, new Map());
    expect(held.size).toBe(20_000);
    expect(held.has('key-7')).toBe(false);
  });

  test('pack the snapshot anew when most of it has changed', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 1n, historyId }, many(20_000, 1n));
    const before = await catalogue.full();
    await catalogue.apply({ revision: 2n, historyId }, many(20_000, 2n));
    const after = await catalogue.full();
    expect(after.totalBytes).toBeLessThan(before.totalBytes * 1.5);
    expect(applied(after, new Map()).size).toBe(20_000);
  });
});

describe('history', () => {
  test('a restored database replaces everything', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 5n, historyId }, [row('a', 5n)]);
    const restored = { revision: 2n, historyId: 'history-2' };
    expect(catalogue.continues(restored)).toBe(false);
    await catalogue.apply(restored, [row('b', 2n)]);
    expect([...applied(await catalogue.full(), new Map()).keys()]).toEqual(['b']);
    expect(catalogue.digestAt(5n)).toBeUndefined();
  });

  test('the state before stays whole until the state after is', async () => {
    const catalogue = newCatalogue();
    await catalogue.apply({ revision: 1n, historyId }, [row('a', 1n)]);
    const applying = catalogue.apply({ revision: 2n, historyId }, many(20_000, 2n));
    const during = await catalogue.full();
    expect(during.to).toBe(1n);
    expect(applied(during, new Map()).size).toBe(1);
    await applying;
    expect(catalogue.head?.revision).toBe(2n);
  });
});

describe('100,000 keys', () => {
  test('are taken in and packed in slices, between which the event loop turns', async () => {
    const rows = many(100_000, 1n);
    const catalogue = newCatalogue();
    const turnsToApply = await turnsDuring(catalogue.apply({ revision: 1n, historyId }, rows));
    const turnsToPack = await turnsDuring(catalogue.full());
    // In one piece each would take one turn. Slices of 4 ms make it dozens even on a machine ten times as fast.
    expect(turnsToApply).toBeGreaterThan(4);
    expect(turnsToPack).toBeGreaterThan(4);
    expect(applied(await catalogue.full(), new Map()).size).toBe(100_000);
  });
});

async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const count = () => {
    turns++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  await work;
  done = true;
  return turns;
}
