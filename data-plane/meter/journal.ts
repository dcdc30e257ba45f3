// The journal: every attempt is in a local file before it exists elsewhere. An intent has reached the kernel when `open`
// returns and a settlement when `settle` returns, so a process killed at any moment loses nothing; one write call per
// record is all that takes. The disk is made to confirm in the background, a few times per second for all records
// together: a power cut may cost that interval (limits.journalSyncMs), and no request waits for it.
import { mkdir } from 'node:fs/promises';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { uuidV7 } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { EpochLog, Sender } from './epoch-log.ts';
import type { AttemptLedger, Intent, OpenAttempt, Settlement } from './ledger.ts';
import { LiveLog, type LiveSegment, type OpenIntent } from './live-log.ts';
import { type FolderLock, lockFolder } from './lock.ts';
import { interrupted, payloadOf } from './record.ts';
import { type Recovery, recoverEpochs } from './recovery.ts';
import { deleteFiles } from './segment.ts';

export interface JournalOptions {
  /** Made when missing. Not shared with another process. */
  readonly directory: string;
  readonly nodeId: string;
  readonly region: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly bytesMax?: number;
  readonly segmentBytesMax?: number;
}

export interface Journal {
  readonly ledger: AttemptLedger;
  /** What the ledger has not confirmed. */
  bytes(): number;
  /** Whether an attempt could be opened now: not full, and the disk takes what it is given. */
  writable(): boolean;
  /** Epochs whose high-water mark this node wants to know. */
  epochs(): readonly string[];
  /** The ledger has everything of this epoch up to and including `sequence`. */
  onWatermark(epoch: string, sequence: bigint): void;
  close(): Promise<void>;

  /** For the publisher: who the batches are from, the logs that hold settlements (oldest first), news of settlements. */
  readonly sender: Sender;
  logs(): readonly EpochLog[];
  onSettled(listener: () => void): void;
}

