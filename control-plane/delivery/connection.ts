// One open stream: the session that decides, the outbox that carries, and what both mean for the rest of the replica. It
// turns messages into events for the session and the session's steps into messages, slots and records.
import { Code, ConnectError } from '@connectrpc/connect';
import { ResourceTypeSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import type { Ack, Answer, Heartbeat, Hello, Nack, SyncRequest } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { SealedKeyParts } from '#shared/crypto/sealed-key.ts';
import { limits } from '#shared/limits.ts';
import type { NodeNack } from '../store/nodes.ts';
import { type Asked, PendingQuestions } from './ask.ts';
import type { CatalogueHead } from './catalogue.ts';
import { ask, drain, heartbeatReply, transferMessages } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { EndReason, Refusal, Refusals, Session, Step } from './session.ts';
import type { Transfer } from './transfer.ts';

/** Who is at the other end, as far as the transport can tell. */
export interface Peer {
  /** The name in its certificate; undefined where a join token was shown instead. */
  readonly nodeId: string | undefined;
  readonly address: string;
  /** Ends the connection without asking the other side, which may be frozen. */
  destroy(): void;
}

/** What a connection needs from the fan-out it belongs to. */
export interface ConnectionHost {
  nowMs(): number;
  wallMs(): number;
  readonly drainHosts: readonly string[];
  /** Decides about a hello; calls `accept` when it is welcome, or ends the connection. */
  greet(connection: Connection, hello: Hello): void;
  /** Gets a transfer ready and calls `begin`. */
  prepare(connection: Connection, step: Extract<Step, { kind: 'request' }>): void;
  watermarks(connection: Connection, journalEpochs: readonly string[]): ReadonlyMap<string, bigint>;
  record(connection: Connection, record: NodeRecord): void;
  left(connection: Connection): void;
}

export type NodeRecord =
  | { readonly kind: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'applied'; readonly revision: bigint; readonly applyMs: number }
  | { readonly kind: 'refused'; readonly nack: NodeNack };

const endings: Readonly<Record<EndReason, { readonly code: Code; readonly message: string }>> = {
  silent: { code: Code.DeadlineExceeded, message: 'Nothing was heard from the node for too long.' },
  'ack-overdue': { code: Code.DeadlineExceeded, message: 'The node did not answer a transfer in time.' },
  'unexpected-message': { code: Code.InvalidArgument, message: 'The message was not expected now.' },
  drained: { code: Code.Unavailable, message: 'The stream has reached its age. Connect again.' },
};
/** Endings for which the other side cannot be expected to read a farewell. */
const deaf: ReadonlySet<EndReason> = new Set(['silent', 'ack-overdue']);

export class Connection {
  readonly peer: Peer;
  readonly outbox: Outbox;
  readonly session: Session;
  readonly #host: ConnectionHost;
  readonly #questions = new PendingQuestions();
  #appliedRevision = 0n;
  #hello: Hello | undefined;
  #sealedKey: SealedKeyParts | undefined;
  #releaseSlot: (() => void) | undefined;
  #open = true;
  offerQueued = false;

  constructor(host: ConnectionHost, session: Session, peer: Peer) {
    this.#host = host;
    this.session = session;
    this.peer = peer;
    this.outbox = new Outbox(({ message }) => {
      // A heartbeat reply that got through says nothing about the transfer.
      if (message.case === 'chunk' || message.case === 'commit') session.progressed(host.nowMs());
    });
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Undefined until the node has said hello. */
  get hello(): Hello | undefined {
    return this.#hello;
  }

  get nodeId(): string {
    return this.#hello?.nodeId ?? this.peer.nodeId ?? '';
  }

  /** What the node runs, as far as it has said. */
  get appliedRevision(): bigint {
    return this.#appliedRevision;
  }

  get questionCount(): number {
    return this.#questions.size;
  }

  /** Rejects when the stream ends first, or nothing comes. */
  ask({ question, provider, request }: Asked): Promise<Answer> {
    const { id, answer } = this.#questions.add();
    const about = { ...(provider !== undefined && { provider }), ...(request && { request }) };
    this.outbox.push(ask({ id, question, ...about, timeoutMs: limits.askMs }));
    return answer;
  }

  receive({ message }: SyncRequest): void {
    if (!this.#open) return;
    this.session.heard(this.#host.nowMs());
    if (message.case === 'hello') this.#onHello(message.value);
    else if (this.session.phase === 'greeting') this.#onEarly(message);
    else if (message.case === 'ack') this.#onAck(message.value);
    else if (message.case === 'nack') this.#onNack(message.value);
    else if (message.case === 'heartbeat') this.#onHeartbeat(message.value);
    else if (message.case === 'answer') this.#questions.settle(message.value);
  }

  /** The hello is in order: from here on the session speaks. */
  accept(head: CatalogueHead, sealedKey: SealedKeyParts, refusals: Refusals): void {
    const hello = this.#hello;
    if (hello === undefined || !this.#open) return;
    this.#sealedKey = sealedKey;
    const { historyId, haveRevision: revision, haveDigest: digest } = hello;
    this.#take(this.session.hello({ historyId, revision, digest }, head, refusals));
  }

  offer(head: CatalogueHead): void {
    this.offerQueued = false;
    this.#take(this.session.offer(head));
  }

  /** With the way to give back the slot, where the transfer needed one. */
  begin(transfer: Transfer, releaseSlot?: () => void): void {
    this.#releaseSlot = releaseSlot;
    if (!this.#open) this.#settle();
    else this.#take(this.session.begin(transfer, this.#host.nowMs()));
  }

  tellWatermarks(watermarks: ReadonlyMap<string, bigint>): void {
    if (this.#open && watermarks.size > 0) this.outbox.replaceReply(heartbeatReply(watermarks));
  }

  tick(): void {
    this.#take(this.session.tick(this.#host.nowMs()));
  }

  drain(withinMs: number): void {
    this.#take(this.session.drain(this.#host.nowMs(), withinMs));
  }

  /** A last word for the other side, and the end. */
  endWith(code: Code, text: string): void {
    this.outbox.end(new ConnectError(text, code));
    this.close();
  }

  /** The stream is over, whoever ended it. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.session.close();
    this.outbox.end();
    this.#questions.abandon();
    this.#settle();
    this.#host.left(this);
  }

  #onHello(hello: Hello): void {
    if (this.#hello !== undefined) {
      this.endWith(Code.InvalidArgument, 'A stream begins with one Hello.');
      return;
    }
    this.#hello = hello;
    this.#appliedRevision = hello.haveRevision;
    this.#host.greet(this, hello);
  }

  /** A node may heartbeat while its hello waits for the database; anything else, or anything before it, is a mistake. */
  #onEarly(message: SyncRequest['message']): void {
    if (this.#hello === undefined) this.endWith(Code.InvalidArgument, 'The first message must be a Hello.');
    else if (message.case === 'heartbeat') this.#reply(message.value);
  }

  #onAck({ nonce, revision, digest, applyMs }: Ack): void {
    this.#take(this.session.ack({ nonce, revision, digest, applyMs }));
  }

  #onNack({ nonce, revision, runningRevision, errors }: Nack): void {
    this.#take(this.session.nack({ nonce, revision, runningRevision, errors }));
  }

  #onHeartbeat(heartbeat: Heartbeat): void {
    this.#reply(heartbeat);
    this.#host.record(this, { kind: 'heartbeat', heartbeat });
    this.#take(this.session.heartbeat(heartbeat));
  }

  #reply({ journalEpochs }: Heartbeat): void {
    this.outbox.replaceReply(heartbeatReply(this.#host.watermarks(this, journalEpochs)));
  }

  #take(steps: readonly Step[]): void {
    for (const step of steps) this.#takeOne(step);
  }

  #takeOne(step: Step): void {
    switch (step.kind) {
      case 'request':
        this.#host.prepare(this, step);
        break;
      case 'send':
        this.outbox.push(transferMessages(step.transfer, step.nonce, this.#sealedKey!));
        break;
      case 'settled':
        this.#settle();
        break;
      case 'applied':
        this.#appliedRevision = step.revision;
        this.#host.record(this, step);
        break;
      case 'refused':
        this.#host.record(this, { kind: 'refused', nack: this.#toNack(step.refusal) });
        break;
      case 'drain':
        this.outbox.push(drain(step.withinMs, this.#host.drainHosts));
        break;
      case 'end':
        this.#end(step.reason);
    }
  }

  #settle(): void {
    this.#releaseSlot?.();
    this.#releaseSlot = undefined;
  }

  #end(reason: EndReason): void {
    const { code, message } = endings[reason];
    this.endWith(code, message);
    if (deaf.has(reason)) this.peer.destroy();
  }

  #toNack({ revision, runningRevision, errors }: Refusal): NodeNack {
    return {
      revision: String(revision),
      running_revision: String(runningRevision),
      build: this.#hello?.build ?? '',
      at: new Date(this.#host.wallMs()).toISOString(),
      errors: errors.map(({ type, name, field, code, message }) => ({
        type: nameOfType(type),
        name,
        field,
        code,
        message,
      })),
    };
  }
}

function nameOfType(type: number): string {
  return ResourceTypeSchema.values.find(({ number }) => number === type)?.localName.toLowerCase() ?? '';
}
