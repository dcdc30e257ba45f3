// Keeps one stream to some control plane, for as long as the node lives: connects, waits for the end, connects again,
// spread out and turn by turn over the addresses given. Asked to leave, it opens the next stream before it closes this
// one. Whatever goes wrong while connecting is logged and tried again; nothing leads out of the loop but `close`.
import { setTimeout as wait } from 'node:timers/promises';
import type { Drain } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { backoffMs, throttledMs } from './backoff.ts';
import { Connection, type Ending, type Node } from './connection.ts';
import type { Credentials } from './credentials.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import { openChannel } from './transport.ts';

export interface DialerOptions {
  readonly endpoints: readonly Endpoint[];
  readonly credentials: Credentials;
  readonly node: Node;
  readonly deadMs: number;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onConnected: (connected: boolean) => void;
}

interface Line {
  readonly endpoint: Endpoint;
  readonly connection: Connection;
}

export class Dialer {
  readonly #options: DialerOptions;
  readonly #closing = new AbortController();
  readonly #finished: Promise<void>;
  readonly #renewals: NodeJS.Timeout;
  #turn = 0;
  #line: Line | undefined;
  #replacing: Promise<Line | undefined> | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    // Not every node of a fleet begins with the first address.
    this.#turn = Math.floor(options.random() * options.endpoints.length);
    this.#renewals = setInterval(() => this.#renew(), options.deadMs / 3);
    this.#finished = this.#run();
  }

  /** Where the stream leads; undefined while there is none. */
  get url(): string | undefined {
    return this.#line?.endpoint.url;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#renewals);
    this.#line?.connection.close('This node is stopping.');
    await this.#finished;
  }

  /** Opens another stream, then closes the one that is to end. */
  drain(drain: Drain): void {
    const line = this.#line;
    if (line === undefined || this.#replacing !== undefined) return;
    this.#replacing = this.#replace(line, drain);
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      const endpoint = this.#options.endpoints[this.#turn % this.#options.endpoints.length]!;
      const startedMs = this.#options.clock.monotonicMs();
      const ending = await this.#hold(endpoint);
      if (this.#closed) return;
      // A stream that lasted was no failure; one that ended at once may end at once again.
      const lasted = ending.accepted && this.#options.clock.monotonicMs() - startedMs > limits.syncDeadMs;
      failures = lasted ? 1 : failures + 1;
      const throttled = ending.retryAfterMs !== undefined;
      const pauseMs = throttled
        ? throttledMs(ending.retryAfterMs, this.#options.random)
        : backoffMs(failures, this.#options.random);
      // Who is told to come back later has a place in that line.
      if (!throttled) this.#turn += 1;
      this.#options.log.warn(
        { url: endpoint.url, reason: messageOf(ending.reason), pauseMs: Math.round(pauseMs) },
        throttled
          ? 'the control plane asked to come back later'
          : 'no stream to a control plane; trying again',
      );
      await this.#pause(pauseMs);
    }
  }

  /** Opens a stream and stays with it, and with the ones that replace it, until the last one ends. */
  async #hold(endpoint: Endpoint): Promise<Ending> {
    let line: Line | undefined;
    try {
      line = await this.#open(endpoint);
    } catch (error) {
      return { reason: error, retryAfterMs: undefined, accepted: false };
    }
    for (;;) {
      this.#line = line;
      if (this.#closed) line.connection.close('This node is stopping.');
      void line.connection.accepted.then((accepted) => accepted && this.#options.onConnected(true));
      const ending = await line.connection.done;
      const replacement = await this.#replacing;
      this.#replacing = undefined;
      this.#line = undefined;
      if (replacement === undefined) {
        this.#options.onConnected(false);
        return ending;
      }
      line = replacement;
    }
  }

  async #open(endpoint: Endpoint): Promise<Line> {
    const { credentials, node, deadMs, clock, log } = this.#options;
    const tls = await this.#unlessClosed(credentials.for(endpoint));
    const channel = openChannel({ endpoint, tls, deadMs, clock });
    const headers = credentials.headersFor(endpoint);
    const connection = new Connection({ node, channel, headers, deadMs, clock });
    void connection.accepted.then(
      (accepted) => accepted && log.info({ url: endpoint.url }, 'connected to a control plane'),
    );
    return { endpoint, connection };
  }

  async #replace(leaving: Line, { reconnectWithinMs, hosts }: Drain): Promise<Line | undefined> {
    const { random, log } = this.#options;
    // The first half of the time spreads the fleet; the second is for trying.
    const ended = leaving.connection.done;
    await Promise.race([this.#pause((random() * reconnectWithinMs) / 2), ended]);
    for (const endpoint of this.#elsewhere(leaving.endpoint, hosts)) {
      if (this.#closed) return undefined;
      try {
        const line = await this.#open(endpoint);
        const closing = () => line.connection.close('This node is stopping.');
        this.#closing.signal.addEventListener('abort', closing, { once: true });
        const accepted = await line.connection.accepted;
        this.#closing.signal.removeEventListener('abort', closing);
        if (accepted) {
          leaving.connection.close('The stream was replaced, as asked.');
          return line;
        }
        const { reason } = await line.connection.done;
        log.warn({ url: endpoint.url, err: reason }, 'the stream that was to replace another did not open');
      } catch (error) {
        log.warn({ url: endpoint.url, err: error }, 'the stream that was to replace another did not open');
      }
    }
    return undefined;
  }

  /** The hosts that were named, then the other addresses, then the same one: behind a balancer it may lead elsewhere. */
  #elsewhere(leaving: Endpoint, hosts: readonly string[]): Endpoint[] {
    const { endpoints, log } = this.#options;
    const named: Endpoint[] = [];
    for (const host of hosts) {
      try {
        named.push(
          parseEndpoint(host.includes('://') ? host : `${leaving.secure ? 'https' : 'http'}://${host}`),
        );
      } catch (error) {
        log.warn({ host, err: error }, 'the control plane named a host that cannot be used');
      }
    }
    const others = endpoints.filter((endpoint) => endpoint.url !== leaving.url);
    return [...new Map([...named, ...others, leaving].map((endpoint) => [endpoint.url, endpoint])).values()];
  }

  #renew(): void {
    if (this.#line?.endpoint.secure) void this.#options.credentials.renewIfDue(this.#line.connection.channel);
  }

  /** Joining may take its time; a node that stops does not wait for it. */
  async #unlessClosed<Value>(promise: Promise<Value>): Promise<Value> {
    const { promise: closed, reject } = Promise.withResolvers<never>();
    const stop = () => reject(new Error('This node is stopping.'));
    this.#closing.signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([promise, closed]);
    } finally {
      this.#closing.signal.removeEventListener('abort', stop);
    }
  }

  async #pause(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: this.#closing.signal }).catch(() => {});
  }
}

/** One line is enough for what is tried again for ever. */
function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason ?? 'the stream ended');
}
