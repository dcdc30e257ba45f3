// The ids under which clients know files and batches. A provider account is shared by everybody who calls through it, so its own
// ids must neither be told nor taken: a client's id holds where the object is, encrypted and signed for the API key that made
// it. To anybody else, and for any other kind of object, it opens to nothing. The same object always has the same id, and no
// instance has to remember any.
import { openBox, sealAlike } from '#shared/crypto/box.ts';

/** An object of a provider account. */
interface Place {
  /** As the configuration calls it. */
  readonly provider: string;
  /** The key of that provider under which the object lives; empty where it has none. */
  readonly providerKey: string;
  /** The provider's own id. */
  readonly id: string;
}

export interface FilePlace extends Place {
  /** What the file is to batches: checked requests for these models, or the results of a batch. */
  readonly role: BatchInput | BatchOutput | undefined;
}

export interface BatchInput {
  readonly kind: 'input';
  /** As the caller wrote them. */
  readonly models: readonly string[];
}

export interface BatchOutput {
  readonly kind: 'output';
  readonly batch: BatchPlace;
}

export interface BatchPlace extends Place {
  /** As the caller wrote them. */
  readonly models: readonly string[];
  /** In seconds since the epoch. Said here once, because the ledger knows the batch by it. */
  readonly createdAt: number;
}

/** What ids are sealed with: the fleet's key, and whose they are. */
export interface IdOwner {
  readonly sealingKey: Uint8Array;
  /** The API key. */
  readonly keyId: string;
}

const FILE = 'file-sb';
const BATCH = 'batch_sb';
/** Far more than any of ours has. */
const ID_LENGTH_MAX = 2048;

export function sealFile(owner: IdOwner, place: FilePlace): string {
  const { role } = place;
  const input = role?.kind === 'input' ? [role.models] : [];
  const output = role?.kind === 'output' ? [role.batch.id, role.batch.createdAt, role.batch.models] : [];
  return seal(owner, FILE, [...listOf(place), ...input, ...output]);
}

export function sealBatch(owner: IdOwner, place: BatchPlace): string {
  return seal(owner, BATCH, [...listOf(place), place.models, place.createdAt]);
}

/** Undefined for what is no file of this owner. */
export function openFile(owner: IdOwner, id: string): FilePlace | undefined {
  const opened = open(owner, FILE, id);
  if (opened === undefined) return undefined;
  const [provider, providerKey, ownId, first, createdAt, models] = opened as [
    string,
    string,
    string,
    (readonly string[] | string)?,
    number?,
    (readonly string[])?,
  ];
  const place = { provider, providerKey, id: ownId };
  if (first === undefined) return { ...place, role: undefined };
  if (typeof first !== 'string') return { ...place, role: { kind: 'input', models: first } };
  const batch = { provider, providerKey, id: first, models: models ?? [], createdAt: createdAt ?? 0 };
  return { ...place, role: { kind: 'output', batch } };
}

/** Undefined for what is no batch of this owner. */
export function openBatch(owner: IdOwner, id: string): BatchPlace | undefined {
  const opened = open(owner, BATCH, id);
  if (opened === undefined) return undefined;
  const [provider, providerKey, ownId, models, createdAt] = opened as [
    string,
    string,
    string,
    readonly string[],
    number,
  ];
  return { provider, providerKey, id: ownId, models, createdAt };
}

function listOf({ provider, providerKey, id }: Place): unknown[] {
  return [provider, providerKey, id];
}

function seal({ sealingKey, keyId }: IdOwner, prefix: string, place: readonly unknown[]): string {
  const box = sealAlike(sealingKey, Buffer.from(JSON.stringify(place)), `${prefix}|${keyId}`);
  return prefix + box.toString('base64url');
}

function open({ sealingKey, keyId }: IdOwner, prefix: string, id: string): unknown {
  if (!id.startsWith(prefix) || id.length > ID_LENGTH_MAX) return undefined;
  try {
    const box = Buffer.from(id.slice(prefix.length), 'base64url');
    // What opens was sealed here, so it has the form that it was given.
    return JSON.parse(openBox(sealingKey, box, `${prefix}|${keyId}`).toString('utf8'));
  } catch {
    return undefined;
  }
}
