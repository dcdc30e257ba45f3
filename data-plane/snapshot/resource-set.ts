// All resources that make up one configuration, immutable, with the digest of what they are. A transfer is applied to a
// set by building another one beside it, in slices; whoever holds the first keeps it whole, and an interrupted transfer
// leaves nothing behind.
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import {
  ResourceBatchSchema,
  ResourceRefSchema,
  ResourceSchema,
  type ResourceType,
} from '#proto/signalbox/config/v1/config_pb.ts';
import { type Chunk, Encoding } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { ConfigurationDigest } from '#shared/configuration-digest.ts';
import { limits } from '#shared/limits.ts';
import type { Slices } from '#shared/slices.ts';
import { ShardedMap } from './sharded-map.ts';

export interface ResourceEntry {
  readonly version: bigint;
  /** The serialized message of the resource's type. */
  readonly payload: Uint8Array;
}

/** What a delta touched: names by type. */
export type Touched = ReadonlyMap<ResourceType, ReadonlySet<string>>;

type EntriesByType = ReadonlyMap<ResourceType, ShardedMap<ResourceEntry>>;

export class ResourceSet {
  static readonly empty = new ResourceSet(new Map(), ConfigurationDigest.empty());

  readonly #entries: EntriesByType;
  readonly #digest: ConfigurationDigest;

  private constructor(entries: EntriesByType, digest: ConfigurationDigest) {
    this.#entries = entries;
    this.#digest = digest;
  }

  get size(): number {
    return this.#entries.values().reduce((sum, entries) => sum + entries.size, 0);
  }

  get types(): readonly ResourceType[] {
    return [...this.#entries.keys()];
  }

  count(type: ResourceType): number {
    return this.#entries.get(type)?.size ?? 0;
  }

  get(type: ResourceType, name: string): ResourceEntry | undefined {
    return this.#entries.get(type)?.get(name);
  }

  *ofType(type: ResourceType): Generator<[string, ResourceEntry]> {
    const entries = this.#entries.get(type);
    if (entries !== undefined) yield* entries.entries();
  }

  digest(): Buffer {
    return this.#digest.bytes();
  }

  edit(): ResourceSetEdit {
    return new ResourceSetEdit(
      this.#entries,
      this.#digest.copy(),
      (entries, digest) => new ResourceSet(entries, digest),
    );
  }
}

export class ResourceSetEdit {
  readonly #base: EntriesByType;
  readonly #edits = new Map<ResourceType, ReturnType<ShardedMap<ResourceEntry>['edit']>>();
  readonly #touched = new Map<ResourceType, Set<string>>();
  readonly #digest: ConfigurationDigest;
  readonly #finish: (entries: EntriesByType, digest: ConfigurationDigest) => ResourceSet;

  constructor(
    base: EntriesByType,
    digest: ConfigurationDigest,
    finish: (entries: EntriesByType, digest: ConfigurationDigest) => ResourceSet,
  ) {
    this.#base = base;
    this.#digest = digest;
    this.#finish = finish;
  }

  upsert(type: ResourceType, name: string, entry: ResourceEntry): void {
    const edit = this.#editOf(type, name);
    const before = edit.get(name);
    if (before !== undefined) this.#digest.remove(type, name, before.version);
    this.#digest.add(type, name, entry.version);
    edit.set(name, entry);
  }

  /** Removing what is not there is no mistake: a removal may be told twice. */
  remove(type: ResourceType, name: string): void {
    const edit = this.#editOf(type, name);
    const before = edit.get(name);
    if (before === undefined) return;
    this.#digest.remove(type, name, before.version);
    edit.delete(name);
  }

  get touched(): Touched {
    return this.#touched;
  }

  finish(): ResourceSet {
    const entries = new Map(this.#base);
    for (const [type, edit] of this.#edits) entries.set(type, edit.finish());
    return this.#finish(entries, this.#digest);
  }

  #editOf(type: ResourceType, name: string): ReturnType<ShardedMap<ResourceEntry>['edit']> {
    let edit = this.#edits.get(type);
    let touched = this.#touched.get(type);
    if (edit === undefined || touched === undefined) {
      edit = (this.#base.get(type) ?? ShardedMap.empty<ResourceEntry>()).edit();
      touched = new Set();
      this.#edits.set(type, edit);
      this.#touched.set(type, touched);
    }
    touched.add(name);
    return edit;
  }
}

/** Applies chunks on top of `base`. Throws when a chunk cannot be read; `base` is never changed. */
export async function applyChunks(
  base: ResourceSet,
  chunks: readonly Pick<Chunk, 'data' | 'encoding'>[],
  slices: Slices,
): Promise<{ readonly resources: ResourceSet; readonly touched: Touched }> {
  const edit = base.edit();
  for (const chunk of chunks) {
    const batch = await decodeChunk(chunk);
    for (const change of readBatch(batch)) {
      if (change.kind === 'removal') edit.remove(change.type, change.name);
      else edit.upsert(change.type, change.name, change.entry);
      if (slices.due) await slices.rest();
    }
  }
  return { resources: edit.finish(), touched: edit.touched };
}

const gunzipInBackground = promisify(gunzip);

const decoders: Readonly<Record<number, (data: Uint8Array) => Promise<Uint8Array>>> = {
  [Encoding.IDENTITY]: async (data) => data,
  [Encoding.GZIP]: (data) => gunzipInBackground(data, { maxOutputLength: limits.syncChunkDecodedBytesMax }),
};

async function decodeChunk(chunk: Pick<Chunk, 'data' | 'encoding'>): Promise<Uint8Array> {
  const decode = decoders[chunk.encoding];
  if (decode === undefined) throw new Error(`chunk encoding ${chunk.encoding} is not known to this build`);
  return await decode(chunk.data);
}

type Change =
  | {
      readonly kind: 'upsert';
      readonly type: ResourceType;
      readonly name: string;
      readonly entry: ResourceEntry;
    }
  | { readonly kind: 'removal'; readonly type: ResourceType; readonly name: string };

// A batch is read entry by entry rather than decoded at once: one with ten thousand keys would stall the event loop.
function* readBatch(batch: Uint8Array): Generator<Change> {
  const reader = new BinaryReader(batch);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    switch (field) {
      case ResourceBatchSchema.field.upserts.number: {
        const { type, name, version, payload } = fromBinary(ResourceSchema, reader.bytes());
        yield { kind: 'upsert', type, name, entry: { version, payload } };
        break;
      }
      case ResourceBatchSchema.field.removals.number: {
        const { type, name } = fromBinary(ResourceRefSchema, reader.bytes());
        yield { kind: 'removal', type, name };
        break;
      }
      default:
        reader.skip(wireType, field);
    }
  }
}
