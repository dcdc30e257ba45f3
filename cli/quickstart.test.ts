import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { quickstartKey } from './quickstart.ts';

let folder: string;
/** A control plane as far as keys go: a list of those that are valid. */
const valid = new Map<string, string>();
let made = 0;
const keys = {
  async createApiKey() {
    made++;
    valid.set(`key_${made}`, `sb-${made}`);
    return { id: `key_${made}`, key: `sb-${made}` };
  },
  async apiKeyExists(id: string) {
    return valid.has(id);
  },
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-quickstart-'));
  valid.clear();
  made = 0;
});
afterEach(() => rmSync(folder, { recursive: true }));

test('the key is made once and kept for its owner only', async () => {
  const key = await quickstartKey(keys, folder);
  expect(await quickstartKey(keys, folder)).toBe(key);
  expect(readFileSync(join(folder, 'quickstart.key'), 'utf8')).toBe(`${key}\n`);
  expect(statSync(join(folder, 'quickstart.key')).mode & 0o077).toBe(0);
});

test('a key that was revoked or lost is made again', async () => {
  const first = await quickstartKey(keys, folder);
  valid.clear();
  const second = await quickstartKey(keys, folder);
  expect(second).not.toBe(first);
  rmSync(join(folder, 'quickstart.key'));
  expect(await quickstartKey(keys, folder)).not.toBe(second);
});

test('a file that others could read is not written into', async () => {
  const file = join(folder, 'quickstart.key');
  writeFileSync(file, '');
  chmodSync(file, 0o644);
  await quickstartKey(keys, folder);
  expect(statSync(file).mode & 0o077).toBe(0);
});
