// The bus of a single process: usage goes from the data plane's publisher to the ledger's consumer without leaving it.
// Nothing here outlives the process, and nothing has to: the journal keeps every record until the ledger has it. Bounded
// in bytes; a full queue refuses, which is how a slow ledger is felt upstream.
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../backoff.ts';
import { SignalboxError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import type { Broadcast, Bus, BusState, ConsumeOptions, Consumer, OutgoingMessage } from './bus.ts';
import { createInProcessBroadcast } from './in-process-broadcast.ts';

export interface InProcessBusOptions {
  readonly log: Logger;
  readonly bytesMax?: number;
  readonly redelivery?: { readonly msMin: number; readonly msMax: number };
}

interface Entry {
  readonly id: string;
  readonly data: Uint8Array;
  deliveries: number;
}

const defaultRedelivery = { msMin: limits.busRedeliveryMsMin, msMax: limits.busRedeliveryMsMax };

/** The messages of one subject as one group sees them. */
class Group {
  readonly #queue: Entry[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #pendingIds = new Set<string>();
  bytes = 0;

  add(id: string, data: Uint8Array): void {
    // Sent again while the first copy still waits: one delivery serves both.
    if (this.#pendingIds.has(id)) return;
    this.#pendingIds.add(id);
    this.bytes += data.byteLength;
    this.#queue.push({ id, data, deliveries: 0 });
    this.wake();
  }

  take(countMax: number): Entry[] {
    const taken = this.#queue.splice(0, countMax);
    for (const entry of taken) entry.deliveries += 1;
    return taken;
  }

  confirm(entries: readonly Entry[]): void {
    for (const { id, data } of entries) {
      this.#pendingIds.delete(id);
      this.bytes -= data.byteLength;
    }
  }

  giveBack(entries: readonly Entry[]): void {
    this.#queue.unshift(...entries);
    this.wake();
  }

  /** Lets one consumer look. One that stops instead passes the call on. */
  wake(): void {
    const [first] = this.#waiting;
    first?.();
  }

  /** Resolves when there may be something to take, or when the signal says stop. */
  async available(signal: AbortSignal): Promise<void> {
    if (this.#queue.length > 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const look = () => {
        this.#waiting.delete(look);
        signal.removeEventListener('abort', look);
        resolve();
      };
      signal.addEventListener('abort', look, { once: true });
      this.#waiting.add(look);
    });
  }
}

interface Topic {
  /** Messages that arrived before anybody asked for them; the first group inherits them. */
  readonly unclaimed: Group;
  readonly groups: Map<string, Group>;
}

class InProcessBus implements Bus {
  readonly broadcast: Broadcast;
  readonly #log: Logger;
  readonly #bytesMax: number;
  readonly #redelivery: { readonly msMin: number; readonly msMax: number };
  readonly #topics = new Map<string, Topic>();
  readonly #consumers = new Set<Consumer>();
  #closed = false;

  constructor(options: InProcessBusOptions) {
    this.#log = options.log;
    this.#bytesMax = options.bytesMax ?? limits.busMemoryBytesMax;
    this.#redelivery = options.redelivery ?? defaultRedelivery;
    this.broadcast = createInProcessBroadcast(options.log, () => !this.#closed);
  }

  get state(): BusState {
    return this.#closed ? 'closed' : 'connected';
  }

  async publish({ subject, id, data }: OutgoingMessage): Promise<void> {
    if (this.#closed) throw new SignalboxError('bus_unavailable', 'The bus is closed.');
    const { unclaimed, groups } = this.#topic(subject);
    const receivers = groups.size > 0 ? [...groups.values()] : [unclaimed];
    const waitingBytes = Math.max(...receivers.map((group) => group.bytes));
    if (waitingBytes + data.byteLength > this.#bytesMax) {
      const detail = `${waitingBytes} of ${this.#bytesMax} bytes wait for the ledger`;
      throw new SignalboxError(
        'bus_unavailable',
        `The bus is full: ${detail}. It empties when the database answers.`,
      );
    }
    for (const group of receivers) group.add(id, data);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    const group = this.#group(options.subject, options.group);
    const stopping = new AbortController();
    const running = this.#run(group, options, stopping.signal);
    const consumer: Consumer = {
      stop: async () => {
        stopping.abort();
        this.#consumers.delete(consumer);
        await running;
      },
    };
    this.#consumers.add(consumer);
    return consumer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
  }

  #topic(subject: string): Topic {
    const topic = this.#topics.get(subject) ?? { unclaimed: new Group(), groups: new Map<string, Group>() };
    this.#topics.set(subject, topic);
    return topic;
  }

  #group(subject: string, name: string): Group {
    const { unclaimed, groups } = this.#topic(subject);
    const group = groups.get(name) ?? (groups.size === 0 ? unclaimed : new Group());
    groups.set(name, group);
    return group;
  }

  async #run(group: Group, { batchMax, handle }: ConsumeOptions, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await group.available(signal);
      if (signal.aborted) break;
      const entries = group.take(batchMax);
      if (entries.length === 0) continue;
      try {
        await handle(entries);
        group.confirm(entries);
      } catch (error) {
        const waitMs = backoffMs(entries[0]!.deliveries, this.#redelivery);
        this.#log.warn(
          { err: error, messages: entries.length, waitMs },
          'usage delivery failed, trying again',
        );
        await delay(waitMs, undefined, { signal }).catch(() => undefined);
        group.giveBack(entries);
      }
    }
    group.wake();
  }
}

export function createInProcessBus(options: InProcessBusOptions): Bus {
  return new InProcessBus(options);
}
