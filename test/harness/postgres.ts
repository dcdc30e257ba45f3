// A real PostgreSQL for tests, on a data directory of its own: it can be stopped, frozen, killed and started again under
// the same address. It skips flushing to disk, which no test here relies on: a killed process loses nothing the kernel has.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#cli/postgres/embedded.ts';
import { createLogger } from '#shared/log.ts';

export interface TestPostgres {
  /** An empty database; `createDatabase` gives further ones. */
  readonly databaseUrl: string;
  readonly pid: number;
  /** Makes a fresh, empty database and returns its address. */
  createDatabase(): Promise<string>;
  stop(): Promise<void>;
  /** Starts it again on the same data under the same address, whatever became of it before. */
  start(): Promise<void>;
  /** Signals the server and all its processes: SIGSTOP freezes it, SIGCONT wakes it, SIGKILL is a crash. */
  kill(signal: NodeJS.Signals): void;
  /** Stops it and deletes its data. */
  removeAll(): Promise<void>;
}

/** Speed over durability. */
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  shared_buffers: '32MB',
};

export async function startPostgres(): Promise<TestPostgres> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'signalbox-test-postgres-'));
  chmodSync(dataDirectory, 0o711); // as root the database runs under another account
  const launch = () =>
    startEmbeddedPostgres({ dataDirectory, log: createLogger('silent'), settings, restart: false });
  let server: EmbeddedPostgres = await launch();
  const { databaseUrl } = server;
  const stop = () => {
    signalFamily(server.pid, 'SIGCONT'); // a frozen one could not hear the request
    return server.stop();
  };

  return {
    databaseUrl,
    get pid() {
      return server.pid;
    },
    async createDatabase() {
      const name = `test_${randomBytes(6).toString('hex')}`;
      const client = new Client({ connectionString: databaseUrl });
      await client.connect();
      try {
        await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
      } finally {
        await client.end();
      }
      const url = new URL(databaseUrl);
      url.pathname = `/${name}`;
      return url.href;
    },
    stop,
    async start() {
      await stop();
      server = await launch();
      if (server.databaseUrl !== databaseUrl) throw new Error(`the address moved to ${server.databaseUrl}`);
    },
    kill: (signal) => signalFamily(server.pid, signal),
    async removeAll() {
      await stop();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

/** Each server process leads a process group of its own, so the family is found by parentage. */
function signalFamily(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) return; // not running
  for (const member of [pid, ...childrenOf(pid)]) {
    try {
      process.kill(member, signal);
    } catch {
      // It has gone by itself in the meantime.
    }
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number);
}

function parentOf(pid: string): number | undefined {
  try {
    // "<pid> (<command, may hold anything>) <state> <parent> …"
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]);
  } catch {
    return undefined;
  }
}