export async function openJournal(options: JournalOptions): Promise<Journal> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const lock = lockFolder(options.directory);
  try {
    const recovery = await recoverEpochs(options.directory, options.log);
    return new FileJournal(options, recovery, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

class Attempt implements OpenAttempt, OpenIntent {
  readonly #journal: FileJournal;
  readonly intent: Uint8Array;
  segment: LiveSegment;
  #settled = false;

  constructor(journal: FileJournal, segment: LiveSegment, intent: Uint8Array) {
    this.#journal = journal;
    this.intent = intent;
    this.segment = segment;
    segment.open.add(this);
  }

  settle(settlement: Settlement): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#journal.settle(this, settlement);
  }
}

const CANNOT_WRITE = 'The usage journal cannot be written. Is its disk full or read-only?';

class FileJournal implements Journal {
  readonly ledger: AttemptLedger = { open: (intent) => this.#open(intent) };
  readonly sender: Sender;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #bytesMax: number;
  readonly #lock: FolderLock;
  readonly #live: LiveLog;
  readonly #earlier: EpochLog[];
  /** Settlements that the disk refused; written as soon as it takes them again. */
  readonly #refused: { readonly attempt: Attempt; readonly settlement: Settlement }[] = [];
  #onSettled: () => void = () => undefined;
  #uncounted = 0;
  #deleting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: JournalOptions, recovery: Recovery, lock: FolderLock) {
    this.sender = { nodeId: options.nodeId, region: options.region };
    this.#log = options.log;
    this.#metrics = options.metrics;
    this.#bytesMax = options.bytesMax ?? limits.journalBytesMax;
    this.#lock = lock;
    this.#earlier = [...recovery.logs];
    this.#live = new LiveLog({
      directory: options.directory,
      epoch: uuidV7(options.clock.wallMs()),
      segmentBytesMax: options.segmentBytesMax ?? limits.journalSegmentBytesMax,
      log: options.log,
      onSync: () => this.#onSync(),
    });
    this.#adopt(recovery);
    options.metrics.gauge('signalbox_journal_bytes', (gauge) => gauge.set(this.bytes()));
  }

  bytes(): number {
    let sum = 0;
    for (const log of this.logs()) if (!log.confirmed) sum += log.bytes;
    return sum;
  }

  writable(): boolean {
    return this.#refusal() === undefined;
  }

  epochs(): readonly string[] {
    return this.logs().map(({ epoch }) => epoch);
  }

  logs(): readonly EpochLog[] {
    return [...this.#earlier, this.#live];
  }

  onSettled(listener: () => void): void {
    this.#onSettled = listener;
  }

  onWatermark(epoch: string, sequence: bigint): void {
    const log = this.logs().find((candidate) => candidate.epoch === epoch);
    if (log === undefined || sequence <= log.watermark) return;
    log.watermark = Number(sequence);
    if (log === this.#live) this.#collectLive();
    else this.#collectEarlier(log);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#writeRefused();
    this.#closed = true;
    await this.#live.close();
    // Where the ledger has everything and nothing runs, the next start has nothing to learn from these files.
    const idle = this.#live.segments.every(({ open }) => open.size === 0);
    if (this.#live.confirmed && idle && this.#refused.length === 0)
      this.#delete(this.#live, this.#live.segments.length);
    await this.#deleting;
    this.#lock.release();
  }

  settle(attempt: Attempt, settlement: Settlement): void {
    try {
      this.#writeSettlement(attempt, settlement);
    } catch (error) {
      this.#log.error({ err: error }, 'a settlement cannot be written yet; no attempt starts until it is');
      this.#refused.push({ attempt, settlement });
      if (!this.#closed) this.#live.scheduleSync();
    }
  }

  #open(intent: Intent): OpenAttempt {
    if (this.#refused.length > 0) this.#writeRefused();
    const refusal = this.#refusal();
    if (refusal !== undefined)
      throw new SignalboxError('ledger_unavailable', refusal, { retryAfterMs: 5_000 });
    this.#live.makeRoom();
    const frame = this.#live.writer.intent(intent);
    if (frame.length > limits.journalRecordBytesMax) {
      throw new SignalboxError(
        'ledger_unavailable',
        `The attempt takes ${frame.length} bytes in the journal, which is too much.`,
      );
    }
    try {
      this.#live.append(frame);
    } catch (error) {
      throw new SignalboxError('ledger_unavailable', CANNOT_WRITE, { cause: error, retryAfterMs: 5_000 });
    }
    return new Attempt(this, this.#live.current, Buffer.from(payloadOf(frame)));
  }

  #refusal(): string | undefined {
    if (this.#closed) return 'The usage journal is closed.';
    if (this.#refused.length > 0) return CANNOT_WRITE;
    let bytes = this.#live.bytes;
    for (const log of this.#earlier) bytes += log.bytes;
    if (bytes < this.#bytesMax) return undefined;
    return `The usage journal is full (${bytes} of ${this.#bytesMax} bytes). It empties once the ledger takes usage again.`;
  }

  #writeSettlement(attempt: Attempt, settlement: Settlement): void {
    if (this.#closed) throw new SignalboxError('ledger_unavailable', 'The usage journal is closed.');
    const live = this.#live;
    live.makeRoom();
    live.appendSettlement(live.writer.settlement(live.lastSequence + 1, attempt.intent, settlement));
    attempt.segment.open.delete(attempt);
    this.#uncounted += 1;
    this.#onSettled();
  }

  #writeRefused(): void {
    while (this.#refused.length > 0) {
      const { attempt, settlement } = this.#refused[0]!;
      try {
        this.#writeSettlement(attempt, settlement);
      } catch {
        return;
      }
      this.#refused.shift();
    }
  }

  #onSync(): void {
    // Counted here because counting per record costs as much as a tenth of writing it.
    this.#metrics.counter('signalbox_journal_records_total').inc(this.#uncounted);
    this.#uncounted = 0;
    if (this.#refused.length === 0) return;
    this.#writeRefused();
    if (this.#refused.length > 0 && !this.#closed) this.#live.scheduleSync();
  }

  /** Settles what earlier boots left open, and lets go of epochs that then have nothing to say. */
  #adopt({ unresolved, displaced, logs }: Recovery): void {
    const live = this.#live;
    for (const intent of unresolved) {
      live.makeRoom();
      live.appendSettlement(live.writer.settlement(live.lastSequence + 1, intent, interrupted));
    }
    for (const payload of displaced) {
      live.makeRoom();
      live.appendSettlement(live.writer.settlementAgain(live.lastSequence + 1, payload));
    }
    live.syncNow();
    if (unresolved.length > 0)
      this.#log.warn({ attempts: unresolved.length }, 'attempts were interrupted by the last stop');
    for (const log of logs) this.#collectEarlier(log);
  }

  #collectEarlier(log: EpochLog): void {
    if (!log.confirmed) {
      this.#delete(log, log.passedSegments());
      return;
    }
    this.#delete(log, log.segments.length);
    this.#earlier.splice(this.#earlier.indexOf(log), 1);
  }

  /** Intents still open in segments that could go are written again further on, so that one long stream keeps no file. */
  #collectLive(): void {
    const live = this.#live;
    const count = Math.min(live.passedSegments(), live.segments.length - 1);
    if (count === 0 || this.#closed) return;
    const passed = live.segments.slice(0, count);
    try {
      for (const attempt of passed.flatMap(({ open }) => [...open])) {
        live.makeRoom();
        live.append(live.writer.intentAgain(attempt.intent));
        attempt.segment.open.delete(attempt);
        attempt.segment = live.current;
        live.current.open.add(attempt);
      }
    } catch (error) {
      this.#log.error(
        { err: error },
        'open attempts cannot be carried over; the journal keeps its old segments',
      );
      return;
    }
    this.#delete(live, count, live.flushed());
  }

  /** One after the other, oldest first: what is left after a crash is always the newest part. */
  #delete(log: EpochLog, count: number, before?: Promise<void>): void {
    const paths = log.forget(count);
    this.#deleting = this.#deleting.then(async () => {
      await before;
      await deleteFiles(paths, this.#log);
    });
  }
}
