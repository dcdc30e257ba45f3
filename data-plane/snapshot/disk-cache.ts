// The last good configuration on disk, so that a node starts and serves while every control plane is gone. A file is a
// full transfer as it could have come over the wire, compressed, each frame sealed under the node's disk key and bound
// to its file, its place and whether it is the last: a frame cannot be moved, dropped or taken from an older file.
// Two files are kept; a damaged newest gives way to the one before it, and two damaged ones to none.
import { randomBytes } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Resource, ResourceBatchSchema, ResourceSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import {
  type Chunk,
  Encoding,
  type SealedKey,
  SyncResponseSchema,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { openBox, sealBox } from '#shared/crypto/box.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { Slices } from '#shared/slices.ts';
import type { Configuration } from './configuration.ts';
import { renameIfPresent, writeDurablyWith } from './durable-file.ts';
import type { StoredGeneration } from './high-water.ts';
import type { NodeIdentity } from './identity.ts';
import type { Transfer } from './receiver.ts';

const MAGIC = Buffer.from('SBXC\x01');
const FILE_ID_BYTES = 16;
const LENGTH_BYTES = 4;
/** Payload bytes after which a chunk is closed: small enough to encode and compress within a slice. */
const CHUNK_PAYLOAD_BYTES = 32 * 1024;

const fileNames = { current: 'configuration.current', previous: 'configuration.previous' } as const;
export type Generation = keyof typeof fileNames;
const generations: readonly Generation[] = ['current', 'previous'];

type Message = NonNullable<MessageInitShape<typeof SyncResponseSchema>['message']>;

export interface DiskCacheOptions {
  readonly identity: Pick<NodeIdentity, 'nodeId' | 'directory' | 'keys' | 'highWater'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DiskCache {
  readonly #options: DiskCacheOptions;

  constructor(options: DiskCacheOptions) {
    this.#options = options;
  }

  /** The generations that can be opened and may be started from, newest first. Never throws. */
  async *load(): AsyncGenerator<{ readonly generation: Generation; readonly transfer: Transfer }> {
    for (const generation of generations) {
      const transfer = await this.#loadOne(generation);
      if (transfer !== undefined) yield { generation, transfer };
    }
  }

  async store(configuration: Configuration): Promise<void> {
    const { identity } = this.#options;
    const fileId = randomBytes(FILE_ID_BYTES);
    const [current, previous] = generations.map((generation) => this.#path(generation)) as [string, string];
    await writeDurablyWith(
      current,
      async (file) => {
        await file.write(Buffer.concat([MAGIC, fileId]));
        let index = 0;
        for await (const { message, last } of withLast(this.#messagesOf(configuration))) {
          const frame = toBinary(SyncResponseSchema, create(SyncResponseSchema, { message }));
          const box = sealBox(identity.keys.disk, frame, this.#about(fileId, index++, last));
          const length = Buffer.alloc(LENGTH_BYTES);
          length.writeUInt32BE(box.length);
          await file.write(Buffer.concat([length, box]));
        }
      },
      () => renameIfPresent(current, previous),
    );
    const { historyId, revision } = configuration;
    const stored = { fileId: fileId.toString('hex'), historyId, revision };
    await identity.highWater.stored(stored, await fileIdOf(previous));
  }

  async #loadOne(generation: Generation): Promise<Transfer | undefined> {
    const { identity, log } = this.#options;
    const file = this.#path(generation);
    try {
      const contents = await readBounded(file);
      if (contents === undefined) return undefined;
      const { transfer, stored } = await this.#open(contents);
      if (identity.highWater.accepts(stored)) return transfer;
      log.warn(
        {
          file,
          revision: stored.revision.toString(),
          newest: identity.highWater.of(stored.historyId).toString(),
        },
        'the configuration on disk is older than one this node has had; it is not used',
      );
    } catch (error) {
      log.warn({ file, err: error }, 'the configuration on disk is damaged; it is not used');
    }
    // Out of the way, so that the next copy written does not push it into the place of the good one.
    await renameIfPresent(file, `${file}.refused`).catch((error: unknown) =>
      log.warn({ file, err: error }, 'a configuration that is not used could not be moved aside'),
    );
    return undefined;
  }

  async #open(contents: Buffer): Promise<{ transfer: Transfer; stored: StoredGeneration }> {
    const header = contents.subarray(0, MAGIC.length);
    if (!header.equals(MAGIC))
      throw new Error('the file does not begin as a configuration of this version does');
    const fileId = contents.subarray(MAGIC.length, MAGIC.length + FILE_ID_BYTES);
    const slices = new Slices(this.#options.clock);
    const assembly = new Assembly();
    let offset = MAGIC.length + FILE_ID_BYTES;
    for (let index = 0; offset < contents.length; index++) {
      const start = offset + LENGTH_BYTES;
      const end = start + contents.readUInt32BE(offset);
      if (end > contents.length) throw new Error('the file ends within a frame');
      const about = this.#about(fileId, index, end === contents.length);
      const frame = openBox(this.#options.identity.keys.disk, contents.subarray(start, end), about);
      assembly.add(fromBinary(SyncResponseSchema, frame).message);
      offset = end;
      if (slices.due) await slices.rest();
    }
    const transfer = assembly.finish();
    const { historyId, toRevision: revision } = transfer;
    return { transfer, stored: { fileId: fileId.toString('hex'), historyId, revision } };
  }

  async *#messagesOf(configuration: Configuration): AsyncGenerator<Message> {
    const { historyId, revision, sealedKeys, compilation, digest, signature } = configuration;
    // A Begin carries one key; while a rotation is under way there are two, and the last Begin counts for the rest.
    for (const sealedKey of sealedKeys.length > 0 ? sealedKeys : [undefined]) {
      const begin = { full: true, historyId, toRevision: revision, ...(sealedKey && { sealedKey }) };
      yield { case: 'begin', value: begin };
    }
    const slices = new Slices(this.#options.clock);
    let upserts: Resource[] = [];
    let bytes = 0;
    for (const type of compilation.resources.types) {
      for (const [name, { version, payload }] of compilation.resources.ofType(type)) {
        upserts.push(create(ResourceSchema, { type, name, version, payload }));
        bytes += payload.length + name.length;
        if (bytes >= CHUNK_PAYLOAD_BYTES) {
          yield await chunkOf(upserts);
          upserts = [];
          bytes = 0;
        }
        if (slices.due) await slices.rest();
      }
    }
    if (upserts.length > 0) yield await chunkOf(upserts);
    yield { case: 'commit', value: { digest, signature } };
  }

  #path(generation: Generation): string {
    return join(this.#options.identity.directory, fileNames[generation]);
  }

  #about(fileId: Buffer, index: number, last: boolean): string {
    const { nodeId } = this.#options.identity;
    return `signalbox-cache|${nodeId}|${fileId.toString('hex')}|${index}|${last ? 'last' : 'more'}`;
  }
}

/** Frames back to the transfer they were. */
class Assembly {
  readonly #chunks: Chunk[] = [];
  readonly #sealedKeys: SealedKey[] = [];
  #head: Pick<Transfer, 'historyId' | 'toRevision'> | undefined;
  #proof: Pick<Transfer, 'digest' | 'signature'> | undefined;

  add(message: ReturnType<typeof fromBinary<typeof SyncResponseSchema>>['message']): void {
    switch (message.case) {
      case 'begin':
        this.#head = { historyId: message.value.historyId, toRevision: message.value.toRevision };
        if (message.value.sealedKey !== undefined) this.#sealedKeys.push(message.value.sealedKey);
        return;
      case 'chunk':
        this.#chunks.push(message.value);
        return;
      case 'commit':
        this.#proof = { digest: message.value.digest, signature: message.value.signature };
        return;
      default:
        throw new Error(`a frame holds "${message.case}", which no configuration file has`);
    }
  }

  finish(): Transfer {
    if (this.#head === undefined || this.#proof === undefined) throw new Error('the file is not complete');
    const { historyId, toRevision } = this.#head;
    const contents = { chunks: this.#chunks, sealedKeys: this.#sealedKeys };
    return { full: true, historyId, fromRevision: 0n, toRevision, ...contents, ...this.#proof };
  }
}

const gzipInBackground = promisify(gzip);

async function chunkOf(upserts: Resource[]): Promise<Message> {
  const batch = toBinary(ResourceBatchSchema, create(ResourceBatchSchema, { upserts }));
  // The fastest level: most of it is hashes, which no level makes smaller.
  const data = await gzipInBackground(batch, { level: 1 });
  return { case: 'chunk', value: { data, encoding: Encoding.GZIP } };
}

/** Empty when there is no file, or none that has an id. */
async function fileIdOf(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAGIC.length + FILE_ID_BYTES) });
    return buffer.subarray(MAGIC.length, bytesRead).toString('hex');
  } catch {
    return '';
  }
}

async function readBounded(path: string): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path);
    if (size > limits.syncTransferBytesMax) {
      throw new Error(`the file has ${size} bytes, more than ${limits.syncTransferBytesMax}`);
    }
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function* withLast<Item>(items: AsyncIterable<Item>): AsyncGenerator<{ message: Item; last: boolean }> {
  let held: { readonly item: Item } | undefined;
  for await (const item of items) {
    if (held !== undefined) yield { message: held.item, last: false };
    held = { item };
  }
  if (held !== undefined) yield { message: held.item, last: true };
}
