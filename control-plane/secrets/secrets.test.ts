// Keys that live in the data directory or come from the environment.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '#shared/secret.ts';
import { loadAdminKey } from './admin-key.ts';
import { localKeyEncryption } from './key-encryption.ts';
import { loadRootKeys } from './root-key.ts';

let dataDirectory: string;
beforeEach(() => {
  dataDirectory = join(mkdtempSync(join(tmpdir(), 'signalbox-test-secrets-')), 'data');
});
afterEach(() => rmSync(join(dataDirectory, '..'), { recursive: true, force: true }));

const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'invalid_configuration', message: expect.stringMatching(message) });
const thrownBy = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('the admin key', () => {
  test('is made once, for its owner only, and found again', () => {
    const first = loadAdminKey({ masterKey: undefined, dataDirectory });
    const again = loadAdminKey({ masterKey: undefined, dataDirectory });
    expect(again.key.reveal()).toBe(first.key.reveal());
    expect(first.key.reveal().length).toBeGreaterThan(40);
    expect(statSync(first.file!).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDirectory)).toEqual(['admin.key']);
  });

  test('can be given, and is not written down then', () => {
    const { key, file } = loadAdminKey({ masterKey: new Secret('a-key-of-my-own-choice'), dataDirectory });
    expect([key.reveal(), file]).toEqual(['a-key-of-my-own-choice', undefined]);
    expect(thrownBy(() => statSync(dataDirectory))).toBeDefined();
  });

  test('is refused when it could be guessed', () => {
    const error = thrownBy(() => loadAdminKey({ masterKey: new Secret('hunter2'), dataDirectory }));
    expect(error).toEqual(refused(/SIGNALBOX_MASTER_KEY .* 16 characters/));
    expect(String(error)).not.toContain('hunter2');
  });

  test.each([
    ['others may read it', (file: string) => chmodSync(file, 0o644), /chmod 600/],
    ['it is empty', (file: string) => writeFileSync(file, ''), /empty/],
  ])('is refused when %s', (_what, spoil, message) => {
    const { file } = loadAdminKey({ masterKey: undefined, dataDirectory });
    spoil(file!);
    expect(thrownBy(() => loadAdminKey({ masterKey: undefined, dataDirectory }))).toEqual(refused(message));
  });
});

describe('the encryption key', () => {
  const bytes = Buffer.alloc(32, 9);
  const load = (encryptionKey?: string) =>
    loadRootKeys({
      encryptionKey: encryptionKey === undefined ? undefined : new Secret(encryptionKey),
      dataDirectory,
    });

  test('is made once and gives the same keys for ever', () => {
    expect(load()).toEqual(load());
    expect(readFileSync(join(dataDirectory, 'encryption.key'), 'utf8').trim()).toMatch(/^[\w+/]{43}=$/);
  });

  test('gives a different key for each purpose', () => {
    const keys = Object.values(load()).map((key) => key.toString('hex'));
    expect(new Set(keys).size).toBe(3);
  });

  test('means the same in every way of writing it', () => {
    const written = [
      bytes.toString('base64'),
      bytes.toString('base64url'),
      bytes.toString('hex'),
      ` ${bytes.toString('base64')}\n`,
    ];
    for (const text of written) expect(load(text)).toEqual(load(written[0]));
  });

  test.each(['short', `${bytes.toString('base64')}!`, bytes.toString('hex').slice(2), '!'.repeat(43)])(
    '"%s" is refused with a way to make one',
    (text) => {
      const error = thrownBy(() => load(text));
      expect(error).toEqual(refused(/openssl rand -base64 32/));
      expect(String(error)).not.toContain(text);
    },
  );
});

test('a wrapped key opens only with the same key and under the same name', async () => {
  const one = localKeyEncryption(Buffer.alloc(32, 1));
  const wrapped = await one.wrap(Buffer.from('inner'), 'fleet|a');
  expect((await one.unwrap(wrapped, 'fleet|a')).toString()).toBe('inner');
  await expect(one.unwrap(wrapped, 'fleet|b')).rejects.toThrow();
  await expect(localKeyEncryption(Buffer.alloc(32, 2)).unwrap(wrapped, 'fleet|a')).rejects.toThrow();
});
