// The bus between machines: one JetStream stream that all data planes publish to and all control planes share one durable
// consumer of. Connecting is retried for ever in the background, because both planes work without it. The stream keeps
// what it is given until every consumer has confirmed it and then is trimmed; when it is full it refuses new messages
// instead of dropping old ones, and the refusal is what slows publishers down.

import { setTimeout as delay } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { connect, type NatsConnection, type NodeConnectionOptions, nanos } from '@nats-io/transport-node';
import { backoffMs } from '../backoff.ts';
import { SignalboxError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import {
  type Broadcast,
  type Bus,
  type BusState,
  type ConsumeOptions,
  type Consumer,
  type OutgoingMessage,
  usageSubject,
} from './bus.ts';
import { isMissingStream, type JetStreamLink } from './jetstream-link.ts';
import { startPulling } from './jetstream-pull.ts';
import { NatsBroadcast } from './nats-broadcast.ts';

export const usageStream = 'SIGNALBOX_USAGE';

export interface JetStreamBusOptions {
  /** One or several servers separated by commas: `nats://user:password@host:4222` or `tls://…`. */
  readonly url: string;
  /** Shown in the server's list of connections. */
  readonly clientName: string;
  readonly log: Logger;
  /** Copies of the stream: 1 for a single server, 3 in a cluster. Used when the stream is created. */
  readonly replicas?: number;
  readonly bytesMax?: number;
}

const retryBounds = { msMin: 250, msMax: 10_000 };
/** A frozen server is noticed after two unanswered pings. */
const PING_MS = 5_000;
const REQUEST_MS_MAX = 5_000;
/** The server's answer to creating a stream that exists with other settings. */
const STREAM_EXISTS_DIFFERENTLY = 10058;

export function connectionOptions(url: string): NodeConnectionOptions {
  const servers = url.split(',').map((part) => new URL(part.trim()));
  const [first] = servers;
  if (first === undefined || servers.some(({ protocol }) => protocol !== 'nats:' && protocol !== 'tls:')) {
    throw new SignalboxError(
      'invalid_configuration',
      'The NATS address must look like nats://host:4222 or tls://host:4222.',
    );
  }
  const { username, password } = first;
  return {
    servers: servers.map(({ host }) => host),
    ...(first.protocol === 'tls:' && { tls: {} }),
    ...(username !== '' && password === '' && { token: decodeURIComponent(username) }),
    ...(password !== '' && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
  };
}

class JetStreamBus implements Bus {
  readonly #options: JetStreamBusOptions;
  readonly #connectionOptions: NodeConnectionOptions;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #consumers = new Set<Consumer>();
  readonly #running: Promise<void>;
  readonly #broadcast: NatsBroadcast;
  #connection: NatsConnection | undefined;
  #link: JetStreamLink | undefined;
  #breakLink = new AbortController();
  #linkWaiters: (() => void)[] = [];

  constructor(options: JetStreamBusOptions) {
    this.#options = options;
    this.#connectionOptions = connectionOptions(options.url);
    this.#log = options.log;
    this.#broadcast = new NatsBroadcast(options.log);
    this.#running = this.#stayConnected();
  }

  get state(): BusState {
    if (this.#closing.signal.aborted) return 'closed';
    return this.#link === undefined ? 'connecting' : 'connected';
  }

  get broadcast(): Broadcast {
    return this.#broadcast;
  }

  async publish({ subject, id, data }: OutgoingMessage): Promise<void> {
    const link = this.#link;
    // Refused at once: the client library would keep the message and send it at a time that nobody waits for.
    if (link === undefined) throw new SignalboxError('bus_unavailable', `NATS is ${this.state}.`);
    try {
      await link.client.publish(subject, data, { msgID: id, timeout: limits.usagePublishMs });
    } catch (error) {
      if (isMissingStream(error)) link.lost();
      throw new SignalboxError(
        'bus_unavailable',
        `JetStream did not take a usage batch: ${describe(error)}.`,
        {
          cause: error,
        },
      );
    }
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    const pulling = startPulling({
      ...options,
      stream: usageStream,
      log: this.#log,
      nextLink: () => this.#nextLink(),
    });
    const consumer: Consumer = {
      stop: async () => {
        this.#consumers.delete(consumer);
        await pulling.stop();
      },
    };
    this.#consumers.add(consumer);
    return consumer;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    this.#closing.abort();
    this.#unlink();
    this.#broadcast.detach();
    // Flushes the last confirmations, within a bound: the server may be frozen.
    const flushed = this.#connection?.flush().catch(() => undefined);
    await Promise.race([flushed, delay(1_000, undefined, { ref: false })]);
    await this.#connection?.close();
    await this.#running;
  }

  async #stayConnected(): Promise<void> {
    const { signal } = this.#closing;
    for (let tries = 1; !signal.aborted; tries += 1) {
      try {
        const connection = await connect({
          ...this.#connectionOptions,
          name: this.#options.clientName,
          timeout: REQUEST_MS_MAX,
          maxReconnectAttempts: -1,
          ignoreAuthErrorAbort: true,
          reconnectDelayHandler: () => backoffMs(2, retryBounds),
          pingInterval: PING_MS,
          maxPingOut: 2,
          noAsyncTraces: true,
        });
        tries = 0;
        this.#connection = connection;
        if (signal.aborted) {
          await connection.close();
          return;
        }
        await this.#watch(connection);
      } catch (error) {
        if (tries === 1)
          this.#log.warn({ err: error }, 'NATS cannot be reached, trying again in the background');
      }
      await delay(backoffMs(tries + 1, retryBounds), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Follows one connection through its breaks until it is closed for good. */
  async #watch(connection: NatsConnection): Promise<void> {
    this.#relink(connection);
    this.#broadcast.attach(connection);
    for await (const { type } of connection.status()) {
      if (type === 'disconnect') this.#unlink();
      if (type === 'reconnect') this.#relink(connection);
      this.#broadcast.setConnected(type);
      if (type === 'disconnect' || type === 'reconnect') this.#log.info(`NATS ${type}`);
    }
    this.#unlink();
    this.#broadcast.detach();
  }

  #relink(connection: NatsConnection): void {
    this.#unlink();
    void this.#establish(connection, this.#breakLink.signal);
  }

  #unlink(): void {
    this.#link = undefined;
    this.#breakLink.abort();
    this.#breakLink = new AbortController();
  }

  async #establish(connection: NatsConnection, broken: AbortSignal): Promise<void> {
    for (let tries = 1; !broken.aborted && !this.#closing.signal.aborted; tries += 1) {
      try {
        const manager = await jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_MS_MAX });
        await this.#ensureStream(manager);
        if (!broken.aborted) this.#setLink(connection, manager, broken);
        return;
      } catch (error) {
        if (broken.aborted) return;
        this.#log.warn({ err: error, tries }, 'the usage stream is not available, trying again');
        await delay(backoffMs(tries, retryBounds), undefined, { signal: broken }).catch(() => undefined);
      }
    }
  }

  #setLink(connection: NatsConnection, manager: JetStreamManager, broken: AbortSignal): void {
    const client = jetstream(connection, { timeout: REQUEST_MS_MAX });
    const lost = () => {
      if (!broken.aborted) this.#relink(connection);
    };
    this.#link = { client, manager, broken, lost };
    this.#log.info({ server: connection.getServer() }, 'usage bus connected');
    for (const resolve of this.#linkWaiters.splice(0)) resolve();
  }

  /** Every publisher and consumer asks for the stream; the server makes one. */
  async #ensureStream(manager: JetStreamManager): Promise<void> {
    const { replicas = 1, bytesMax = limits.busStreamBytesMax } = this.#options;
    try {
      await manager.streams.add({
        name: usageStream,
        subjects: [usageSubject],
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
        discard: DiscardPolicy.New,
        duplicate_window: nanos(limits.busDuplicateWindowMs),
        max_bytes: bytesMax,
        num_replicas: replicas,
      });
    } catch (error) {
      // Somebody chose other settings for it; that is theirs to decide.
      if (error instanceof JetStreamApiError && error.code === STREAM_EXISTS_DIFFERENTLY) return;
      throw error;
    }
  }

  /** The link, once there is one; undefined when the bus is closed. */
  async #nextLink(): Promise<JetStreamLink | undefined> {
    while (this.#link === undefined && !this.#closing.signal.aborted) {
      const linked = new Promise<void>((resolve) => this.#linkWaiters.push(resolve));
      await Promise.race([linked, aborted(this.#closing.signal)]);
    }
    return this.#link;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

export function openJetStreamBus(options: JetStreamBusOptions): Bus {
  return new JetStreamBus(options);
}
