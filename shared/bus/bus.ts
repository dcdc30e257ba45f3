// How usage reaches the ledger. A data plane publishes batches and may be told "not now"; a control plane consumes them
// and confirms each only after its database has it. Two implementations: in this process, and NATS JetStream. Neither is
// trusted with the only copy: a data plane keeps its journal until the ledger's own high-water mark has passed it.

export type BusState = 'connected' | 'connecting' | 'closed';

export interface Bus {
  readonly state: BusState;
  /**
   * Resolves when the bus has taken the message. A message published again under the same id is delivered at least
   * once more or not at all; consumers must not mind. Rejects when the bus is full, away, or too slow.
   */
  publish(message: OutgoingMessage): Promise<void>;
  /** Delivers batches until stopped. Several consumers of one group share the messages between them. */
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** What need not arrive. */
  readonly broadcast: Broadcast;
  close(): Promise<void>;
}

/**
 * Beside the usage: news that everybody who listens just now hears, the speaker too, at most once. Nothing is kept, confirmed or
 * sent again.
 */
export interface Broadcast {
  /** Never waits and never throws. False when the bus is away: then nobody will hear it. */
  announce(subject: string, data: Uint8Array): boolean;
  /** Goes on through every break of the bus until it is stopped. What `handle` throws is logged and goes no further. */
  listen(subject: string, handle: (data: Uint8Array) => void): Listening;
}

export interface Listening {
  stop(): void;
}

export interface OutgoingMessage {
  readonly subject: string;
  /** Lets the bus drop a message that it has already taken. */
  readonly id: string;
  readonly data: Uint8Array;
}

export interface ConsumeOptions {
  readonly subject: string;
  readonly group: string;
  /** How many messages are handed over at once. */
  readonly batchMax: number;
  /** Messages are confirmed when this resolves and delivered again, later, when it rejects. */
  readonly handle: (messages: readonly IncomingMessage[]) => Promise<void>;
}

export interface IncomingMessage {
  readonly id: string;
  readonly data: Uint8Array;
  /** 1 for the first delivery. */
  readonly deliveries: number;
}

export interface Consumer {
  stop(): Promise<void>;
}

export const usageSubject = 'signalbox.usage';
export const healthSubject = 'signalbox.health';
