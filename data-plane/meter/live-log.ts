// The end of the journal that is being written: one open file, replaced by the next when it is large enough. Appending is
// a single write call to a known position, so a record that was only half taken is overwritten by the next try; telling
// the disk to keep what the kernel has happens in the background.
import { close, closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { EpochLog } from './epoch-log.ts';
import { RecordWriter } from './record.ts';
import { type Segment, segmentPath } from './segment.ts';

const syncFile = promisify(fdatasync);
const closeFile = promisify(close);

/** An attempt that is running: its intent must stay readable until it is settled. */
export interface OpenIntent {
  readonly intent: Uint8Array;
  segment: LiveSegment;
}

export interface LiveSegment extends Segment {
  /** Attempts whose intent is in this segment. */
  readonly open: Set<OpenIntent>;
}

export interface LiveLogOptions {
  readonly directory: string;
  readonly epoch: string;
  readonly segmentBytesMax: number;
  readonly log: Logger;
  /** Called before the disk is asked to keep what was written. */
  readonly onSync: () => void;
}

export class LiveLog extends EpochLog {
  declare readonly segments: LiveSegment[];
  readonly writer = new RecordWriter();
  readonly #options: LiveLogOptions;
  #current: LiveSegment;
  #file: number;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;
  #syncing: Promise<void> | undefined;
  #closing: Promise<void> = Promise.resolve();

  constructor(options: LiveLogOptions) {
    super({ epoch: options.epoch, segments: [], firstSequence: 1, lastSequence: 0 });
    this.#options = options;
    const first = this.#create();
    this.#current = first.segment;
    this.#file = first.file;
  }

  get current(): LiveSegment {
    return this.#current;
  }

  /** To be called before a record is encoded: starting a segment uses the writer too. */
  makeRoom(): void {
    if (this.#current.bytes < this.#options.segmentBytesMax) return;
    let next: { segment: LiveSegment; file: number };
    try {
      next = this.#create();
    } catch (error) {
      // A full segment can still be added to, which is better than losing a settlement.
      this.#options.log.error({ err: error }, 'the next journal segment cannot be created');
      return;
    }
    const file = this.#file;
    const syncing = this.#syncing;
    const closing = this.#closing;
    this.#current = next.segment;
    this.#file = next.file;
    this.#closing = (async () => {
      await closing;
      await syncing;
      await this.#keep(file);
      await closeFile(file);
    })();
  }

  /** Returns when the kernel has the record; throws when it does not take it. */
  append(frame: Buffer): void {
    const segment = this.#current;
    writeWhole(this.#file, frame, segment.bytes);
    segment.bytes += frame.length;
    this.bytes += frame.length;
    this.scheduleSync();
  }

  appendSettlement(frame: Buffer): void {
    this.append(frame);
    this.lastSequence += 1;
    this.#current.lastSequence = this.lastSequence;
  }

  scheduleSync(): void {
    this.#dirty = true;
    if (this.#timer !== undefined || this.#syncing !== undefined) return;
    this.#timer = setTimeout(() => this.#startSync(), limits.journalSyncMs).unref();
  }

  /** Returns when the disk has everything, names of files included. */
  syncNow(): void {
    fdatasyncSync(this.#file);
    const folder = openSync(this.#options.directory, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /** Resolves when the disk has what is in the current segment now. */
  flushed(): Promise<void> {
    return this.#keep(this.#file);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#closing;
    await this.#syncing;
    clearTimeout(this.#timer);
    this.#options.onSync();
    this.syncNow();
    closeSync(this.#file);
  }

  #startSync(): void {
    this.#timer = undefined;
    this.#dirty = false;
    this.#options.onSync();
    this.#syncing = this.#keep(this.#file).finally(() => {
      this.#syncing = undefined;
      if (this.#dirty) this.scheduleSync();
    });
  }

  async #keep(file: number): Promise<void> {
    try {
      await syncFile(file);
    } catch (error) {
      this.#options.log.error({ err: error }, 'the disk did not confirm the journal');
    }
  }

  #create(): { segment: LiveSegment; file: number } {
    const { directory, epoch } = this.#options;
    const number = (this.segments.at(-1)?.number ?? 0) + 1;
    const path = segmentPath(directory, epoch, number);
    // 'wx': a file that is there already belongs to somebody.
    const file = openSync(path, 'wx', 0o600);
    const head = this.writer.head(epoch, this.lastSequence + 1);
    try {
      writeWhole(file, head, 0);
    } catch (error) {
      closeSync(file);
      rmSync(path, { force: true });
      throw error;
    }
    const { length } = head;
    const segment: LiveSegment = {
      epoch,
      number,
      path,
      bytes: length,
      lastSequence: this.lastSequence,
      open: new Set(),
    };
    this.segments.push(segment);
    this.bytes += length;
    return { segment, file };
  }
}

function writeWhole(file: number, bytes: Buffer, position: number): void {
  let written = writeSync(file, bytes, 0, bytes.length, position);
  while (written < bytes.length) {
    written += writeSync(file, bytes, written, bytes.length - written, position + written);
  }
}
