import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const script = fileURLToPath(new URL('ensure.js', import.meta.url));
let root: string;

/** A project that needs one package to run and one to develop. */
const lock = {
  packages: {
    '': {},
    'node_modules/needed': { version: '1.0.0' },
    'node_modules/tool': { version: '1.0.0', dev: true },
    'node_modules/other-platform': { version: '1.0.0', optional: true },
  },
};

/** An npm that notes how it was called and installs nothing, or fails with what it was told to say. */
const fakeNpm = `
const fs = require('node:fs');
fs.appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n');
if (process.env.NPM_SAYS) { console.error(process.env.NPM_SAYS); process.exit(1); }
fs.mkdirSync('node_modules', { recursive: true });
`;

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'signalbox-ensure-'));
  write('package.json', '{"type":"module"}');
  write('package-lock.json', JSON.stringify(lock));
  write('npm/npm-cli.cjs', fakeNpm);
  mkdirSync(join(root, 'cli'));
  copyFileSync(script, join(root, 'cli', 'ensure.js'));
});
afterEach(() => rmSync(root, { recursive: true }));

function ensure(flavour: string, environment: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'cli', 'ensure.js'), flavour], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, npm_execpath: join(root, 'npm', 'npm-cli.cjs'), ...environment },
  });
  return { status, stdout, stderr };
}

function calls(): string[] {
  const path = join(root, 'calls');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

describe('dependencies are installed', () => {
  test('when there are none, and not again', () => {
    expect(ensure('run')).toMatchObject({ status: 0, stderr: '' });
    expect(ensure('run')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(calls()).toHaveLength(1);
    expect(calls()[0]).toMatch(/^ci --omit=dev /);
  });

  test('again when the lock file has changed', () => {
    ensure('run');
    write('package-lock.json', JSON.stringify({ packages: { 'node_modules/needed': { version: '2.0.0' } } }));
    ensure('run');
    expect(calls()).toHaveLength(2);
  });

  test('for development after they were installed to run, and not the other way round', () => {
    ensure('run');
    ensure('develop');
    expect(calls()[1]).toMatch(/^ci --include=dev /);
    ensure('run');
    expect(calls()).toHaveLength(2);
  });

  test('not when somebody has done it by hand', () => {
    const { '': _root, 'node_modules/other-platform': _other, ...installed } = lock.packages;
    write('node_modules/.package-lock.json', JSON.stringify({ packages: installed }));
    expect(ensure('develop')).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(calls()).toEqual([]);
  });

  test('when somebody has done half of it by hand', () => {
    const installed = { 'node_modules/needed': { version: '1.0.0' } };
    write('node_modules/.package-lock.json', JSON.stringify({ packages: installed }));
    ensure('run');
    expect(calls()).toEqual([]);
    ensure('develop');
    expect(calls()).toHaveLength(1);
  });
});

describe('a failure says what to do', () => {
  test('without a network', () => {
    const { status, stderr } = ensure('run', { NPM_SAYS: 'npm error code EAI_AGAIN' });
    expect(status).toBe(69);
    expect(stderr).toMatch(/^The package registry cannot be reached.*\nnpm error code EAI_AGAIN/);
    expect(existsSync(join(root, 'node_modules', '.signalbox-installed'))).toBe(false);
  });

  test('without npm', () => {
    const { status, stderr } = ensure('run', { npm_execpath: '', PATH: '/nowhere' });
    expect(status).toBe(69);
    expect(stderr).toMatch(/^npm is not installed/);
  });

  test('where node_modules cannot be written', () => {
    expect(ensure('run', { NPM_SAYS: 'npm error code EACCES' }).stderr).toMatch(
      /node_modules cannot be written/,
    );
  });

  test('and what npm said otherwise', () => {
    expect(ensure('run', { NPM_SAYS: 'something else' }).stderr).toBe('"npm ci" failed.\nsomething else\n');
  });
});
