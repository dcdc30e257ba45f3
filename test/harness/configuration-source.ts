// A stand-in for what a control plane knows, small enough to hold in one hand: resources with versions, the keys that
// sign and seal, and transfers between any two revisions. Everything it makes is real, so a test can take one byte of
// it and change that.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AliasSchema,
  ApiKeySchema,
  DeploymentSchema,
  ProviderSchema,
  ResourceBatchSchema,
  ResourceType,
  RouteSchema,
  SecretSchema,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { Encoding, type SyncResponseSchema } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { ConfigurationDigest } from '#shared/configuration-digest.ts';
import { apiKeyHmac, newApiKey, preparePepper } from '#shared/crypto/api-key.ts';
import { newKey, sealBox } from '#shared/crypto/box.ts';
import { sealKeyTo } from '#shared/crypto/sealed-key.ts';
import { prefixedId } from '#shared/ids.ts';

type SyncMessage = NonNullable<MessageInitShape<typeof SyncResponseSchema>['message']>;
export type TransferMessage = Extract<SyncMessage, { case: 'begin' | 'chunk' | 'commit' }>;

interface Row {
  readonly type: ResourceType;
  readonly name: string;
  readonly version: bigint;
  /** Undefined once removed. */
  readonly payload: Uint8Array | undefined;
}

const RAW_KEY_BYTES = 32;
const ROWS_PER_CHUNK = 500;

export class ConfigurationSource {
  historyId = prefixedId('history');
  revision = 0n;
  readonly signingKey: Uint8Array;
  readonly #signingPrivateKey: KeyObject;
  readonly #fleetKey = { id: 'fleet-1', key: newKey() };
  readonly #pepper = newKey();
  readonly #rows = new Map<string, Row>();

  constructor() {
    const { privateKey } = generateKeyPairSync('ed25519');
    this.#signingPrivateKey = privateKey;
    const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    this.signingKey = spki.subarray(-RAW_KEY_BYTES);
    this.secret('api-key-pepper', this.#pepper);
  }

  provider(message: MessageInitShape<typeof ProviderSchema> & { name: string }): this {
    return this.put(
      ResourceType.PROVIDER,
      message.name,
      toBinary(ProviderSchema, create(ProviderSchema, message)),
    );
  }

  deployment(message: MessageInitShape<typeof DeploymentSchema> & { id: string }): this {
    const payload = toBinary(DeploymentSchema, create(DeploymentSchema, message));
    return this.put(ResourceType.DEPLOYMENT, message.id, payload);
  }

  alias(name: string, target: string): this {
    return this.put(ResourceType.ALIAS, name, toBinary(AliasSchema, create(AliasSchema, { name, target })));
  }

  route(message: MessageInitShape<typeof RouteSchema> & { slug: string }): this {
    return this.put(ResourceType.ROUTE, message.slug, toBinary(RouteSchema, create(RouteSchema, message)));
  }

  secret(name: string, plaintext: string | Uint8Array): this {
    const { id: keyId, key } = this.#fleetKey;
    const box = sealBox(key, Buffer.from(plaintext), `${name}|${keyId}`);
    return this.put(
      ResourceType.SECRET,
      name,
      toBinary(SecretSchema, create(SecretSchema, { id: name, keyId, box })),
    );
  }

  /** Adds a key and returns what its owner presents. */
  key(id: string, message: MessageInitShape<typeof ApiKeySchema> = {}): string {
    const presented = newApiKey();
    const hmac = apiKeyHmac(preparePepper(this.#pepper), presented);
    this.put(
      ResourceType.API_KEY,
      id,
      toBinary(ApiKeySchema, create(ApiKeySchema, { id, name: id, hmac, ...message })),
    );
    return presented;
  }

  put(type: ResourceType, name: string, payload: Uint8Array): this {
    this.#write(type, name, payload);
    return this;
  }

  remove(type: ResourceType, name: string): this {
    this.#write(type, name, undefined);
    return this;
  }

  payload(type: ResourceType, name: string): Uint8Array {
    return this.#rows.get(`${type}/${name}`)!.payload!;
  }

  digest(): Buffer {
    const digest = ConfigurationDigest.empty();
    for (const row of this.#rows.values()) {
      if (row.payload !== undefined) digest.add(row.type, row.name, row.version);
    }
    return digest.bytes();
  }

  /** Begin, chunks and Commit that bring a node from a revision, or from nothing, to this one. */
  transfer(options: {
    nonce: bigint;
    sealingKey: Uint8Array;
    from?: bigint;
    encoding?: Encoding;
  }): TransferMessage[] {
    const { nonce, sealingKey, from, encoding = Encoding.GZIP } = options;
    const rows = [...this.#rows.values()].filter((row) =>
      from === undefined ? row.payload !== undefined : row.version > from,
    );
    const chunks: Uint8Array[] = [];
    for (let start = 0; start < rows.length; start += ROWS_PER_CHUNK) {
      const batch = toBatch(rows.slice(start, start + ROWS_PER_CHUNK));
      chunks.push(encoding === Encoding.GZIP ? gzipSync(batch, { level: 1 }) : batch);
    }
    const all = Buffer.concat(chunks);
    const digest = this.digest();
    return [
      {
        case: 'begin',
        value: {
          nonce,
          historyId: this.historyId,
          fromRevision: from ?? 0n,
          toRevision: this.revision,
          full: from === undefined,
          totalBytes: BigInt(all.length),
          sha256: createHash('sha256').update(all).digest(),
          sealedKey: sealKeyTo(sealingKey, this.#fleetKey.key, this.#fleetKey.id),
        },
      },
      ...chunks.map((data): TransferMessage => ({ case: 'chunk', value: { nonce, data, encoding } })),
      { case: 'commit', value: { nonce, digest, signature: this.sign(digest) } },
    ];
  }

  sign(digest: Uint8Array): Buffer {
    const text = `signalbox-config|${this.historyId}|${this.revision}|${Buffer.from(digest).toString('hex')}`;
    return sign(null, Buffer.from(text), this.#signingPrivateKey);
  }

  #write(type: ResourceType, name: string, payload: Uint8Array | undefined): void {
    this.revision += 1n;
    this.#rows.set(`${type}/${name}`, { type, name, version: this.revision, payload });
  }
}

function toBatch(rows: readonly Row[]): Uint8Array {
  const batch = create(ResourceBatchSchema, {
    upserts: rows.flatMap(({ type, name, version, payload }) =>
      payload === undefined ? [] : [{ type, name, version, payload }],
    ),
    removals: rows.filter((row) => row.payload === undefined).map(({ type, name }) => ({ type, name })),
  });
  return toBinary(ResourceBatchSchema, batch);
}
