// One journal, one process. A second one would take the attempts of the first for the remains of a crash. The lock is an
// SQLite database held open in exclusive mode: of all locks that Node can take without native code it is the one that the
// operating system itself releases when the process dies, however it dies, and that other containers on the volume see.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SignalboxError } from '#shared/errors.ts';

export interface FolderLock {
  release(): void;
}

export function lockFolder(folder: string): FolderLock {
  const path = join(folder, 'lock');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    throw new SignalboxError('ledger_unavailable', `${reason(error)} (${path})`, { cause: error });
  }
  const held = database;
  return { release: () => held.close() };
}

const SQLITE_BUSY = 5;

function reason(error: unknown): string {
  const busy = error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
  if (busy)
    return 'The journal is in use by another process. Give each data plane a data directory of its own';
  return `The journal cannot be locked: ${error instanceof Error ? error.message : String(error)}`;
}
