// Where the database's files live, and how they come to be. A cluster is made aside and moved into place when it is
// complete, so a start that was interrupted leaves nothing half-made behind.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Account, canReach, handOver, identity } from './account.ts';
import type { Programs } from './programs.ts';
import { unavailable } from './unavailable.ts';

export const databaseName = 'signalbox';
const superuser = 'postgres';
/** Where root keeps what the database's account has to reach when the data directory itself is closed to it. */
const sharedFolder = '/var/lib/signalbox';
/** Names the socket file only; nothing listens on a port. */
const PORT = 5432;

const run = promisify(execFile);

/** A folder for the database under the data directory that the account can reach, or one that it can. */
export function reachableFolder(account: Account, dataDirectory: string): string {
  return !account.other || canReach(account, dataDirectory) ? dataDirectory : sharedFolder;
}

/** The path of the cluster of a data directory; makes it when there is none. */
export async function prepareCluster(options: {
  readonly account: Account;
  readonly dataDirectory: string;
  readonly programs: Programs;
  /** Skip flushing to disk; for databases that may be lost. */
  readonly noSync: boolean;
}): Promise<string> {
  const { account, dataDirectory, programs } = options;
  const entry = join(dataDirectory, 'postgres');
  if (!existsSync(entry)) await createCluster({ ...options, entry });
  const cluster = realpathSync(entry);
  checkCluster(cluster, account, programs);
  return cluster;
}

/**
 * A private folder for the socket. Socket paths are limited to about 107 bytes and mounted volumes often refuse sockets,
 * so it is a short one among the temporary files, the same at every start so that none are left behind.
 */
export function socketFolder(account: Account, cluster: string): string {
  const parent = existsSync('/tmp') ? '/tmp' : tmpdir();
  const hash = createHash('sha256').update(cluster).digest('hex').slice(0, 16);
  const usual = join(parent, `signalbox-${account.uid}-${hash}`);
  try {
    mkdirSync(usual, { mode: 0o700 });
    handOver(account, usual);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw unavailable(
        `no folder for its socket can be made in ${parent}`,
        `make ${parent} writable`,
        error,
      );
  }
  const found = lstatSync(usual);
  if (found.isDirectory() && found.uid === account.uid && (found.mode & 0o077) === 0) return usual;
  const fresh = mkdtempSync(join(parent, 'signalbox-'));
  handOver(account, fresh);
  return fresh;
}

export function databaseUrl(socket: string, database = databaseName): string {
  return `postgresql://${superuser}@localhost:${PORT}/${database}?host=${encodeURIComponent(socket)}`;
}

async function createCluster(options: {
  readonly account: Account;
  readonly dataDirectory: string;
  readonly entry: string;
  readonly programs: Programs;
  readonly noSync: boolean;
}): Promise<void> {
  const { account, dataDirectory, entry, programs, noSync } = options;
  const folder = reachableFolder(account, dataDirectory);
  const isLinked = folder !== dataDirectory;
  const final = isLinked ? join(folder, `postgres-${randomBytes(8).toString('hex')}`) : entry;
  const unfinished = isLinked ? `${final}.new` : `${entry}.new`;
  try {
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    mkdirSync(unfinished, { mode: 0o700 });
    handOver(account, unfinished);
    await initialise(programs, unfinished, account, noSync);
    renameSync(unfinished, final);
    if (isLinked) replaceLink(final, entry);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw explain(error, unfinished);
  }
}

async function initialise(
  programs: Programs,
  cluster: string,
  account: Account,
  noSync: boolean,
): Promise<void> {
  const settings = { cwd: '/', env: { PATH: process.env.PATH, LC_ALL: 'C' }, ...identity(account) };
  const how = [
    '--username',
    superuser,
    '--auth-local=trust',
    '--auth-host=reject',
    '--encoding=UTF8',
    '--locale=C',
  ];
  await run(
    programs.initdb,
    ['-D', cluster, ...how, '--no-instructions', ...(noSync ? ['--no-sync'] : [])],
    settings,
  );
  const single = run(programs.postgres, ['--single', '-D', cluster, superuser], settings);
  single.child.stdin?.end(`CREATE DATABASE ${databaseName};\n`);
  await single;
}

/** A link whose target is gone still occupies the name. */
function replaceLink(target: string, link: string): void {
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

function checkCluster(cluster: string, account: Account, programs: Programs): void {
  const version = readFileSync(join(cluster, 'PG_VERSION'), 'utf8').trim();
  if (version !== programs.major)
    throw unavailable(
      `${cluster} was made by PostgreSQL ${version} and this build brings ${programs.major}`,
      `move ${cluster} away to begin with an empty database`,
    );
  const { uid } = statSync(cluster);
  if (uid !== account.uid)
    throw unavailable(
      `${cluster} belongs to uid ${uid} and the database would run as uid ${account.uid}`,
      `run \`chown -R ${account.uid}:${account.gid} ${cluster}\``,
    );
  if (account.other && !canReach(account, cluster))
    throw unavailable(
      `the account that runs the database (uid ${account.uid}) cannot reach ${cluster}`,
      'give every folder above it the permission x for others',
    );
}

/** Known failures of the programs, and what to do about each. */
const explanations: readonly { readonly pattern: RegExp; readonly what: string; readonly remedy: string }[] =
  [
    {
      pattern: /could not look up effective user ID/,
      what: 'PostgreSQL does not run under an account without an entry in /etc/passwd',
      remedy: 'run as an account that has one',
    },
    { pattern: /ENOSPC|No space left on device/, what: 'the disk is full', remedy: 'free some space' },
    {
      pattern: /error while loading shared libraries|GLIBC_/,
      what: 'this system lacks a library that its programs need',
      remedy: 'use a system with glibc 2.28 or newer',
    },
    {
      pattern: /spawn.*EPERM|setgroups|setuid/,
      what: 'root may not become another account here (CAP_SETUID and CAP_SETGID are missing)',
      remedy: 'run as an ordinary user',
    },
    {
      pattern: /EACCES|EROFS|Permission denied|EPERM/,
      what: 'a folder that it needs cannot be written',
      remedy: 'make the data directory writable, choose another with SIGNALBOX_DATA_DIR',
    },
  ];

/** An error with a remedy, made from whatever the programs said. */
export function explain(error: unknown, place: string): Error {
  const { message, stderr = '' } = error as Error & { stderr?: string };
  const said = `${message}\n${stderr}`;
  const known = explanations.find(({ pattern }) => pattern.test(said));
  const lines = stderr.trim().split('\n');
  const detail = lines.findLast((line) => /error|fatal|panic|could not/i.test(line)) ?? lines.at(-1);
  const cause = new Error(detail?.trim() || message, { cause: error });
  return unavailable(known?.what ?? `PostgreSQL failed in ${place}`, known?.remedy, cause);
}
