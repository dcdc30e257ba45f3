import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.ts';
import { isPostmasterOf } from './postmaster.ts';

const isRoot = process.geteuid?.() === 0;
const log = createLogger('silent');
const settings = { fsync: 'off' };

let folder: string;
let dataDirectory: string;
let server: EmbeddedPostgres | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-embedded-'));
  chmodSync(folder, 0o711);
  dataDirectory = folder;
});

afterEach(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
  server = undefined;
});

async function start(): Promise<EmbeddedPostgres> {
  server = await startEmbeddedPostgres({ dataDirectory, log, settings });
  return server;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('a database is there at once, on a private socket and on no port', async () => {
  const { databaseUrl } = await start();
  const [row] = await query(
    databaseUrl,
    "SELECT current_database() AS name, current_setting('listen_addresses') AS tcp",
  );
  expect(row).toEqual({ name: 'signalbox', tcp: '' });
});

test('a second start keeps the data and the address', async () => {
  const first = await start();
  await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  expect(first.pid).toBe(0);
  const second = await start();
  expect(second.databaseUrl).toBe(first.databaseUrl);
  expect(await query(second.databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a server that crashes is started again under the same address', async () => {
  const { databaseUrl, pid } = await start();
  process.kill(pid, 'SIGKILL');
  await vi.waitFor(async () => expect(await query(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]), {
    timeout: 20_000,
    interval: 50,
  });
  expect(server!.pid).not.toBe(pid);
});

test('a path longer than a socket address allows does no harm', async () => {
  dataDirectory = join(folder, 'x'.repeat(100), 'y'.repeat(100));
  mkdirSync(dataDirectory, { recursive: true, mode: 0o711 });
  const { databaseUrl } = await start();
  expect(await query(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

describe('a process that is killed outright', () => {
  /** Starts the database in a process of its own and returns its pids. */
  async function startElsewhere(path: string): Promise<{ parent: number; pid: number }> {
    const script = `
      const { startEmbeddedPostgres } = await import(${JSON.stringify(new URL('embedded.ts', import.meta.url).href)});
      const { createLogger } = await import(${JSON.stringify(import.meta.resolve('#shared/log.ts'))});
      const options = { dataDirectory: process.argv[1], log: createLogger('silent'), settings: { fsync: 'off' } };
      process.stdout.write((await startEmbeddedPostgres(options)).pid + '\\n');
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, dataDirectory], {
      env: { ...process.env, PATH: path },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    return { parent: child.pid!, pid: Number(line) };
  }

  test.each([
    ['with setpriv', process.env.PATH ?? ''],
    ['without setpriv', '/nowhere'],
  ])('leaves no database behind, and the next start works (%s)', async (_name, path) => {
    const { parent, pid } = await startElsewhere(path);
    const cluster = realpathSync(join(dataDirectory, 'postgres'));
    expect(isPostmasterOf(pid, cluster)).toBe(true);
    process.kill(parent, 'SIGKILL');
    await vi.waitFor(() => expect(isPostmasterOf(pid, cluster)).toBe(false), {
      timeout: 15_000,
      interval: 20,
    });
    const { databaseUrl } = await start();
    expect(await query(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('may be followed by a start at once, which waits for what is left', async () => {
    const { parent, pid } = await startElsewhere(process.env.PATH ?? '');
    process.kill(pid, 'SIGSTOP'); // a database that cannot have stopped yet
    process.kill(parent, 'SIGKILL');
    const { databaseUrl } = await start();
    expect(server!.pid).not.toBe(pid);
    expect(await query(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

test('a number left in postmaster.pid that now belongs to another process is not disturbed', async () => {
  await (await start()).stop();
  const cluster = realpathSync(join(dataDirectory, 'postgres'));
  writeFileSync(
    join(cluster, 'postmaster.pid'),
    `${process.pid}\n${cluster}\n0\n5432\n/tmp\n\n  1  1\nready   \n`,
  );
  await start();
  expect(server!.pid).not.toBe(process.pid);
});

test('a start that was interrupted while making the cluster leaves nothing in the way', async () => {
  const unfinished = join(dataDirectory, 'postgres.new');
  mkdirSync(unfinished);
  writeFileSync(join(unfinished, 'PG_VERSION'), '15\n');
  await start();
  expect(existsSync(unfinished)).toBe(false);
});

test.runIf(isRoot)('as root, a data directory that is closed to others still works', async () => {
  chmodSync(dataDirectory, 0o700);
  const first = await start();
  await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const cluster = realpathSync(join(dataDirectory, 'postgres'));
  try {
    const { databaseUrl } = await start();
    expect(await query(databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await server!.stop();
  } finally {
    rmSync(cluster, { recursive: true });
  }
});

describe('a database that cannot start says why and what to do', () => {
  test('when its files are of another version', async () => {
    await (await start()).stop();
    const version = join(dataDirectory, 'postgres', 'PG_VERSION');
    writeFileSync(version, '14\n');
    await expect(start()).rejects.toThrow(
      /made by PostgreSQL 14 and this build brings 15\. Move .* away .*, or set SIGNALBOX_DATABASE_URL/,
    );
  });

  test('when a setting is refused, in the words of the server', async () => {
    const refused = startEmbeddedPostgres({ dataDirectory, log, settings: { shared_buffers: 'lots' } });
    await expect(refused).rejects.toThrow(
      /invalid value for parameter "shared_buffers".*SIGNALBOX_DATABASE_URL/,
    );
  });

  test('when its files are damaged', async () => {
    await (await start()).stop();
    const control = join(realpathSync(join(dataDirectory, 'postgres')), 'global', 'pg_control');
    writeFileSync(control, readFileSync(control).fill(0));
    await expect(start()).rejects.toThrow(/SIGNALBOX_DATABASE_URL/);
  });
});
