// The database comes back from a backup older than what the journals have deleted: what was lost with it is lost, but
// nothing waits for it, nothing is counted twice, and the journals go on emptying.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Db, migrateToLatest, openDatabase } from '#control-plane/store/database.ts';
import { watermarks } from '#control-plane/store/ledger.ts';
import { usageTotals } from '#control-plane/store/ledger-query.ts';
import { startIngestion } from '#control-plane/usage/ingest.ts';
import { type Journal, openJournal } from '#data-plane/meter/journal.ts';
import { startPublisher } from '#data-plane/meter/publisher.ts';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';

const log = createLogger('silent');
const patience = { timeout: 20_000, interval: 20 };
const directory = mkdtempSync(join(tmpdir(), 'signalbox-restored-'));
let postgres: TestPostgres;
let db: Db;

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(await postgres.createDatabase(), () => undefined);
  await migrateToLatest(db);
});
afterAll(async () => {
  await db.destroy();
  await postgres.removeAll();
  rmSync(directory, { recursive: true });
});

function openHere(): Promise<Journal> {
  const options = { nodeId: 'node_a', region: 'eu', clock: systemClock, log, metrics: new Metrics() };
  return openJournal({ directory, segmentBytesMax: 10_000, ...options });
}

function settle(journal: Journal, count: number): void {
  for (let index = 0; index < count; index += 1) {
    journal.ledger.open(madeIntent()).settle(madeSettlement());
  }
}

/** Waits, as heartbeats do, until the ledger's marks have passed everything in the journal. */
async function emptied(journal: Journal): Promise<void> {
  await vi.waitFor(async () => {
    for (const [epoch, sequence] of await watermarks(db, 'node_a', journal.epochs()))
      journal.onWatermark(epoch, sequence);
    expect(journal.bytes()).toBe(0);
  }, patience);
}

/** Returns what brings the ledger back to how it is now. */
async function backUp(): Promise<() => Promise<void>> {
  const attempts = await db.selectFrom('attempts').select('attempt_id').execute();
  const kept = attempts.map(({ attempt_id: id }) => id);
  const sums = await db.selectFrom('usage_daily').selectAll().execute();
  const marks = await db.selectFrom('usage_watermarks').selectAll().execute();
  return () =>
    db.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('attempts').where('attempt_id', 'not in', kept).execute();
      await transaction.deleteFrom('usage_daily').execute();
      await transaction.insertInto('usage_daily').values(sums).execute();
      await transaction.deleteFrom('usage_watermarks').execute();
      await transaction.insertInto('usage_watermarks').values(marks).execute();
      await transaction.deleteFrom('usage_spans').execute();
    });
}

async function rowCount(): Promise<number> {
  return (await db.selectFrom('attempts').select('attempt_id').execute()).length;
}

test('after a restored backup every journal empties again, and what comes is counted once', async () => {
  const bus = createInProcessBus({ log });
  const ingestion = await startIngestion({ db, bus, log, metrics: new Metrics() });
  const publish = (journal: Journal) =>
    startPublisher({
      journal,
      bus,
      clock: systemClock,
      log,
      metrics: new Metrics(),
      timing: { lingerMs: 2, lookMs: 10, resend: { msMin: 100, msMax: 200 } },
    });
  let journal = await openHere();
  let publisher = publish(journal);
  const [epoch] = journal.epochs();
  settle(journal, 30);
  await emptied(journal);
  const restore = await backUp();
  settle(journal, 100);
  await emptied(journal);
  expect(await rowCount()).toBe(130);

  await restore();
  expect((await watermarks(db, 'node_a', [epoch!])).get(epoch!)).toBe(30n);
  settle(journal, 20);
  await emptied(journal);
  expect((await watermarks(db, 'node_a', [epoch!])).get(epoch!)).toBe(150n);
  expect(await rowCount()).toBe(50);

  // Once more, and now the node is started anew before it can say anything.
  settle(journal, 40);
  await emptied(journal);
  await publisher.close();
  settle(journal, 10);
  await journal.close();
  await restore();
  journal = await openHere();
  publisher = publish(journal);
  settle(journal, 5);
  await emptied(journal);

  const kept = await rowCount();
  // The backup's 30, and the 15 since; of what was confirmed, at most what the last file still held comes again.
  expect(kept).toBeGreaterThanOrEqual(45);
  expect(kept).toBeLessThan(85);
  expect(await usageTotals(db, {})).toMatchObject({
    attempts: BigInt(kept),
    completed: BigInt(kept),
    input_tokens: BigInt(kept) * 10n,
  });
  expect(await db.selectFrom('usage_spans').selectAll().execute()).toEqual([]);

  await publisher.close();
  await ingestion.close();
  await bus.close();
  await journal.close();
});
