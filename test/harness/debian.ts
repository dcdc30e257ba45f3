// Programs that npm does not carry: servers to test against and tools to measure with. A program on PATH is taken as it
// is; otherwise Debian's package is downloaded and unpacked (not installed) into a cache folder, with the shared
// libraries it needs, which works without root. Where neither is possible the error says what to install: a test that
// quietly skips itself proves nothing.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cacheFolder = resolve(import.meta.dirname, '../../.cache/debian');

/** Which packages hold a program. Shared libraries are found through the packages' own dependencies. */
const programTable = {
  'nats-server': { packages: ['nats-server'], file: 'usr/sbin/nats-server' },
  'redis-server': { packages: ['redis-server', 'redis-tools'], file: 'usr/bin/redis-server' },
  nginx: { packages: ['nginx'], file: 'usr/sbin/nginx' },
  haproxy: { packages: ['haproxy'], file: 'usr/sbin/haproxy' },
  wrk: { packages: ['wrk'], file: 'usr/bin/wrk' },
} as const satisfies Record<string, { packages: readonly string[]; file: string }>;

export type ProgramName = keyof typeof programTable;

export interface Program {
  readonly path: string;
  /** To be added to the environment of the process: where the unpacked shared libraries are. */
  readonly environment: Readonly<Record<string, string>>;
}

const found = new Map<ProgramName, Promise<Program>>();

export function findProgram(name: ProgramName): Promise<Program> {
  const known = found.get(name) ?? locate(name);
  found.set(name, known);
  return known;
}

async function locate(name: ProgramName): Promise<Program> {
  const onPath = await searchPath(name);
  if (onPath !== undefined) return { path: onPath, environment: {} };
  const folder = join(cacheFolder, name);
  if (!(await isExecutable(join(folder, programTable[name].file)))) await unpack(name, folder);
  return unpackedProgram(name, folder);
}

async function searchPath(name: string): Promise<string | undefined> {
  // Servers live in sbin, which is often missing from the PATH of people who are not root.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function unpackedProgram(name: ProgramName, folder: string): Promise<Program> {
  const libraries: string[] = [];
  for (const parent of ['usr/lib', 'lib']) {
    const children = await readdir(join(folder, parent)).catch(() => []);
    // The multiarch folder, such as x86_64-linux-gnu.
    for (const child of children)
      if (child.endsWith('-linux-gnu')) libraries.push(join(folder, parent, child));
  }
  const environment = libraries.length === 0 ? {} : { LD_LIBRARY_PATH: libraries.join(':') };
  return { path: join(folder, programTable[name].file), environment };
}

async function unpack(name: ProgramName, folder: string): Promise<void> {
  await mkdir(cacheFolder, { recursive: true });
  const work = await mkdtemp(join(cacheFolder, `${name}-unpacking-`));
  try {
    await downloadPackages(programTable[name].packages, work);
    const archives = (await readdir(work)).filter((file) => file.endsWith('.deb'));
    const root = join(work, 'root');
    for (const archive of archives) await run('dpkg', ['-x', join(work, archive), root]);
    // Renaming is atomic: of two processes that unpack at once one wins and both use the same files.
    await rename(root, folder).catch(() => undefined);
    if (!(await isExecutable(join(folder, programTable[name].file)))) {
      throw new Error(`the packages do not hold ${programTable[name].file}`);
    }
  } catch (error) {
    throw new Error(
      `${name} is not on PATH and could not be unpacked from Debian's packages. Install ${name} and try again.`,
      { cause: error },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function downloadPackages(packages: readonly string[], folder: string): Promise<void> {
  try {
    await downloadWith([], packages, folder);
  } catch {
    // The system's package lists are missing or too old, and may belong to root: keep lists of our own.
    const options = await privateAptOptions();
    await run('apt-get', [...options, 'update']);
    await downloadWith(options, packages, folder);
  }
}

async function privateAptOptions(): Promise<string[]> {
  const state = join(cacheFolder, 'apt');
  await mkdir(join(state, 'lists/partial'), { recursive: true });
  await mkdir(join(state, 'cache/archives/partial'), { recursive: true });
  return [
    '-o',
    `Dir::State=${state}`,
    '-o',
    `Dir::State::lists=${join(state, 'lists')}`,
    '-o',
    'Dir::State::status=/var/lib/dpkg/status',
    '-o',
    `Dir::Cache=${join(state, 'cache')}`,
    '-o',
    'Debug::NoLocking=1',
  ];
}

async function downloadWith(options: string[], packages: readonly string[], folder: string): Promise<void> {
  const wanted = new Set<string>(packages);
  // A set grows while it is iterated: libraries of libraries are visited too.
  for (const name of wanted) {
    const { stdout } = await run('apt-cache', [...options, 'depends', name]);
    for (const [, library] of stdout.matchAll(/^ {2}Depends: (lib\S+)/gm)) {
      if (library !== undefined && !(await isInstalled(library))) wanted.add(library);
    }
  }
  await run('apt-get', [...options, 'download', ...wanted], { cwd: folder });
}

async function isInstalled(name: string): Promise<boolean> {
  const status = await run('dpkg-query', ['--status', name]).catch(() => undefined);
  return status?.stdout.includes('\nStatus: install ok installed') ?? false;
}
