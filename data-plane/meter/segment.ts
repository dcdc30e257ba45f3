// The files of a journal. Each boot writes under a new epoch, an id that sorts by time; each epoch is a row of segments
// of bounded size, so that what the ledger has confirmed can be deleted a file at a time.
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#shared/log.ts';

export interface Segment {
  readonly epoch: string;
  /** From 1, in the order of writing. */
  readonly number: number;
  readonly path: string;
  bytes: number;
  /** The highest settlement up to the end of this segment. */
  lastSequence: number;
}

const namePattern = /^([0-9a-f-]{36})\.(\d{6,})\.segment$/;

export function segmentPath(directory: string, epoch: string, number: number): string {
  return join(directory, `${epoch}.${String(number).padStart(6, '0')}.segment`);
}

/** All segments of a directory by epoch, oldest epoch first, each in the order of writing. */
export async function listSegments(directory: string): Promise<Map<string, Segment[]>> {
  const found: Segment[] = [];
  for (const name of await readdir(directory)) {
    const [, epoch, digits] = namePattern.exec(name) ?? [];
    if (epoch === undefined || digits === undefined) continue;
    found.push({ epoch, number: Number(digits), path: join(directory, name), bytes: 0, lastSequence: 0 });
  }
  found.sort((a, b) => a.epoch.localeCompare(b.epoch) || a.number - b.number);
  const byEpoch = new Map<string, Segment[]>();
  for (const segment of found) byEpoch.set(segment.epoch, [...(byEpoch.get(segment.epoch) ?? []), segment]);
  return byEpoch;
}

/** A file that cannot be deleted costs room, and is read again at the next start, and nothing else. */
export async function deleteFiles(paths: readonly string[], log: Logger): Promise<void> {
  for (const path of paths) {
    await unlink(path).catch((error: unknown) =>
      log.error({ err: error, path }, 'a journal segment cannot be deleted'),
    );
  }
}
