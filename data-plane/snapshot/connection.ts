// One Sync stream, from Hello to its end. Messages are handled strictly one after the other, so a transfer is applied
// before the next message is looked at. However the stream ends, `done` resolves with why; nothing here throws to
// anyone.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AnswerSchema,
  Ask,
  Drain,
  HeartbeatSchema,
  HelloSchema,
  SyncResponse,
  Watermark,
  Welcome,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { Outbox } from './outbox.ts';
import { type Received, Receiver, type RefusalReason, type Running, type Transfer } from './receiver.ts';
import type { Channel } from './transport.ts';

/** What the node behind the stream does when something arrives. */
export interface Node {
  running(): Running & { readonly digest: Uint8Array };
  highWater(historyId: string): bigint;
  hello(): MessageInitShape<typeof HelloSchema>;
  heartbeat(): MessageInitShape<typeof HeartbeatSchema>;
  /** Throws when this control plane is not one to listen to. */
  welcome(welcome: Welcome): Promise<void>;
  /** Undefined when the transfer is in force, otherwise why it is not. */
  apply(transfer: Transfer): Promise<readonly RefusalReason[] | undefined>;
  refused(revision: bigint, reasons: readonly RefusalReason[]): void;
  watermarks(watermarks: readonly Watermark[]): void;
  /** Something arrived. */
  heard(): void;
  drain(drain: Drain): void;
  /** Finds something out for a person; never rejects. */
  answer(ask: Ask): Promise<MessageInitShape<typeof AnswerSchema>>;
}

export interface ConnectionOptions {
  readonly node: Node;
  readonly channel: Channel;
  readonly headers: Record<string, string>;
  readonly deadMs: number;
  readonly clock: Clock;
}

export interface Ending {
  readonly reason: unknown;
  /** How long the control plane asked to stay away. */
  readonly retryAfterMs: number | undefined;
  /** Whether the control plane let this node in. */
  readonly accepted: boolean;
}

/** A control plane that asks for more heartbeats than this, or hardly any, is mistaken. */
const HEARTBEAT_MS_MIN = 100;

export class Connection {
  readonly done: Promise<Ending>;
  /** Whether the control plane lets this node in; false when the stream ends without. A greeting is for everyone. */
  readonly accepted: Promise<boolean>;
  readonly #options: ConnectionOptions;
  readonly #outbox = new Outbox();
  readonly #receiver: Receiver;
  readonly #abort = new AbortController();
  readonly #settleAccepted: (accepted: boolean) => void;
  #heardMs: number;
  #welcomed = false;
  #isAccepted = false;
  #retryAfterMs: number | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: ConnectionOptions) {
    const { node, clock, deadMs } = options;
    this.#options = options;
    this.#receiver = new Receiver(
      () => node.running(),
      (historyId) => node.highWater(historyId),
    );
    this.#heardMs = clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.accepted = promise;
    this.#settleAccepted = resolve;
    this.#timers.push(setInterval(() => this.#watch(), deadMs / 3));
    this.done = this.#run();
  }

  get channel(): Channel {
    return this.#options.channel;
  }

  close(reason: string): void {
    this.#abort.abort(new SignalboxError('internal', reason));
  }

  async #run(): Promise<Ending> {
    let reason: unknown = 'the control plane ended the stream';
    try {
      this.#outbox.send({ message: { case: 'hello', value: this.#options.node.hello() } });
      const { channel, headers } = this.#options;
      for await (const response of channel.client.sync(this.#outbox, {
        headers,
        signal: this.#abort.signal,
      })) {
        this.#options.node.heard();
        await this.#handle(response);
        // Applying took its time, and whatever arrived meanwhile has not been looked at.
        this.#heardMs = this.#options.clock.monotonicMs();
        if (this.#retryAfterMs !== undefined) break;
      }
    } catch (error) {
      reason = this.#abort.signal.aborted ? this.#abort.signal.reason : error;
    }
    for (const timer of this.#timers) clearInterval(timer);
    this.#outbox.end();
    this.#options.channel.close();
    this.#settleAccepted(false);
    return { reason, retryAfterMs: this.#retryAfterMs, accepted: this.#isAccepted };
  }

  async #handle({ message }: SyncResponse): Promise<void> {
    const { node } = this.#options;
    switch (message.case) {
      case 'welcome':
        return await this.#onWelcome(message.value);
      case 'begin':
        this.#accept();
        return await this.#onReceived(this.#receiver.begin(message.value));
      case 'chunk':
        return await this.#onReceived(this.#receiver.chunk(message.value));
      case 'commit':
        return await this.#onReceived(this.#receiver.commit(message.value));
      case 'heartbeat':
        this.#accept();
        return node.watermarks(message.value.watermarks);
      case 'throttle':
        this.#retryAfterMs = message.value.retryAfterMs;
        return;
      case 'drain':
        return node.drain(message.value);
      case 'ask':
        // It takes seconds, and transfers do not wait for it.
        void node
          .answer(message.value)
          .then((value) => this.#outbox.send({ message: { case: 'answer', value } }));
        return;
      default:
        // A newer control plane may say more than this build understands.
        return;
    }
  }

  async #onWelcome(welcome: Welcome): Promise<void> {
    if (this.#welcomed) return;
    await this.#options.node.welcome(welcome);
    this.#welcomed = true;
    const askedMs = welcome.heartbeatIntervalMs === 0 ? limits.syncHeartbeatMs : welcome.heartbeatIntervalMs;
    const everyMs = Math.max(HEARTBEAT_MS_MIN, Math.min(askedMs, this.#options.deadMs / 3));
    this.#beat();
    this.#timers.push(setInterval(() => this.#beat(), everyMs));
  }

  #accept(): void {
    this.#isAccepted = true;
    this.#settleAccepted(true);
  }

  async #onReceived(received: Received): Promise<void> {
    // Who has not shown its key has nothing to send.
    if (!this.#welcomed)
      throw new SignalboxError('internal', 'The control plane sent a transfer before its greeting.');
    if (received.type === 'nothing') return;
    if (received.type === 'refused') return this.#nack(received);
    const { nonce, transfer } = received;
    const { node, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const reasons = await node.apply(transfer);
    if (reasons !== undefined) return this.#nack({ nonce, revision: transfer.toRevision, reasons });
    const { revision, digest } = node.running();
    const applyMs = clock.monotonicMs() - startedMs;
    this.#outbox.send({ message: { case: 'ack', value: { nonce, revision, digest, applyMs } } });
  }

  #nack({
    nonce,
    revision,
    reasons,
  }: {
    nonce: bigint;
    revision: bigint;
    reasons: readonly RefusalReason[];
  }): void {
    const { node } = this.#options;
    const runningRevision = node.running().revision;
    const value = { nonce, revision, runningRevision, errors: [...reasons] };
    this.#outbox.send({ message: { case: 'nack', value } });
    node.refused(revision, reasons);
  }

  #beat(): void {
    const { node } = this.#options;
    this.#outbox.beat(() => ({ message: { case: 'heartbeat', value: node.heartbeat() } }));
  }

  // The session notices a peer whose process is frozen; this notices one whose stream is stuck although it answers
  // pings. It allows more, because a chunk on a slow line comes before the reply behind it.
  #watch(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#heardMs;
    if (silentMs < this.#options.deadMs * 2) return;
    this.close(`The control plane has said nothing for ${Math.round(silentMs)} ms.`);
  }
}
