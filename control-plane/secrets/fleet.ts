// Secrets that all replicas share and that nobody types in: the signing key, the authority, the key sealed to nodes. The
// first replica that needs one makes it; the others find it. A database opened with another encryption key is recognised
// before anything is written to it.
import { randomBytes } from 'node:crypto';
import { SignalboxError } from '#shared/errors.ts';
import type { Db } from '../store/database.ts';
import { readOrInsertFleetSecret } from '../store/secrets.ts';
import type { KeyEncryption } from './key-encryption.ts';

export interface FleetSecrets {
  /** The secret of this name; `make` is asked when there is none yet, and what it makes may lose to another replica's. */
  loadOrCreate(name: string, make: () => Buffer | Promise<Buffer>): Promise<Buffer>;
}

const CHECK_NAME = 'encryption-check';
const CHECK_BYTES = 16;

export async function openFleetSecrets(db: Db, keyEncryption: KeyEncryption): Promise<FleetSecrets> {
  const fleet: FleetSecrets = {
    async loadOrCreate(name, make) {
      const about = `fleet|${name}`;
      const box = await readOrInsertFleetSecret(db, name, async () =>
        keyEncryption.wrap(await make(), about),
      );
      return keyEncryption.unwrap(box, about).catch((cause: unknown) => {
        throw wrongEncryptionKey(cause);
      });
    },
  };
  await fleet.loadOrCreate(CHECK_NAME, () => randomBytes(CHECK_BYTES));
  return fleet;
}

function wrongEncryptionKey(cause: unknown): SignalboxError {
  return new SignalboxError(
    'invalid_configuration',
    'The encryption key is not the one this database was set up with. Give every control plane the same ' +
      'SIGNALBOX_ENCRYPTION_KEY, or put the encryption.key file of the first one into its data directory.',
    { cause },
  );
}
