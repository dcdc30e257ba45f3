// A configuration in force: its resources, what was compiled from them, and the proof of where it came from. A transfer,
// from a stream or from the disk, becomes the next one here: signature, keys, chunks, digest, compilation, in this
// order, each able to refuse. Only the caller swaps the pointer, and only for a whole one.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { ResourceType, SecretSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import type { SealedKey } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { openSealedKey } from '#shared/crypto/sealed-key.ts';
import { Slices } from '#shared/slices.ts';
import { type Compilation, compile, type ProviderFor } from './compile.ts';
import { fits, type RefusalReason, type Transfer } from './receiver.ts';
import { applyChunks, ResourceSet } from './resource-set.ts';

export interface Configuration {
  readonly historyId: string;
  readonly revision: bigint;
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  /** The fleet's secret keys as they were sealed to this node, and opened. */
  readonly sealedKeys: readonly SealedKey[];
  readonly secretKeys: ReadonlyMap<string, Uint8Array>;
  readonly compilation: Compilation;
}

export interface ApplyOptions {
  readonly transfer: Transfer;
  readonly running: Configuration | undefined;
  readonly sealingKey: KeyObject;
  /** Ed25519, raw. Undefined while no control plane has been seen. */
  readonly signingKey: Uint8Array | undefined;
  readonly providerFor: ProviderFor;
  readonly clock: Clock;
}

export type ApplyResult =
  | { readonly type: 'applied'; readonly configuration: Configuration }
  | { readonly type: 'refused'; readonly reasons: readonly RefusalReason[] };

// The fixed DER prefix of an Ed25519 SubjectPublicKeyInfo; the raw key follows.
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export async function applyTransfer(options: ApplyOptions): Promise<ApplyResult> {
  const { transfer, running } = options;
  const base = { historyId: running?.historyId ?? '', revision: running?.revision ?? 0n };
  if (!fits(transfer, base)) {
    const message = `A delta from revision ${transfer.fromRevision} does not fit revision ${base.revision}.`;
    return refused('base_mismatch', message);
  }
  if (!isSigned(options)) {
    const message = `The signature of revision ${transfer.toRevision} is not by the key this node trusts.`;
    return refused('signature', message);
  }
  if (running !== undefined && isSame(running, transfer)) return { type: 'applied', configuration: running };
  const keys = openKeys(options);
  if (keys.type === 'refused') return keys;
  return await build(options, keys);
}

async function build(options: ApplyOptions, keys: FleetKeys): Promise<ApplyResult> {
  const { transfer, running, providerFor, clock } = options;
  const slices = new Slices(clock);
  const base = transfer.full ? ResourceSet.empty : (running?.compilation.resources ?? ResourceSet.empty);
  let applied: Awaited<ReturnType<typeof applyChunks>>;
  try {
    applied = await applyChunks(base, transfer.chunks, slices);
  } catch (error) {
    const message = `The transfer cannot be read: ${(error as Error).message}`;
    return refused('malformed', message);
  }
  const { resources, touched } = applied;
  if (!resources.digest().equals(transfer.digest)) {
    const message = `After revision ${transfer.toRevision} this node holds something else than it should.`;
    return refused('digest_mismatch', message);
  }
  const result = await compile({
    revision: transfer.toRevision,
    resources,
    ...(running !== undefined && { previous: running.compilation }),
    ...(!transfer.full && running !== undefined && { touched }),
    providerFor,
    secretKeys: keys.secretKeys,
    slices,
  });
  if (result.type === 'refused') return result;
  const configuration: Configuration = Object.freeze({
    historyId: transfer.historyId,
    revision: transfer.toRevision,
    digest: transfer.digest,
    signature: transfer.signature,
    ...onlyUsed(keys, resources),
    compilation: result.compilation,
  });
  return { type: 'applied', configuration };
}

function refused(code: string, message: string): ApplyResult {
  return { type: 'refused', reasons: [{ code, message }] };
}

function isSame(running: Configuration, transfer: Transfer): boolean {
  return (
    running.historyId === transfer.historyId &&
    running.revision === transfer.toRevision &&
    Buffer.compare(running.digest, transfer.digest) === 0
  );
}

/** The text that a control plane signs. */
function signedText({ historyId, toRevision, digest }: Transfer): Buffer {
  return Buffer.from(`signalbox-config|${historyId}|${toRevision}|${Buffer.from(digest).toString('hex')}`);
}

function isSigned({ transfer, signingKey }: ApplyOptions): boolean {
  if (signingKey === undefined) return false;
  const spki = Buffer.concat([SPKI_PREFIX, signingKey]);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return verify(null, signedText(transfer), key, transfer.signature);
}

interface FleetKeys extends Pick<Configuration, 'sealedKeys' | 'secretKeys'> {
  readonly type: 'opened';
}

/** The keys this transfer brings, beside those already here: a delta leaves out what has been sent before. */
function openKeys({
  transfer,
  running,
  sealingKey,
}: ApplyOptions): FleetKeys | Extract<ApplyResult, { type: 'refused' }> {
  const sealed = new Map((running?.sealedKeys ?? []).map((key) => [key.keyId, key]));
  const opened = new Map(running?.secretKeys);
  for (const key of transfer.sealedKeys) {
    // Every delta carries the key again; opening it costs more than applying a small one.
    if (!transfer.full && opened.has(key.keyId)) continue;
    try {
      opened.set(key.keyId, openSealedKey(sealingKey, key));
      sealed.set(key.keyId, key);
    } catch {
      const message = `The secret key "${key.keyId}" is not sealed to this node.`;
      return { type: 'refused', reasons: [{ field: 'sealed_key', code: 'secret_unavailable', message }] };
    }
  }
  return { type: 'opened', sealedKeys: [...sealed.values()], secretKeys: opened };
}

/** After a rotation the old key is kept no longer than a secret needs it. */
function onlyUsed(
  { sealedKeys, secretKeys }: FleetKeys,
  resources: ResourceSet,
): Pick<Configuration, 'sealedKeys' | 'secretKeys'> {
  if (sealedKeys.length <= 1) return { sealedKeys, secretKeys };
  const used = new Set<string>();
  for (const [, entry] of resources.ofType(ResourceType.SECRET)) {
    used.add(fromBinary(SecretSchema, entry.payload).keyId);
  }
  return {
    sealedKeys: sealedKeys.filter((key) => used.has(key.keyId)),
    secretKeys: new Map([...secretKeys].filter(([id]) => used.has(id))),
  };
}
