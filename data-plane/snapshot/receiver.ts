// The receiving side of a transfer as a synchronous machine: idle -> open (Begin) -> idle (Commit). It collects chunks,
// bounds them, and hands out a transfer only when all of it has arrived as announced. It applies nothing itself, so
// whatever a stream does, the running configuration is replaced by a whole one or not at all.
import { createHash, type Hash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Begin,
  Chunk,
  Commit,
  ResourceErrorSchema,
  SealedKey,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import { limits } from '#shared/limits.ts';

/** What is in force: the state that the rules for a new transfer refer to. */
export interface Running {
  /** Empty when nothing is in force. */
  readonly historyId: string;
  readonly revision: bigint;
}

export type RefusalReason = MessageInitShape<typeof ResourceErrorSchema>;

/** A transfer that has arrived whole. Whether its contents are any good is for others to find out. */
export interface Transfer {
  readonly full: boolean;
  readonly historyId: string;
  readonly fromRevision: bigint;
  readonly toRevision: bigint;
  readonly chunks: readonly Pick<Chunk, 'data' | 'encoding'>[];
  readonly sealedKeys: readonly SealedKey[];
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
}

export type Received =
  /** Nothing to do yet, or a message of a transfer that is over. */
  | { readonly type: 'nothing' }
  /** To be answered with a Nack. */
  | {
      readonly type: 'refused';
      readonly nonce: bigint;
      readonly revision: bigint;
      readonly reasons: readonly RefusalReason[];
    }
  | { readonly type: 'transfer'; readonly nonce: bigint; readonly transfer: Transfer };

interface OpenTransfer {
  readonly begin: Begin;
  readonly chunks: Chunk[];
  readonly hash: Hash;
  bytes: number;
}

const nothing: Received = { type: 'nothing' };

export class Receiver {
  /** What is in force, and the highest revision that was ever in force of a history. */
  readonly #running: () => Running;
  readonly #highWater: (historyId: string) => bigint;
  #lastNonce = 0n;
  #open: OpenTransfer | undefined;

  constructor(running: () => Running, highWater: (historyId: string) => bigint) {
    this.#running = running;
    this.#highWater = highWater;
  }

  /** A new transfer takes the place of one that was not finished: nothing of that one has been applied. */
  begin(begin: Begin): Received {
    if (begin.nonce <= this.#lastNonce) return nothing;
    this.#lastNonce = begin.nonce;
    this.#open = undefined;
    const refusal = this.#refusalOf(begin);
    if (refusal !== undefined) return refusal;
    this.#open = { begin, chunks: [], hash: createHash('sha256'), bytes: 0 };
    return nothing;
  }

  chunk(chunk: Chunk): Received {
    const open = this.#openFor(chunk.nonce);
    if (open === undefined) return nothing;
    // A chunk has 256 KiB, unless a single resource has more; a message has no more than this in any case.
    if (chunk.data.length > limits.syncMessageBytesMax) {
      return this.#giveUp(
        open.begin,
        `a chunk has ${chunk.data.length} bytes, more than ${limits.syncMessageBytesMax}`,
      );
    }
    open.bytes += chunk.data.length;
    if (BigInt(open.bytes) > open.begin.totalBytes) {
      return this.#giveUp(open.begin, `more arrived than the ${open.begin.totalBytes} bytes announced`);
    }
    open.hash.update(chunk.data);
    open.chunks.push(chunk);
    return nothing;
  }

  commit(commit: Commit): Received {
    const open = this.#openFor(commit.nonce);
    if (open === undefined) return nothing;
    const { begin, chunks, hash, bytes } = open;
    if (BigInt(bytes) !== begin.totalBytes) {
      return this.#giveUp(begin, `${bytes} bytes arrived of the ${begin.totalBytes} announced`);
    }
    if (!hash.digest().equals(begin.sha256))
      return this.#giveUp(begin, 'the bytes are not the ones announced');
    this.#open = undefined;
    const transfer: Transfer = {
      full: begin.full,
      historyId: begin.historyId,
      fromRevision: begin.fromRevision,
      toRevision: begin.toRevision,
      chunks,
      sealedKeys: begin.sealedKey === undefined ? [] : [begin.sealedKey],
      digest: commit.digest,
      signature: commit.signature,
    };
    return { type: 'transfer', nonce: begin.nonce, transfer };
  }

  #openFor(nonce: bigint): OpenTransfer | undefined {
    return this.#open?.begin.nonce === nonce ? this.#open : undefined;
  }

  #giveUp({ nonce, toRevision }: Begin, what: string): Received {
    this.#open = undefined;
    return refused(nonce, toRevision, 'transfer_damaged', `The transfer arrived damaged: ${what}.`);
  }

  #refusalOf(begin: Begin): Received | undefined {
    const running = this.#running();
    const { nonce, toRevision: revision, fromRevision: from, totalBytes, historyId } = begin;
    if (totalBytes > limits.syncTransferBytesMax) {
      const message = `The configuration has ${totalBytes} bytes; this build accepts ${limits.syncTransferBytesMax}.`;
      return refused(nonce, revision, 'too_large', message);
    }
    const floors = [this.#highWater(historyId), historyId === running.historyId ? running.revision : 0n];
    const floor = floors.find((one) => revision < one);
    if (floor !== undefined) {
      const message = `Revision ${revision} is older than revision ${floor}, which this node already has of this history.`;
      return refused(nonce, revision, 'rollback', message);
    }
    if (!fits(begin, running)) {
      const message = `A delta from revision ${from} was sent to a node that runs revision ${running.revision}.`;
      return refused(nonce, revision, 'base_mismatch', message);
    }
    return undefined;
  }
}

function refused(nonce: bigint, revision: bigint, code: string, message: string): Received {
  return { type: 'refused', nonce, revision, reasons: [{ code, message }] };
}

/** Whether a transfer can be applied on top of what is in force. One that leads to where the node already is always can. */
export function fits(
  transfer: Pick<Transfer, 'full' | 'historyId' | 'fromRevision' | 'toRevision'>,
  running: Running,
): boolean {
  if (transfer.full) return true;
  const { revision } = running;
  const onTheWay = transfer.fromRevision === revision || transfer.toRevision === revision;
  return transfer.historyId === running.historyId && onTheWay;
}
