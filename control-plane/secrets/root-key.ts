// The one key that is not in the database and from which every other key of the control plane follows. It comes from the
// environment, or is made once in the data directory. Whoever loses it loses the stored provider credentials; whoever
// copies the database without it has copied nothing readable.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { deriveKey, KEY_BYTES } from '#shared/crypto/box.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { Secret } from '#shared/secret.ts';
import { readOrCreateKeyFile } from './key-file.ts';

export interface RootKeys {
  /** Wraps data keys and the fleet's secrets. */
  readonly keyEncryption: Buffer;
  /** What API keys are hashed with; kept outside the database. */
  readonly apiKeyPepper: Buffer;
  /** Tells equal provider credentials from different ones without opening them. */
  readonly fingerprint: Buffer;
}

export function loadRootKeys(options: {
  encryptionKey: Secret | undefined;
  dataDirectory: string;
}): RootKeys {
  const path = join(options.dataDirectory, 'encryption.key');
  const given = options.encryptionKey;
  const text = given ?? readOrCreateKeyFile(path, () => randomBytes(KEY_BYTES).toString('base64'));
  const root = decode(text, given ? 'SIGNALBOX_ENCRYPTION_KEY' : path);
  return {
    keyEncryption: deriveKey(root, 'key-encryption'),
    apiKeyPepper: deriveKey(root, 'api-key-pepper'),
    fingerprint: deriveKey(root, 'secret-fingerprint'),
  };
}

function decode(secret: Secret, where: string): Buffer {
  const text = secret.reveal().trim();
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : decodeBase64(text);
  if (bytes?.length === KEY_BYTES) return bytes;
  throw new SignalboxError(
    'invalid_configuration',
    `${where} must be ${KEY_BYTES} random bytes in base64 or hexadecimal. Make one with: openssl rand -base64 ${KEY_BYTES}`,
  );
}

/** Buffer.from skips what is not base64; a key with a typo must not become another key. */
function decodeBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/_-]{42,43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}
