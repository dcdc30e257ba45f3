import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DataDirectory, openDataDirectory } from './data-directory.ts';

const isRoot = process.geteuid?.() === 0;
let parent: string;
let path: string;
let opened: DataDirectory | undefined;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'signalbox-data-'));
  path = join(parent, 'data');
});
afterEach(() => {
  opened?.release();
  opened = undefined;
  chmodSync(parent, 0o700);
  rmSync(parent, { recursive: true });
});

const open = async () => {
  opened = await openDataDirectory(path);
  return opened;
};
const holderFile = () => join(path, 'instance.lock');

test('a directory is made, for its owner only', async () => {
  await open();
  expect(statSync(path).mode & 0o077 & ~0o011).toBe(0);
});

test('a directory in use is refused with what to do, and free again afterwards', async () => {
  const first = await open();
  await expect(openDataDirectory(path)).rejects.toThrow(
    new RegExp(`another Signalbox \\(process ${process.pid} .*choose another directory with --data-dir`),
  );
  first.release();
  await open();
  expect(readdirSync(path)).toEqual(['instance.lock']);
});

test('of several that start at once exactly one gets it', async () => {
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => openDataDirectory(path)));
  const winners = results.filter((result) => result.status === 'fulfilled');
  expect(winners).toHaveLength(1);
  winners[0]!.value.release();
});

describe('a lock that was left behind does not count', () => {
  test('when its process is gone', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    (await open()).release();
    writeFileSync(holderFile(), JSON.stringify({ pid: child.pid, started: '1', host: hostname() }));
    await open();
    expect(JSON.parse(readFileSync(holderFile(), 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test('when its number belongs to another process now', async () => {
    (await open()).release();
    writeFileSync(
      holderFile(),
      JSON.stringify({ pid: process.ppid, started: 'another time', host: hostname() }),
    );
    await open();
  });

  test('when it cannot be read', async () => {
    (await open()).release();
    writeFileSync(holderFile(), '');
    await open();
  });

  test('when it is of another machine and falls silent', async () => {
    (await open()).release();
    writeFileSync(holderFile(), JSON.stringify({ pid: 1, started: '1', host: 'elsewhere' }));
    await open();
  });
});

test('a lock of another machine that is kept alive counts', async () => {
  (await open()).release();
  writeFileSync(holderFile(), JSON.stringify({ pid: 1, started: '1', host: 'elsewhere' }));
  const heartbeat = setInterval(() => utimesSync(holderFile(), new Date(), new Date()), 200);
  await expect(openDataDirectory(path)).rejects.toThrow(/process 1 on elsewhere/);
  clearInterval(heartbeat);
});

test('a path that cannot be a directory says which and what to do', async () => {
  path = join(parent, 'file');
  writeFileSync(path, '');
  await expect(open()).rejects.toThrow(
    /the data directory .*file cannot be written .*--data-dir or SIGNALBOX_DATA_DIR/,
  );
});

test.runIf(!isRoot)('a directory that may not be written says which and what to do', async () => {
  chmodSync(parent, 0o500);
  await expect(open()).rejects.toThrow(/cannot be written .*make it writable/);
  expect(existsSync(path)).toBe(false);
});
