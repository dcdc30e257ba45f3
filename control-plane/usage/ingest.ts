// From the bus into the ledger, exactly once although everything before it only promises "at least once". A delivery is
// confirmed to the bus after its transaction; if it comes again, the same rows are found and nothing is counted twice.
// Every replica runs this and they share the work.
import { type Bus, type Consumer, type IncomingMessage, usageSubject } from '#shared/bus/bus.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import { contains, missingUpTo, withConfirmed, withSpan } from '../domain/journal-position.ts';
import type { Db } from '../store/database.ts';
import {
  type AttemptRow,
  inLedgerTransaction,
  type JournalId,
  type LedgerTransaction,
} from '../store/ledger.ts';
import { dayOf, dropBefore, ensurePartitions } from '../store/ledger-partitions.ts';
import { type ReadBatch, type Reading, readMessages } from './batch.ts';

export interface IngestionOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** How long single attempts are kept; daily sums stay. */
  readonly retentionDays?: number;
}

export interface Ingestion {
  close(): Promise<void>;
}

const GROUP = 'ledger';
const UPKEEP_MS = 60 * 60 * 1000;
/** Soon enough to be done before the first usage of a new day if the database was away at the start. */
const UPKEEP_RETRY_MS = 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;

class LedgerIngestion implements Ingestion {
  readonly #db: Db;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #retentionDays: number;
  readonly #knownDays = new Set<string>();
  #consumer: Consumer | undefined;
  #upkeepTimer: NodeJS.Timeout | undefined;
  #upkeepRunning: Promise<void> = Promise.resolve();
  #closed = false;

  constructor({
    db,
    log,
    metrics,
    clock = systemClock,
    retentionDays = limits.ledgerRetentionDays,
  }: IngestionOptions) {
    this.#db = db;
    this.#log = log;
    this.#metrics = metrics;
    this.#clock = clock;
    this.#retentionDays = retentionDays;
  }

  async start(bus: Bus): Promise<void> {
    this.#metrics.gauge('signalbox_bus_connected', (gauge) => gauge.set(bus.state === 'connected' ? 1 : 0));
    this.#startUpkeep();
    this.#consumer = await bus.consume({
      subject: usageSubject,
      group: GROUP,
      batchMax: limits.ledgerBatchesPerTransactionMax,
      handle: (messages) => this.#handle(messages),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#upkeepTimer);
    await this.#consumer?.stop();
    await this.#upkeepRunning;
  }

  async #handle(messages: readonly IncomingMessage[]): Promise<void> {
    const reading = readMessages(messages);
    try {
      await this.#ensureDays(reading);
      const { parked, offered, inserted, forgotten } = await inLedgerTransaction(this.#db, (ledger) =>
        commit(ledger, reading),
      );
      this.#metrics.counter('signalbox_ledger_attempts_total').inc(inserted);
      this.#metrics.counter('signalbox_ledger_duplicates_total').inc(offered - inserted);
      if (parked > 0) this.#reportPoison(parked, reading);
      if (forgotten.length > 0) this.#reportForgotten(forgotten);
    } catch (error) {
      this.#metrics.counter('signalbox_ledger_failures_total').inc();
      // A partition may have been dropped by another replica since this one saw it.
      this.#knownDays.clear();
      throw error;
    }
  }

  #reportPoison(parked: number, { poison }: Reading): void {
    this.#metrics.counter('signalbox_ledger_poison_total').inc(parked);
    const reasons = poison.slice(0, 5).map(({ messageId, error }) => ({ messageId, error }));
    this.#log.error({ parked, reasons }, 'usage that cannot be read was parked in usage_poison');
  }

  #reportForgotten(forgotten: readonly Forgotten[]): void {
    const attempts = forgotten.reduce((sum, { missing }) => sum + missing, 0);
    this.#log.error(
      { attempts, journals: forgotten.slice(0, 5) },
      'attempts that the ledger had confirmed are no longer in it, as after restoring the database from an older backup',
    );
  }

  async #ensureDays({ batches }: Reading): Promise<void> {
    const days = new Set<string>();
    for (const { records } of batches) {
      for (const { row } of records) if (!this.#knownDays.has(row.day)) days.add(row.day);
    }
    if (days.size > 0) await this.#makePartitions([...days]);
  }

  async #makePartitions(days: readonly string[]): Promise<void> {
    await ensurePartitions(this.#db, days);
    for (const day of days) this.#knownDays.add(day);
  }

  #startUpkeep(): void {
    this.#upkeepRunning = this.#upkeep().then((done) => {
      if (this.#closed) return;
      this.#upkeepTimer = setTimeout(() => this.#startUpkeep(), done ? UPKEEP_MS : UPKEEP_RETRY_MS).unref();
    });
  }

  async #upkeep(): Promise<boolean> {
    const nowMs = this.#clock.wallMs();
    try {
      await this.#makePartitions([0, 1, 2].map((ahead) => dayOf(nowMs + ahead * DAY_MS)));
      const dropped = await dropBefore(this.#db, dayOf(nowMs - this.#retentionDays * DAY_MS));
      for (const day of dropped) this.#knownDays.delete(day);
      if (dropped.length > 0)
        this.#log.info({ days: dropped }, 'attempts beyond their retention were deleted');
      return true;
    } catch (error) {
      this.#log.warn({ err: error }, 'the upkeep of the ledger failed, trying again');
      return false;
    }
  }
}

/** What a journal had confirmed to it, has deleted since, and the ledger does not have. */
interface Forgotten extends JournalId {
  readonly missing: number;
}

interface Committed {
  readonly parked: number;
  readonly offered: number;
  readonly inserted: number;
  readonly forgotten: readonly Forgotten[];
}

async function commit(ledger: LedgerTransaction, { batches, poison }: Reading): Promise<Committed> {
  const parked = await ledger.park(poison);
  const journals = distinctJournals(batches);
  const positions = await ledger.lockPositions(journals);
  const rows: AttemptRow[] = [];
  const forgotten: Forgotten[] = [];
  let offered = 0;
  for (const [index, journal] of journals.entries()) {
    let position = positions[index]!;
    let confirmed = 0n;
    for (const batch of batches) {
      if (batch.journal.nodeId !== journal.nodeId || batch.journal.epoch !== journal.epoch) continue;
      offered += batch.records.length;
      // What the position covers has been inserted before; its partition may be gone by now.
      for (const { sequence, row } of batch.records) if (!contains(position, sequence)) rows.push(row);
      position = withSpan(position, batch.span);
      if (batch.confirmed > confirmed) confirmed = batch.confirmed;
    }
    // Only now: what these batches still bring from below the confirmed mark has been taken in before it is passed.
    const missing = missingUpTo(position, confirmed);
    if (missing > 0n) forgotten.push({ ...journal, missing: Number(missing) });
    await ledger.savePosition(journal, withConfirmed(position, confirmed));
  }
  return { parked, offered, inserted: await ledger.insert(rows), forgotten };
}

function distinctJournals(batches: readonly ReadBatch[]): JournalId[] {
  const journals = new Map(batches.map(({ journal }) => [`${journal.nodeId}/${journal.epoch}`, journal]));
  return [...journals.values()];
}

/** Starts taking usage in. Returns before the bus or the database can be reached; both are waited for in the background. */
export async function startIngestion(options: IngestionOptions): Promise<Ingestion> {
  const ingestion = new LedgerIngestion(options);
  await ingestion.start(options.bus);
  return ingestion;
}
