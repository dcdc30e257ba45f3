// One consumer of the stream: pulls what there is, hands it over in batches, confirms what was handled. A pull is an
// order placed with one server over one connection; when either is lost the order is void and nobody says so. So every
// pull is short, watched, and given up when the connection breaks.

import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { AckPolicy, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { backoffMs } from '../backoff.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import type { ConsumeOptions, Consumer } from './bus.ts';
import { isMissingStream, type JetStreamLink } from './jetstream-link.ts';

export interface PullOptions extends ConsumeOptions {
  readonly stream: string;
  readonly log: Logger;
  readonly nextLink: () => Promise<JetStreamLink | undefined>;
}

const PULL_MS = 5_000;
/** A pull that has said nothing for this long after its end is lost. */
const PULL_GRACE_MS = 3_000;
const TRIM_MS = 10_000;
const redelivery = { msMin: limits.busRedeliveryMsMin, msMax: limits.busRedeliveryMsMax };

class Puller implements Consumer {
  readonly #options: PullOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #trimmedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PullOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const stopped = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    let failures = 0;
    while (!signal.aborted) {
      const link = await Promise.race([this.#options.nextLink(), stopped]);
      if (link === undefined) return;
      try {
        await this.#pullFrom(link);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (isMissingStream(error)) link.lost();
        this.#options.log.warn({ err: error }, 'pulling usage was interrupted, starting again');
        await delay(backoffMs(failures, redelivery), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #pullFrom(link: JetStreamLink): Promise<void> {
    const { stream, group, subject, batchMax } = this.#options;
    const over = AbortSignal.any([link.broken, this.#stopping.signal]);
    const creation = link.manager.consumers.add(stream, {
      durable_name: group,
      filter_subject: subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(limits.busAckMsMax),
      max_deliver: -1,
      // Bounds what all replicas together hold in memory.
      max_ack_pending: 256,
    });
    await unless(over, creation);
    const consumer = await unless(over, link.client.consumers.get(stream, group));
    while (!over.aborted) {
      const messages = await consumer.fetch({
        max_messages: batchMax,
        expires: PULL_MS,
        idle_heartbeat: PULL_MS / 2,
      });
      const abandon = () => messages.stop();
      over.addEventListener('abort', abandon, { once: true });
      try {
        await this.#drain(messages);
      } finally {
        over.removeEventListener('abort', abandon);
        messages.stop();
      }
      if (!over.aborted) await unless(over, this.#trim(link));
    }
  }

  /** Hands over what has arrived, as it arrives: all that is already here makes one batch. */
  async #drain(messages: ConsumerMessages): Promise<void> {
    const arrivals = messages[Symbol.asyncIterator]();
    let next = arrivals.next();
    for (;;) {
      const first = await this.#watched(next);
      if (first.done === true) return;
      const batch = [first.value];
      next = arrivals.next();
      while (batch.length < this.#options.batchMax) {
        const more = await Promise.race([next, setImmediate(undefined)]);
        if (more === undefined || more.done === true) break;
        batch.push(more.value);
        next = arrivals.next();
      }
      // Its outcome is looked at in the next round; until then a failure must not count as unhandled.
      next.catch(() => undefined);
      await this.#handOver(batch);
    }
  }

  async #watched<T>(arrival: Promise<T>): Promise<T> {
    const { promise: stall, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error('the pull stalled')), PULL_MS + PULL_GRACE_MS);
    try {
      return await Promise.race([arrival, stall]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #handOver(batch: readonly JsMsg[]): Promise<void> {
    const incoming = batch.map((message) => ({
      id: message.headers?.get('Nats-Msg-Id') ?? '',
      data: message.data,
      deliveries: message.info.deliveryCount,
    }));
    try {
      await this.#options.handle(incoming);
      for (const message of batch) message.ack();
    } catch (error) {
      const waitMs = backoffMs(Math.min(...incoming.map(({ deliveries }) => deliveries)), redelivery);
      this.#options.log.warn(
        { err: error, messages: batch.length, waitMs },
        'usage delivery failed, trying again',
      );
      for (const message of batch) message.nak(waitMs);
      // Without a pause the next batch would meet the same failure at once.
      await delay(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** Makes room: what every consumer of the stream has confirmed is in the ledger. */
  async #trim({ manager }: JetStreamLink): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#trimmedAtMs < TRIM_MS) return;
    this.#trimmedAtMs = nowMs;
    const { stream } = this.#options;
    const floors: number[] = [];
    for await (const info of manager.consumers.list(stream)) floors.push(info.ack_floor.stream_seq);
    const confirmed = Math.min(...floors);
    if (Number.isFinite(confirmed) && confirmed > 0)
      await manager.streams.purge(stream, { seq: confirmed + 1 });
  }
}

/** A question asked over a connection that breaks is answered by its time-out only; this does not wait so long. */
async function unless<T>(over: AbortSignal, answer: Promise<T>): Promise<T> {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  const abandon = () => reject(new Error('the connection broke'));
  if (over.aborted) abandon();
  over.addEventListener('abort', abandon, { once: true });
  answer.catch(() => undefined);
  try {
    return await Promise.race([answer, broken]);
  } finally {
    over.removeEventListener('abort', abandon);
  }
}

export function startPulling(options: PullOptions): Consumer {
  return new Puller(options);
}
