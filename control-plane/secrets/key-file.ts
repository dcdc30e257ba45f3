// Secrets that live in the data directory: made once, readable by their owner only, and never half written, even when two
// processes start on one directory at the same moment.
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import { Secret } from '#shared/secret.ts';

const OWNER_ONLY = 0o600;

export function readOrCreateKeyFile(path: string, make: () => string): Secret {
  try {
    return read(path) ?? create(path, make());
  } catch (error) {
    if (error instanceof SignalboxError) throw error;
    const { message } = error as Error;
    throw new SignalboxError(
      'invalid_configuration',
      `${path} cannot be read or written (${message}). Make the data directory writable for this user.`,
      { cause: error },
    );
  }
}

function read(path: string): Secret | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new SignalboxError(
      'invalid_configuration',
      `${path} can be read by other users. Run: chmod 600 ${path}`,
    );
  }
  if (text === '') {
    throw new SignalboxError(
      'invalid_configuration',
      `${path} is empty. Restore it from a backup, or delete it to have a new one made.`,
    );
  }
  return new Secret(text);
}

function create(path: string, value: string): Secret {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${prefixedId('new')}`;
  writeFileSync(temporary, `${value}\n`, { mode: OWNER_ONLY, flag: 'wx', flush: true });
  try {
    // Unlike a rename, a link never replaces what another process has put there meanwhile.
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary);
  }
  return read(path)!;
}
