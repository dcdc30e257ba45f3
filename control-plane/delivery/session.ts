// One node's side of the protocol, as a synchronous state machine: no sockets, no timers, no promises. Events go in with
// the time they happened, steps to take come out. At most one transfer is unacknowledged; whatever changes meanwhile
// only replaces the target, so a slow node skips revisions instead of queueing them.
//
//   greeting --hello--> idle --head moved--> requested --begin--> sending --ack or nack--> idle
//
// What a node has is believed until its digest says otherwise: then it gets everything, and if even that does not agree,
// the revision counts as refused, so that a node which cannot hold it does not fetch it for ever.
import type { CatalogueHead } from './catalogue.ts';
import type { Transfer } from './transfer.ts';

export interface SessionTimes {
  /** Silence after which a peer counts as frozen or gone. */
  readonly deadMs: number;
  /** Without a chunk taken or an answer for this long, a transfer has failed. */
  readonly ackMs: number;
  /** What a node is given to reconnect elsewhere when its stream has to end. */
  readonly drainMs: number;
}

/** What a node says it runs. */
export interface Claim {
  readonly historyId: string;
  /** 0 for nothing. */
  readonly revision: bigint;
  readonly digest: Uint8Array;
}

export interface Refusal {
  readonly revision: bigint;
  readonly runningRevision: bigint;
  readonly errors: readonly RefusalError[];
}

export interface RefusalError {
  readonly type: number;
  readonly name: string;
  readonly field: string;
  readonly code: string;
  readonly message: string;
}

export type EndReason = 'silent' | 'ack-overdue' | 'unexpected-message' | 'drained';

export type Step =
  /** A transfer is wanted: answer with `begin`, when one is ready. */
  | { readonly kind: 'request'; readonly full: boolean; readonly from: bigint }
  | { readonly kind: 'send'; readonly nonce: bigint; readonly transfer: Transfer }
  /** The transfer under way is over, one way or the other. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'applied'; readonly revision: bigint; readonly applyMs: number }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'drain'; readonly withinMs: number }
  | { readonly kind: 'end'; readonly reason: EndReason };

/** What this node, running this build, refused last. It outlives a stream. */
export interface Refusals {
  has(historyId: string, revision: bigint): boolean;
  add(historyId: string, revision: bigint): void;
  clear(): void;
}

/** The part of the catalogue that decides what a claim is worth. */
export interface DigestHistory {
  digestAt(revision: bigint): Uint8Array | undefined;
}

type Phase = 'greeting' | 'idle' | 'requested' | 'sending' | 'ended';

interface Outstanding {
  readonly nonce: bigint;
  readonly transfer: Transfer;
  /** Moves with every sign of progress. */
  deadlineMs: number;
}

const nothing: readonly Step[] = [];
/** Refusals that blame the way here, not the content: worth one full transfer. */
const transferFaults = new Set(['digest_mismatch', 'base_mismatch', 'transfer_damaged']);

export class Session {
  readonly #times: SessionTimes;
  readonly #history: DigestHistory;
  #phase: Phase = 'greeting';
  #refusals: Refusals | undefined;
  /** What the node runs as far as is known; undefined when only a full transfer can tell. */
  #position: Claim | undefined;
  /** The mailbox: holds one head, the newest. */
  #target: CatalogueHead | undefined;
  #outstanding: Outstanding | undefined;
  #lastNonce = 0n;
  #heardMs: number;
  #drainAtMs: number;
  #endAtMs = Number.POSITIVE_INFINITY;

