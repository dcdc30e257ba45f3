// The key of the admin API: given by the operator, or made once in the data directory.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SignalboxError } from '#shared/errors.ts';
import { Secret } from '#shared/secret.ts';
import { readOrCreateKeyFile } from './key-file.ts';

const PREFIX = 'sba-';
const KEY_BYTES = 32;
/** Shorter keys can be guessed over the network. */
const CHARS_MIN = 16;

export interface AdminKey {
  readonly key: Secret;
  /** Where it is kept; undefined when the operator gave it. */
  readonly file: string | undefined;
}

export function loadAdminKey(options: { masterKey: Secret | undefined; dataDirectory: string }): AdminKey {
  const { masterKey } = options;
  if (masterKey === undefined) {
    const file = join(options.dataDirectory, 'admin.key');
    return {
      key: readOrCreateKeyFile(file, () => PREFIX + randomBytes(KEY_BYTES).toString('base64url')),
      file,
    };
  }
  const text = masterKey.reveal();
  if (text.length < CHARS_MIN || /\s/.test(text)) {
    throw new SignalboxError(
      'invalid_configuration',
      `SIGNALBOX_MASTER_KEY must have at least ${CHARS_MIN} characters and no spaces. Make one with: openssl rand -hex 32`,
    );
  }
  return { key: new Secret(text), file: undefined };
}
