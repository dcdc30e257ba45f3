// What a running PostgreSQL writes about itself in `postmaster.pid`, and how one that was left behind is put to rest. A
// leftover appears when the process that started it was killed: usually it is already stopping by itself.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '#shared/log.ts';
import { unavailable } from './unavailable.ts';

export interface Postmaster {
  readonly pid: number;
  /** `starting`, `ready`, `stopping`; empty until first written. */
  readonly state: string;
}

/** Line numbers of postmaster.pid, fixed since PostgreSQL 10. */
const PID_LINE = 0;
const STATE_LINE = 7;
const POLL_MS = 20;

/** Each way of asking a postmaster to stop, politest first, and how long it may take. */
const waysToStop = [
  { signal: 'SIGINT', withinMs: 30_000 },
  { signal: 'SIGQUIT', withinMs: 10_000 },
  { signal: 'SIGKILL', withinMs: 10_000 },
] as const;

export function readPostmaster(cluster: string): Postmaster | undefined {
  const lines = readIfThere(join(cluster, 'postmaster.pid'))?.split('\n');
  const pid = Number(lines?.[PID_LINE]);
  if (lines === undefined || !Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, state: lines[STATE_LINE]?.trim() ?? '' };
}

/** Ends a database that an earlier run left in this cluster, and removes what it could not. */
export async function clearLeftover(cluster: string, log: Logger): Promise<void> {
  const leftover = readPostmaster(cluster);
  if (leftover !== undefined && isPostmasterOf(leftover.pid, cluster)) {
    log.info({ pid: leftover.pid }, 'an earlier run left its database behind; waiting for it to stop');
    if (!(await endPostmaster(leftover.pid, () => isPostmasterOf(leftover.pid, cluster))))
      throw unavailable(
        `another PostgreSQL (pid ${leftover.pid}) still uses ${cluster}`,
        `end process ${leftover.pid}`,
      );
  }
  rmSync(join(cluster, 'postmaster.pid'), { force: true });
}

/** Asks ever less politely; false when the process survives it all. */
export async function endPostmaster(pid: number, isAlive: () => boolean): Promise<boolean> {
  for (const { signal, withinMs } of waysToStop) {
    sendSignal(pid, signal);
    sendSignal(pid, 'SIGCONT'); // a frozen process would never hear the request
    const deadline = performance.now() + withinMs;
    while (isAlive() && performance.now() < deadline) await wait(POLL_MS);
    if (!isAlive()) return true;
  }
  return false;
}

/**
 * Whether the process is the postmaster of this cluster and not another one that was given the same number since, as is
 * common in containers. A zombie that nobody collects has no command line and does not count.
 */
export function isPostmasterOf(pid: number, cluster: string): boolean {
  const commandLine = readIfThere(`/proc/${pid}/cmdline`);
  if (commandLine !== undefined) return commandLine.split('\0').includes(cluster);
  return process.platform !== 'linux' && sendSignal(pid, 0);
}

export function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