  constructor(given: { times: SessionTimes; history: DigestHistory; nowMs: number; ageMs: number }) {
    this.#times = given.times;
    this.#history = given.history;
    this.#heardMs = given.nowMs;
    this.#drainAtMs = given.nowMs + given.ageMs;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Given once, and only when the head is known to be at least as new as the database was after the node said this. */
  hello(claim: Claim, head: CatalogueHead, refusals: Refusals): readonly Step[] {
    if (this.#phase !== 'greeting') return this.#end('unexpected-message');
    this.#phase = 'idle';
    this.#target = head;
    this.#refusals = refusals;
    this.#position = this.#believes(claim, head) ? claim : undefined;
    // A node that has nothing cannot keep what it has: it may have what it refused once more.
    if (claim.revision === 0n) refusals.clear();
    return this.#advance();
  }

  /** The head moved. */
  offer(head: CatalogueHead): readonly Step[] {
    if (this.#phase === 'greeting' || this.#phase === 'ended') return nothing;
    this.#target = head;
    return this.#advance();
  }

  /** The requested transfer is ready, and its slot granted: only from now on does time run for the node. */
  begin(transfer: Transfer, nowMs: number): readonly Step[] {
    if (this.#phase !== 'requested') return nothing;
    this.#phase = 'idle';
    if (!this.#fits(transfer)) return [{ kind: 'settled' }, ...this.#advance()];
    const nonce = ++this.#lastNonce;
    this.#outstanding = { nonce, transfer, deadlineMs: nowMs + this.#times.ackMs };
    this.#phase = 'sending';
    return [{ kind: 'send', nonce, transfer }];
  }

  /** A piece of the transfer has left. */
  progressed(nowMs: number): void {
    if (this.#outstanding !== undefined) this.#outstanding.deadlineMs = nowMs + this.#times.ackMs;
  }

  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  ack(ack: { nonce: bigint; revision: bigint; digest: Uint8Array; applyMs: number }): readonly Step[] {
    const transfer = this.#settle(ack.nonce);
    if (transfer === undefined) return nothing;
    const { historyId, to, digest } = transfer;
    if (ack.revision === to && sameBytes(ack.digest, digest)) {
      this.#position = { historyId, revision: to, digest };
      return [
        { kind: 'settled' },
        { kind: 'applied', revision: to, applyMs: ack.applyMs },
        ...this.#advance(),
      ];
    }
    const message = `The node acknowledged revision ${ack.revision} with another digest than revision ${to} has.`;
    const error = { type: 0, name: '', field: '', code: 'digest_mismatch', message };
    return this.#distrust(transfer, { revision: to, runningRevision: ack.revision, errors: [error] });
  }

  nack(nack: Refusal & { nonce: bigint }): readonly Step[] {
    const transfer = this.#settle(nack.nonce);
    if (transfer === undefined) return nothing;
    const refusal = {
      revision: transfer.to,
      runningRevision: nack.runningRevision,
      errors: nack.errors,
    };
    const lostPlace = this.#position !== undefined && nack.runningRevision !== this.#position.revision;
    const damaged = nack.errors.length > 0 && nack.errors.every(({ code }) => transferFaults.has(code));
    if (lostPlace || damaged) return this.#distrust(transfer, refusal);
    return this.#refuse(transfer, refusal);
  }

  heartbeat(running: { revision: bigint; digest: Uint8Array }): readonly Step[] {
    const position = this.#position;
    if (this.#phase !== 'idle' || position === undefined || running.digest.length === 0) return nothing;
    if (running.revision === position.revision && sameBytes(running.digest, position.digest)) return nothing;
    this.#position = undefined;
    return this.#advance();
  }

  /** Asks the node to leave. The stream works on until it does, or until its time is up. */
  drain(nowMs: number, withinMs = this.#times.drainMs): readonly Step[] {
    if (this.#phase === 'ended') return nothing;
    this.#drainAtMs = Number.POSITIVE_INFINITY;
    this.#endAtMs = Math.min(this.#endAtMs, nowMs + withinMs + this.#times.deadMs);
    return [{ kind: 'drain', withinMs }];
  }

  tick(nowMs: number): readonly Step[] {
    if (this.#phase === 'ended') return nothing;
    if (nowMs - this.#heardMs > this.#times.deadMs) return this.#end('silent');
    if (nowMs > (this.#outstanding?.deadlineMs ?? nowMs)) return this.#end('ack-overdue');
    if (nowMs > this.#endAtMs) return this.#end('drained');
    if (nowMs > this.#drainAtMs) return this.drain(nowMs);
    return nothing;
  }

  /** The stream is gone. */
  close(): void {
    this.#phase = 'ended';
    this.#outstanding = undefined;
  }

  #advance(): readonly Step[] {
    const target = this.#target;
    if (this.#phase !== 'idle' || target === undefined) return nothing;
    const position = this.#position;
    const inHistory = position !== undefined && position.historyId === target.historyId;
    if (inHistory && position.revision === target.revision) return nothing;
    // An empty database has nothing to say; a node that runs something keeps it.
    if (target.revision === 0n) return nothing;
    if (this.#refusals?.has(target.historyId, target.revision)) return nothing;
    this.#phase = 'requested';
    const full = !inHistory || position.revision > target.revision;
    return [{ kind: 'request', full, from: full ? 0n : position.revision }];
  }

  /** A transfer may have been packed for a position or a head that is no longer right. */
  #fits(transfer: Transfer): boolean {
    if (this.#refusals?.has(transfer.historyId, transfer.to)) return false;
    if (transfer.historyId !== this.#target?.historyId) return false;
    if (transfer.full) return true;
    const position = this.#position;
    return position?.historyId === transfer.historyId && position.revision === transfer.from;
  }

  #believes(claim: Claim, head: CatalogueHead): boolean {
    if (claim.revision === 0n || claim.historyId !== head.historyId) return false;
    if (claim.revision > head.revision) return false;
    const known = this.#history.digestAt(claim.revision);
    return known === undefined || sameBytes(known, claim.digest);
  }

  /** Ends the outstanding transfer if the nonce is its own; answers to anything else are stale. */
  #settle(nonce: bigint): Transfer | undefined {
    const outstanding = this.#outstanding;
    if (outstanding === undefined || outstanding.nonce !== nonce) return undefined;
    this.#outstanding = undefined;
    this.#phase = 'idle';
    return outstanding.transfer;
  }

  #distrust(transfer: Transfer, refusal: Refusal): readonly Step[] {
    this.#position = undefined;
    if (transfer.full) return this.#refuse(transfer, refusal);
    return [{ kind: 'settled' }, ...this.#advance()];
  }

  #refuse(transfer: Transfer, refusal: Refusal): readonly Step[] {
    this.#refusals?.add(transfer.historyId, transfer.to);
    return [{ kind: 'settled' }, { kind: 'refused', refusal }, ...this.#advance()];
  }

  #end(reason: EndReason): readonly Step[] {
    this.close();
    return [{ kind: 'end', reason }];
  }
}

/** Of two streams of one node the newer boot stays; of one boot, the newer stream. */
export function isGhost(bootEpoch: bigint, openBootEpoch: bigint): boolean {
  return bootEpoch < openBootEpoch;
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
