// What one push consists of, packed once and shared by every node that needs it: batches of resources, each compressed
// on its own, so that a node applies them one by one. Streams carry these bytes as they are; compressing per stream
// would double the cost of every push.
import { createHash, type Hash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { ResourceBatchSchema, type ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { Encoding } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { Slices } from '#shared/slices.ts';
import type { ResourceRow } from '../store/resources.ts';

export interface TransferChunk {
  readonly data: Uint8Array;
  readonly encoding: Encoding;
}

/** Chunks in order, and the running hash over their bytes, which can be continued. */
export interface Packed {
  readonly chunks: readonly TransferChunk[];
  readonly totalBytes: number;
  readonly hash: Hash;
}

export interface Transfer {
  readonly historyId: string;
  /** 0 for a full transfer. */
  readonly from: bigint;
  readonly to: bigint;
  readonly full: boolean;
  readonly chunks: readonly TransferChunk[];
  readonly totalBytes: number;
  readonly sha256: Uint8Array;
  /** Of everything a node holds afterwards. */
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

const compress = promisify(gzip);
/** Below this the gzip header and the trip to the thread pool cost more than the network does. */
const COMPRESS_BYTES_MIN = 1024;
/** What a resource may add to its payload and name: tags, lengths, type and version at their longest. */
const OVERHEAD_BYTES = 32;

/** Rows without payload become removals. */
export async function pack(rows: readonly ResourceRow[]): Promise<Packed> {
  const slices = new Slices();
  const hash = createHash('sha256');
  const chunks: TransferChunk[] = [];
  let totalBytes = 0;
  for (let start = 0; start < rows.length; ) {
    const end = endOfBatch(rows, start);
    const chunk = await toChunk(rows.slice(start, end));
    hash.update(chunk.data);
    totalBytes += chunk.data.length;
    chunks.push(chunk);
    start = end;
    if (slices.due) await slices.rest();
  }
  return { chunks, totalBytes, hash };
}

/** One after the other, as one. */
export function join(first: Packed, second: Packed): Packed {
  const hash = first.hash.copy();
  for (const { data } of second.chunks) hash.update(data);
  return {
    chunks: [...first.chunks, ...second.chunks],
    totalBytes: first.totalBytes + second.totalBytes,
    hash,
  };
}

function endOfBatch(rows: readonly ResourceRow[], start: number): number {
  let bytes = 0;
  let end = start;
  for (; end < rows.length; end++) {
    const { name, payload } = rows[end]!;
    bytes += OVERHEAD_BYTES + Buffer.byteLength(name) + (payload?.length ?? 0);
    if (bytes > limits.syncChunkBytesMax && end > start) break;
  }
  return end;
}

async function toChunk(rows: readonly ResourceRow[]): Promise<TransferChunk> {
  const data = encodeBatch(rows);
  const packed =
    data.length < COMPRESS_BYTES_MIN ? data : await compress(data, { level: constants.Z_BEST_SPEED });
  const chunk =
    packed.length < data.length
      ? { data: packed, encoding: Encoding.GZIP }
      : { data, encoding: Encoding.IDENTITY };
  if (chunk.data.length > limits.syncChunkBytesMax) throw tooLarge(rows[0]!);
  return chunk;
}

function encodeBatch(rows: readonly ResourceRow[]): Uint8Array {
  const batch = create(ResourceBatchSchema);
  for (const { name, version, payload, ...row } of rows) {
    const type = row.type as ResourceType;
    if (payload === null) batch.removals.push({ $typeName: 'signalbox.config.v1.ResourceRef', type, name });
    else batch.upserts.push({ $typeName: 'signalbox.config.v1.Resource', type, name, version, payload });
  }
  return toBinary(ResourceBatchSchema, batch);
}

function tooLarge({ type, name, payload }: ResourceRow): SignalboxError {
  return new SignalboxError(
    'internal',
    `The resource ${type}/${name} has ${payload?.length ?? 0} bytes and does not fit a chunk of ` +
      `${limits.syncChunkBytesMax} bytes. Make the object it comes from smaller.`,
  );
}
