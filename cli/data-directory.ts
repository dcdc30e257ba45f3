// The directory in which an instance keeps what it must not lose. It belongs to one running instance at a time: two that
// share one would overwrite each other's journal and fight for the database.
import {
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SignalboxError } from '#shared/errors.ts';

export interface DataDirectory {
  readonly path: string;
  /** Lets another instance have it. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** When the process began, in the kernel's ticks, to tell it from a later one with the same number. */
  readonly started: string;
  readonly host: string;
}

const LOCK = 'instance.lock';
const HEARTBEAT_MS = 2000;
/** For how long a lock of another machine or container has to stay untouched before it counts as left behind. */
const SILENCE_MS = 3 * HEARTBEAT_MS;

export async function openDataDirectory(path: string): Promise<DataDirectory> {
  const directory = make(path);
  const lock = join(directory, LOCK);
  const mine = join(directory, `${LOCK}.${process.pid}`);
  try {
    const holder: Holder = { pid: process.pid, started: startOf(process.pid), host: hostname() };
    writeFileSync(mine, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    await acquire(directory, lock, mine);
  } catch (error) {
    throw error instanceof SignalboxError ? error : unusable(directory, error);
  } finally {
    rmSync(mine, { force: true });
  }
  const heartbeat = setInterval(() => touch(lock), HEARTBEAT_MS).unref();
  return {
    path: directory,
    release() {
      clearInterval(heartbeat);
      rmSync(lock, { force: true });
    },
  };
}

function make(path: string): string {
  const directory = resolve(path);
  try {
    // As root the database runs under another account, which has to pass through; the secrets inside are 0600.
    mkdirSync(directory, { recursive: true, mode: process.geteuid?.() === 0 ? 0o711 : 0o700 });
    return realpathSync(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
}

/** A link never replaces what is there, so of two that start at once one gets the lock. */
async function acquire(directory: string, lock: string, mine: string): Promise<void> {
  for (;;) {
    try {
      linkSync(mine, lock);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(lock);
    if (holder !== undefined && (await isAlive(holder, lock))) {
      throw new SignalboxError(
        'directory_unusable',
        `another Signalbox (process ${holder.pid} on ${holder.host}) uses the data directory ${directory}; stop it, or choose another directory with --data-dir or SIGNALBOX_DATA_DIR`,
      );
    }
    takeAway(lock, holder);
  }
}

/** Removes the lock that was judged, unless somebody has taken it in the meantime. */
function takeAway(lock: string, judged: Holder | undefined): void {
  const aside = `${lock}.left.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const found = readHolder(aside);
  if (JSON.stringify(found) !== JSON.stringify(judged)) linkSync(aside, lock);
  rmSync(aside);
}

async function isAlive(holder: Holder, lock: string): Promise<boolean> {
  if (holder.host !== hostname()) {
    const before = touched(lock);
    await wait(SILENCE_MS);
    return touched(lock) !== before;
  }
  if (holder.pid === process.pid) return holder.started === startOf(process.pid);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return holder.started === startOf(holder.pid);
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

/** Empty where the system does not tell. */
function startOf(pid: number): string {
  try {
    // The 22nd field; the second is a name in parentheses that may hold anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19]!;
  } catch {
    return '';
  }
}

function touch(lock: string): void {
  try {
    const now = new Date();
    utimesSync(lock, now, now);
  } catch {
    // Deleted by hand; nothing depends on it that the next start would not find out.
  }
}

function touched(lock: string): number {
  return statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function unusable(directory: string, error: unknown): SignalboxError {
  return new SignalboxError(
    'directory_unusable',
    `the data directory ${directory} cannot be written (${(error as Error).message}); make it writable for this account, or choose another with --data-dir or SIGNALBOX_DATA_DIR`,
    { cause: error },
  );
}
