// A real PostgreSQL as a part of this process: started with it, restarted if it crashes, and never alive without it, not
// even when this process is killed outright. It listens on a private socket only. Whoever starts it owns the data
// directory (`up` holds a lock on it): a database found running there is a leftover and is ended.
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '#shared/log.ts';
import { type Account, databaseAccount, identity } from './account.ts';
import { databaseUrl, explain, prepareCluster, reachableFolder, socketFolder } from './cluster.ts';
import { clearLeftover, endPostmaster, readPostmaster } from './postmaster.ts';
import { hasSetpriv, preparePrograms } from './programs.ts';

export interface EmbeddedPostgres {
  readonly databaseUrl: string;
  /** 0 while it is not running. */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  readonly dataDirectory: string;
  readonly log: Logger;
  /** Server settings, added to ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether it is started again after a crash. The default is true. */
  readonly restart?: boolean;
}

interface Plan {
  readonly postgres: string;
  readonly cluster: string;
  readonly socket: string;
  readonly account: Account;
  readonly settings: Readonly<Record<string, string>>;
  readonly log: Logger;
}

interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
}

const baseSettings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '',
  // Short statements only: compiling them costs more than running them.
  jit: 'off',
};

const POLL_MS = 20;
/** Recovery after a power failure replays at most a gigabyte of log (max_wal_size). */
const START_MS_MAX = 120_000;
/** For how long a start is tried again while processes of a killed predecessor let go of its memory. */
const RELEASE_MS_MAX = 20_000;
const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 15_000;
const STDERR_LINES_KEPT = 40;

/** Kept for systems without setpriv: ends the database when the pipe from us closes, which it does however we end. */
const watchdogScript = `
exec 3<&0 </dev/null
"$0" "$@" 3<&- & child=$!
(read -r _ <&3; kill -INT "$child") 2>/dev/null & watcher=$!
exec 3<&-
wait "$child"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"`;

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDirectory, log, settings = {}, restart = true } = options;
  const account = databaseAccount();
  const programs = preparePrograms(account, () => reachableFolder(account, dataDirectory));
  const noSync = settings.fsync === 'off';
  const cluster = await prepareCluster({ account, dataDirectory, programs, noSync });
  await clearLeftover(cluster, log);
  const socket = socketFolder(account, cluster);
  const supervisor = new Supervisor(
    { postgres: programs.postgres, cluster, socket, account, settings, log },
    restart,
  );
  try {
    await supervisor.start();
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return supervisor;
}

class Supervisor implements EmbeddedPostgres {
  readonly databaseUrl: string;
  readonly #plan: Plan;
  readonly #restart: boolean;
  readonly #stopping = new AbortController();
  #running: Running | undefined;
  #restarting: Promise<void> | undefined;

  constructor(plan: Plan, restart: boolean) {
    this.#plan = plan;
    this.#restart = restart;
    this.databaseUrl = databaseUrl(plan.socket);
  }

  get pid(): number {
    return this.#running?.pid ?? 0;
  }

  async start(): Promise<void> {
    const running = await launch(this.#plan);
    this.#running = running;
    this.#plan.log.debug({ pid: running.pid }, 'the embedded database is ready');
    running.child.once('exit', (code, signal) => this.#onExit(code, signal));
    if (hasExited(running.child)) this.#onExit(running.child.exitCode, running.child.signalCode);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#restarting;
    const running = this.#running;
    if (running !== undefined && !hasExited(running.child))
      await endPostmaster(running.pid, () => !hasExited(running.child));
    rmSync(this.#plan.socket, { recursive: true, force: true });
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    this.#running = undefined;
    if (this.#stopping.signal.aborted || !this.#restart || this.#restarting !== undefined) return;
    this.#plan.log.error({ code, signal }, 'the embedded database ended unexpectedly; starting it again');
    this.#restarting = this.#startAgain().finally(() => {
      this.#restarting = undefined;
    });
  }

  async #startAgain(): Promise<void> {
    for (
      let delayMs = RESTART_MS_MIN;
      !this.#stopping.signal.aborted;
      delayMs = Math.min(2 * delayMs, RESTART_MS_MAX)
    ) {
      await wait(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#stopping.signal.aborted) return;
      try {
        await clearLeftover(this.#plan.cluster, this.#plan.log);
        await this.start();
        return;
      } catch (error) {
        this.#plan.log.error({ err: error }, 'the embedded database did not start; trying again');
      }
    }
  }
}

/** Starts the server and waits until it accepts connections. */
async function launch(plan: Plan): Promise<Running> {
  const deadline = performance.now() + RELEASE_MS_MAX;
  for (;;) {
    const attempt = await launchOnce(plan);
    if (typeof attempt !== 'string') return attempt;
    const isHeld = /pre-existing shared memory block|lock file .* already exists/.test(attempt);
    if (!isHeld || performance.now() > deadline)
      throw explain(
        Object.assign(new Error('the server ended while starting'), { stderr: attempt }),
        plan.cluster,
      );
    await wait(10 * POLL_MS);
  }
}

/** The running server, or what it said before it ended. */
async function launchOnce(plan: Plan): Promise<Running | string> {
  const { child, ended, said } = spawnServer(plan);
  const deadline = performance.now() + START_MS_MAX;
  while (!hasExited(child)) {
    const postmaster = readPostmaster(plan.cluster);
    if (postmaster?.state === 'ready') return { pid: postmaster.pid, child };
    if (performance.now() > deadline) {
      await endPostmaster(postmaster?.pid ?? child.pid ?? 0, () => !hasExited(child));
      return `it was not ready within ${START_MS_MAX / 1000} s\n${said()}`;
    }
    await wait(POLL_MS);
  }
  await ended; // its last words may still be in the pipe
  return said();
}

function spawnServer(plan: Plan): { child: ChildProcess; ended: Promise<void>; said: () => string } {
  const settings = Object.entries({
    ...baseSettings,
    unix_socket_directories: plan.socket,
    ...plan.settings,
  });
  const server = [
    plan.postgres,
    '-D',
    plan.cluster,
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const [program, ...parameters] = hasSetpriv()
    ? ['setpriv', '--pdeathsig', 'INT', ...server]
    : ['/bin/sh', '-c', watchdogScript, ...server];
  const child = spawn(program!, parameters, {
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    stdio: ['pipe', 'ignore', 'pipe'],
    // A session of its own: Ctrl-C at the terminal is for us, and the database has to outlast the requests we finish.
    detached: true,
    ...identity(plan.account),
  });
  const lines: string[] = [];
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', (error) => {
      lines.push(`spawn: ${error.message}`);
      resolve();
    });
  });
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lines.push(line);
    if (lines.length > STDERR_LINES_KEPT) lines.shift();
    plan.log[/^(ERROR|FATAL|PANIC)/.test(line) ? 'warn' : 'debug']({ part: 'postgres' }, line);
  });
  return { child, ended, said: () => lines.join('\n') };
}

function hasExited(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}
