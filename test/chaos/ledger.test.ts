// From the journal through NATS into Postgres, with each of them stopped on the way: what was settled is in the ledger
// exactly once, and the journal knows it.
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
import type { Bus } from '#shared/bus/bus.ts';
import { openJetStreamBus } from '#shared/bus/jetstream.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';

const log = createLogger('silent');
const patience = { timeout: 60_000, interval: 50 };
const directory = mkdtempSync(join(tmpdir(), 'signalbox-ledger-'));
let nats: NatsServer;
let postgres: TestPostgres;
let db: Db;

beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  db = openDatabase(await postgres.createDatabase(), () => undefined);
  await migrateToLatest(db);
});
afterAll(async () => {
  await db.destroy();
  await postgres.removeAll();
  await nats[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function openBus(): Bus {
  return openJetStreamBus({ url: nats.url, clientName: 'test', log });
}

/** What heartbeats do: asks for the marks of all epochs of the journal. */
async function tellMarks(journal: Journal): Promise<void> {
  for (const [epoch, sequence] of await watermarks(db, 'node_a', journal.epochs()))
    journal.onWatermark(epoch, sequence);
}

test('usage survives NATS being killed and Postgres being stopped in the middle of traffic', async () => {
  const options = { nodeId: 'node_a', region: 'eu', clock: systemClock, log, metrics: new Metrics() };
  const journal = await openJournal({ directory, segmentBytesMax: 100_000, ...options });
  const buses = [openBus(), openBus(), openBus()] as const;
  const timing = { resend: { msMin: 1_000, msMax: 5_000 }, returnGraceMs: 500 };
  const publisher = startPublisher({
    journal,
    bus: buses[0],
    clock: systemClock,
    log,
    metrics: new Metrics(),
    timing,
  });
  const ingestions = await Promise.all(
    [buses[1], buses[2]].map((bus) => startIngestion({ db, bus, log, metrics: new Metrics() })),
  );
  let settled = 0;
  const traffic = setInterval(() => {
    for (let count = 0; count < 20; count += 1) journal.ledger.open(madeIntent()).settle(madeSettlement());
    settled += 20;
  }, 5);
  const moved = async (beyond: bigint) =>
    expect((await usageTotals(db, {})).attempts).toBeGreaterThan(beyond);

  await vi.waitFor(() => moved(0n), patience);
  await nats.kill('SIGKILL');
  const duringOutage = settled;
  await vi.waitFor(() => expect(settled).toBeGreaterThan(duringOutage + 200), patience);
  await nats.start();
  const afterNats = (await usageTotals(db, {})).attempts;
  await vi.waitFor(() => moved(afterNats), patience);
  await postgres.stop();
  const withoutPostgres = settled;
  await vi.waitFor(() => expect(settled).toBeGreaterThan(withoutPostgres + 200), patience);
  await postgres.start();
  clearInterval(traffic);

  await vi.waitFor(async () => {
    await tellMarks(journal);
    expect(journal.bytes()).toBe(0);
  }, patience);
  const totals = await usageTotals(db, {});
  expect(totals).toMatchObject({
    attempts: BigInt(settled),
    completed: BigInt(settled),
    input_tokens: BigInt(settled) * 10n,
    output_tokens: BigInt(settled) * 20n,
    unpriced_attempts: BigInt(settled),
  });
  const rows = await db
    .selectFrom('attempts')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .executeTakeFirst();
  expect(rows?.count).toBe(totals.attempts);

  await publisher.close();
  await Promise.all(ingestions.map((ingestion) => ingestion.close()));
  await Promise.all(buses.map((bus) => bus.close()));
  await journal.close();
});
