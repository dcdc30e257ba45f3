// The settlements of one epoch as the publisher and the ledger see them: numbered 1, 2, 3 … without gaps, readable from
// any place in batches, and deleted from the front once the ledger has passed them.
import { open } from 'node:fs/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { type UsageBatch, UsageBatchSchema } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { limits } from '#shared/limits.ts';
import { findFrame, frameHeadBytes, readFrame, recordKinds } from './record.ts';
import type { Segment } from './segment.ts';

/** A place between two records. */
export interface Place {
  readonly segmentNumber: number;
  readonly offset: number;
}

export interface Sender {
  readonly nodeId: string;
  readonly region: string;
}

/**
 * Consecutive settlements, cut to be published. Cut again at the same place up to the same record, it has the same
 * settlements; only how far the ledger had confirmed by then may differ.
 */
export interface Batch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly from: Place;
  readonly to: Place;
  /** An encoded UsageBatch. */
  readonly data: Uint8Array;
}

export interface CutOptions {
  readonly from: Place;
  readonly firstSequence: number;
  /** Not beyond this record. */
  readonly lastSequence: number;
  readonly sender: Sender;
}

const READ_BYTES = 512 * 1024;

export interface EpochLogState {
  readonly epoch: string;
  readonly segments: Segment[];
  /** The first settlement that may still be in the files. */
  readonly firstSequence: number;
  readonly lastSequence: number;
}

export class EpochLog {
  readonly epoch: string;
  readonly segments: Segment[];
  /** Of all segments together. */
  bytes = 0;
  lastSequence: number;
  /** Everything up to here is in the ledger. */
  watermark: number;

  constructor({ epoch, segments, firstSequence, lastSequence }: EpochLogState) {
    this.epoch = epoch;
    this.segments = segments;
    for (const segment of segments) this.bytes += segment.bytes;
    this.lastSequence = lastSequence;
    this.watermark = firstSequence - 1;
  }

  get confirmed(): boolean {
    return this.watermark >= this.lastSequence;
  }

  get start(): Place {
    return { segmentNumber: this.segments[0]?.number ?? 1, offset: 0 };
  }

  /** The next batch from a place on; undefined when there is nothing left up to `lastSequence`. */
  async cut({ from, firstSequence, lastSequence, sender }: CutOptions): Promise<Batch | undefined> {
    const head = create(UsageBatchSchema, {
      nodeId: sender.nodeId,
      region: sender.region,
      journalEpoch: this.epoch,
      firstSequence: BigInt(firstSequence),
      confirmedSequence: BigInt(this.watermark),
    });
    const parts = new BatchParts(head);
    let place = from;
    while (!parts.full && firstSequence + parts.count <= lastSequence) {
      const index = this.segments.findIndex(({ number }) => number >= place.segmentNumber);
      const segment = this.segments[index];
      if (segment === undefined) break;
      const offset = segment.number === place.segmentNumber ? place.offset : 0;
      if (offset >= segment.bytes) {
        const next = this.segments[index + 1];
        if (next === undefined) break;
        place = { segmentNumber: next.number, offset: 0 };
        continue;
      }
      const bytes = await readRange(segment.path, offset, Math.min(READ_BYTES, segment.bytes - offset));
      const taken = takeSettlements(bytes, parts, lastSequence);
      place = { segmentNumber: segment.number, offset: offset + (taken || damagedBytes(segment, offset)) };
    }
    if (parts.count === 0) return undefined;
    return {
      firstSequence,
      lastSequence: firstSequence + parts.count - 1,
      from,
      to: place,
      data: parts.join(),
    };
  }

  /** How many segments, from the first, hold nothing but what the ledger has. */
  passedSegments(): number {
    const first = this.segments.findIndex(({ lastSequence }) => lastSequence > this.watermark);
    return first === -1 ? this.segments.length : first;
  }

  /** Lets go of the first segments; the caller deletes their files. */
  forget(count: number): string[] {
    const forgotten = this.segments.splice(0, count);
    for (const { bytes } of forgotten) this.bytes -= bytes;
    return forgotten.map(({ path }) => path);
  }
}

class BatchParts {
  readonly #firstSequence: number;
  readonly #parts: Uint8Array[];
  /** Of the attempts alone: the head may grow from one cut to the next, and the same records must fit again. */
  #attemptBytes = 0;
  count = 0;

  constructor(head: UsageBatch) {
    this.#firstSequence = Number(head.firstSequence);
    this.#parts = [toBinary(UsageBatchSchema, head)];
  }

  get nextSequence(): number {
    return this.#firstSequence + this.count;
  }

  get full(): boolean {
    const { usageBatchRecordsMax, usageBatchBytesMax, journalRecordBytesMax } = limits;
    return (
      this.count >= usageBatchRecordsMax || this.#attemptBytes + journalRecordBytesMax > usageBatchBytesMax
    );
  }

  add(attempt: Uint8Array): void {
    const prefix = attemptPrefix(attempt.length);
    this.#parts.push(prefix, attempt);
    this.#attemptBytes += prefix.length + attempt.length;
    this.count += 1;
  }

  join(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Field 5 of UsageBatch, length-delimited. */
const ATTEMPTS_TAG = 0x2a;

function attemptPrefix(length: number): Uint8Array {
  const bytes = [ATTEMPTS_TAG];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** Adds settlements until the batch is full; returns how many bytes were read through. */
function takeSettlements(bytes: Buffer, parts: BatchParts, lastSequence: number): number {
  let at = 0;
  while (!parts.full && parts.nextSequence <= lastSequence) {
    const frame = readFrame(bytes, at);
    if (frame === undefined) {
      const next = findFrame(bytes, at);
      if (next === -1) return at;
      at = next;
      continue;
    }
    if (frame.kind === recordKinds.settlement && frame.sequence === parts.nextSequence)
      parts.add(frame.payload);
    at = frame.end;
  }
  return at;
}

/** How far to go on where no whole frame was found: damage, which recovery has judged before. */
function damagedBytes(segment: Segment, offset: number): number {
  const rest = segment.bytes - offset;
  // A frame may begin near the end of what was read, and end beyond it.
  return rest <= READ_BYTES ? rest : READ_BYTES - limits.journalRecordBytesMax - frameHeadBytes;
}

async function readRange(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const bytes = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
