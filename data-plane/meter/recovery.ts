// What earlier boots left behind. Their files are read once: settlements that the ledger may not have are published from
// where they are; intents without settlement are attempts that were running when the process died. A torn last record is
// the normal end of a killed process. Damage anywhere else is reported and read past; settlements behind a gap it made
// can no longer be published under their own numbers, so they are handed back to be written again.
import { readFile } from 'node:fs/promises';
import type { Logger } from '#shared/log.ts';
import { EpochLog } from './epoch-log.ts';
import { attemptIdOf, type Frame, findFrame, readFrame, recordKinds } from './record.ts';
import { listSegments, type Segment } from './segment.ts';

export interface Recovery {
  /** Oldest first. */
  readonly logs: readonly EpochLog[];
  /** Payloads of intents that nobody settled. */
  readonly unresolved: readonly Buffer[];
  /** Payloads of settlements that need a new number. */
  readonly displaced: readonly Buffer[];
}

export async function recoverEpochs(directory: string, log: Logger): Promise<Recovery> {
  const logs: EpochLog[] = [];
  const unresolved = new Map<string, Buffer>();
  const displaced: Buffer[] = [];
  const settledElsewhere = new Set<string>();
  for (const [epoch, segments] of await listSegments(directory)) {
    const reading = new EpochReading();
    for (const segment of segments) {
      const bytes = await readFile(segment.path);
      segment.bytes = bytes.length;
      readSegment(bytes, segment, segment === segments.at(-1), reading, log);
      segment.lastSequence = reading.lastSequence;
    }
    for (const [id, payload] of reading.open) unresolved.set(id, payload);
    for (const id of reading.settledWithoutIntent) settledElsewhere.add(id);
    displaced.push(...reading.displaced);
    const { firstSequence, lastSequence } = reading;
    logs.push(new EpochLog({ epoch, segments, firstSequence, lastSequence }));
  }
  // The boot after a crash settles what the crash left open, in its own epoch.
  for (const id of settledElsewhere) unresolved.delete(id);
  return { logs, unresolved: [...unresolved.values()], displaced };
}

/** Follows the records of one epoch in order. */
class EpochReading {
  readonly open = new Map<string, Buffer>();
  readonly settledWithoutIntent: string[] = [];
  readonly displaced: Buffer[] = [];
  firstSequence = 1;
  lastSequence = 0;
  #headSeen = false;
  #gap = false;

  take(frame: Frame): void {
    if (frame.kind === recordKinds.head) {
      this.#takeHead(frame.sequence);
    } else if (frame.kind === recordKinds.intent) {
      // Copied: a view would keep the whole segment in memory.
      this.open.set(attemptIdOf(frame.payload), Buffer.from(frame.payload));
    } else {
      this.#takeSettlement(frame);
    }
  }

  #takeHead(nextSequence: number): void {
    if (!this.#headSeen) {
      // Earlier segments were deleted because the ledger has what they held.
      this.firstSequence = nextSequence;
      this.lastSequence = nextSequence - 1;
    } else if (nextSequence !== this.lastSequence + 1) {
      this.#gap = true;
    }
    this.#headSeen = true;
  }

  #takeSettlement({ sequence, payload }: Frame): void {
    const id = attemptIdOf(payload);
    if (!this.open.delete(id)) this.settledWithoutIntent.push(id);
    if (!this.#headSeen || sequence !== this.lastSequence + 1) this.#gap = true;
    if (this.#gap) this.displaced.push(Buffer.from(payload));
    else this.lastSequence = sequence;
  }
}

function readSegment(
  bytes: Buffer,
  segment: Segment,
  isLast: boolean,
  reading: EpochReading,
  log: Logger,
): void {
  let at = 0;
  while (at < bytes.length) {
    const frame = readFrame(bytes, at);
    if (frame !== undefined) {
      reading.take(frame);
      at = frame.end;
      continue;
    }
    const next = findFrame(bytes, at);
    const lostBytes = (next === -1 ? bytes.length : next) - at;
    if (next === -1 && isLast) {
      log.debug({ file: segment.path, lostBytes }, 'the journal ends in an unfinished record');
    } else {
      log.error(
        { file: segment.path, offset: at, lostBytes },
        'the journal is damaged here; reading on after it',
      );
    }
    if (next === -1) return;
    at = next;
  }
}
