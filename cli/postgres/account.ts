// Who runs the embedded database. PostgreSQL refuses to run as root, so root hands it to the `nobody` account, which then
// must be able to reach every file it needs: permissions along the path decide where those files can live.
import { chownSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { unavailable } from './unavailable.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Whether it differs from the account of this process. */
  readonly other: boolean;
}

const NOBODY = 65534;

export function databaseAccount(): Account {
  const uid = process.geteuid?.() ?? -1;
  const gid = process.getegid?.() ?? -1;
  return uid === 0 ? { uid: NOBODY, gid: NOBODY, other: true } : { uid, gid, other: false };
}

/** Whether the account may pass through every folder down to and including `path`. */
export function canReach(account: Account, path: string): boolean {
  const { uid, gid, mode } = statSync(path);
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  const parent = dirname(path);
  return (mode & bit) !== 0 && (parent === path || canReach(account, parent));
}

/** Whether everybody may read a file, as copies made under a strict umask may not. */
export function readableByAll(path: string): boolean {
  return (statSync(path).mode & 0o004) !== 0;
}

/** Gives a file or folder to the account that has to write it. */
export function handOver(account: Account, path: string): void {
  if (!account.other) return;
  try {
    chownSync(path, account.uid, account.gid);
  } catch (error) {
    throw unavailable(
      `${path} cannot be given to the account that runs the database (uid ${account.uid})`,
      'run Signalbox as an ordinary user',
      error,
    );
  }
}

/** What `spawn` needs to run as the account. */
export function identity(account: Account): { uid?: number; gid?: number } {
  return account.other ? { uid: account.uid, gid: account.gid } : {};
}
