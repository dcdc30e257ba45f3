// Provider credentials, sealed twice for two readers: for the database under the organization's data key, and for data
// planes under the fleet's key, which each node receives sealed to itself. In the clear they exist only while a request
// that brings them is being answered.
import { createHash, createHmac } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { ResourceType, SecretSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { newKey, openBox, sealBox } from '#shared/crypto/box.ts';
import { prefixedId } from '#shared/ids.ts';
import type { Secret } from '#shared/secret.ts';
import type { ResourceId, ResourceValue } from '../domain/resources.ts';
import type { Db } from '../store/database.ts';
import { readOrInsertDataKey, type StoredProviderSecret } from '../store/secrets.ts';
import type { FleetSecrets } from './fleet.ts';
import type { KeyEncryption } from './key-encryption.ts';

/** Until there are organizations to tell apart, everything belongs to this one. */
const ORGANIZATION = 'default';
const PURPOSE = 'provider-key';
const SECRET_VERSION = 1;
const KEY_ID_CHARS = 16;
const HINT_CHARS = 4;
/** Of a shorter secret, four characters would be too much to show. */
const HINTED_CHARS_MIN = 16;

export interface FleetKey {
  readonly id: string;
  readonly key: Buffer;
}

export class ProviderSecrets {
  readonly #dataKey: Buffer;
  readonly #dataKeyVersion: number;
  readonly #fleetKey: FleetKey;
  readonly #fingerprintKey: Buffer;

  constructor(keys: {
    dataKey: Buffer;
    dataKeyVersion: number;
    fleetKey: FleetKey;
    fingerprintKey: Buffer;
  }) {
    this.#dataKey = keys.dataKey;
    this.#dataKeyVersion = keys.dataKeyVersion;
    this.#fleetKey = keys.fleetKey;
    this.#fingerprintKey = keys.fingerprintKey;
  }

  /** The row to store for a new secret of this provider. */
  seal(provider: string, secret: Secret): Omit<StoredProviderSecret, 'created_at'> {
    const id = prefixedId('sec');
    const plaintext = Buffer.from(secret.reveal());
    return {
      id,
      organization: ORGANIZATION,
      provider,
      version: SECRET_VERSION,
      data_key_version: this.#dataKeyVersion,
      box: sealBox(this.#dataKey, plaintext, about(ORGANIZATION, id, SECRET_VERSION)),
      hint: hintOf(secret.reveal()),
      fingerprint: this.fingerprint(secret),
    };
  }

  /** Equal for equal secrets, and of no use to anyone without the key. */
  fingerprint(secret: Secret): Buffer {
    return createHmac('sha256', this.#fingerprintKey).update(secret.reveal()).digest();
  }

  /** What data planes are told about a secret that is stored as this row. */
  resourceOf(row: Pick<StoredProviderSecret, 'id' | 'organization' | 'version' | 'box'>): ResourceValue {
    const plaintext = openBox(this.#dataKey, row.box, about(row.organization, row.id, row.version));
    return secretResource(this.#fleetKey, row.id, plaintext);
  }
}

export async function openProviderSecrets(
  db: Db,
  options: { keyEncryption: KeyEncryption; fleetKey: FleetKey; fingerprintKey: Buffer },
): Promise<ProviderSecrets> {
  const { keyEncryption, fleetKey, fingerprintKey } = options;
  const aboutKey = (version: number) => `data-key|${ORGANIZATION}|${version}`;
  const stored = await readOrInsertDataKey(db, ORGANIZATION, (version) =>
    keyEncryption.wrap(newKey(), aboutKey(version)),
  );
  const dataKey = await keyEncryption.unwrap(stored.wrapped, aboutKey(stored.version));
  return new ProviderSecrets({ dataKey, dataKeyVersion: stored.version, fleetKey, fingerprintKey });
}

export async function loadFleetKey(fleet: FleetSecrets): Promise<FleetKey> {
  const key = await fleet.loadOrCreate('fleet-key', newKey);
  return { key, id: createHash('sha256').update(key).digest('hex').slice(0, KEY_ID_CHARS) };
}

/** A resource that only holders of the fleet's key can read. */
export function secretResource(fleetKey: FleetKey, id: string, plaintext: Uint8Array): ResourceValue {
  const box = sealBox(fleetKey.key, plaintext, `${id}|${fleetKey.id}`);
  const message = create(SecretSchema, { id, keyId: fleetKey.id, box });
  return { ...secretResourceId(id), payload: toBinary(SecretSchema, message) };
}

export function secretResourceId(id: string): ResourceId {
  return { type: ResourceType.SECRET, name: id };
}

function about(organization: string, id: string, version: number): string {
  return `${organization}|${id}|${version}|${PURPOSE}`;
}

function hintOf(secret: string): string {
  return secret.length < HINTED_CHARS_MIN ? '…' : `…${secret.slice(-HINT_CHARS)}`;
}
