// Python client libraries, installed from the package index into a virtual environment in the cache. Tests that need them run
// where there is a Python, and say so where there is none.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cacheFolder = resolve(import.meta.dirname, '../../.cache/python');
const INSTALL_MS_MAX = 240_000;

/** Undefined where there is no Python 3 at all; a Python that cannot install these packages is an error. */
export async function pythonWith(packages: readonly string[]): Promise<string | undefined> {
  if (!(await hasPython())) return undefined;
  const name = createHash('sha256').update(packages.join()).digest('hex').slice(0, 16);
  const folder = join(cacheFolder, name);
  if (!existsSync(folder)) await install(folder, packages);
  return join(folder, 'bin/python');
}

async function hasPython(): Promise<boolean> {
  return run('python3', ['-c', 'import sys; assert sys.version_info >= (3, 9); import venv, ensurepip']).then(
    () => true,
    () => false,
  );
}

/** Under another name first, so that an interrupted installation is never taken for a whole one. */
async function install(folder: string, packages: readonly string[]): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  mkdirSync(cacheFolder, { recursive: true });
  try {
    await run('python3', ['-m', 'venv', '--copies', draft]);
    const flags = ['--quiet', '--disable-pip-version-check', '--no-input'];
    const command = ['-m', 'pip', 'install', ...flags, ...packages];
    await run(join(draft, 'bin/python'), command, { timeout: INSTALL_MS_MAX });
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

export async function runPython(python: string, script: string, input: unknown): Promise<unknown> {
  const child = run(python, [script], { timeout: INSTALL_MS_MAX, maxBuffer: 16 * 1024 * 1024 });
  child.child.stdin!.end(JSON.stringify(input));
  const { stdout } = await child;
  return JSON.parse(stdout);
}
