// The data plane's HTTP/1.1 client: pooled connections, one synchronous parser per connection, no promise and no timer per
// exchange. All time-outs are looked after by one ticker, which is precise enough for limits of seconds and costs nothing
// per request. Why not a library: docs/decisions/2026-11-20-own-upstream-client.md.
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type {
  Origin,
  UpgradeOutcome,
  UpgradeRequest,
  UpstreamCall,
  UpstreamClient,
  UpstreamHandler,
  UpstreamRequest,
} from './contract.ts';
import { dial, type Resolve, systemResolve } from './dial.ts';
import { Exchange } from './exchange.ts';
import { Pool, type PoolSettings, stopping } from './pool.ts';
import { writeHead } from './request-head.ts';
import { openWebSocket } from './upgrade.ts';

export type {
  Origin,
  UpgradeRequest,
  UpstreamCall,
  UpstreamClient,
  UpstreamHandler,
  UpstreamRequest,
} from './contract.ts';
export type { Resolve } from './dial.ts';

export interface UpstreamClientOptions {
  readonly clock?: Clock;
  /** All addresses of a name; the system's resolver unless a test says otherwise. */
  readonly resolve?: Resolve;
  /** PEM certificates to trust instead of the system's, for tests. */
  readonly certificateAuthorities?: readonly string[];
  readonly connectTimeoutMs?: number;
  readonly idleConnectionMs?: number;
  readonly connectionsPerOriginMax?: number;
}

/** A time-out fires at most two of these late. */
const TICK_MS = 100;

export function createUpstreamClient(options: UpstreamClientOptions = {}): UpstreamClient {
  return new PooledClient(options);
}

class PooledClient implements UpstreamClient {
  readonly #settings: PoolSettings;
  readonly #pools = new Map<string, Pool>();
  /** Origins are made once per snapshot, so most look-ups need no key to be put together. */
  #poolOf = new WeakMap<Origin, Pool>();
  #ticker: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: UpstreamClientOptions) {
    const clock = options.clock ?? systemClock;
    this.#settings = {
      resolve: options.resolve ?? systemResolve,
      certificateAuthorities: options.certificateAuthorities,
      connectTimeoutMs: options.connectTimeoutMs ?? limits.upstreamConnectMs,
      idleConnectionMs: options.idleConnectionMs ?? limits.upstreamIdleConnectionMs,
      connectionsMax: options.connectionsPerOriginMax ?? limits.upstreamConnectionsPerOriginMax,
      nowMs: () => clock.monotonicMs(),
    };
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    const pool = this.#poolOf.get(request.origin) ?? this.#findPool(request.origin);
    const nowMs = this.#settings.nowMs();
    let bodyBytes = 0;
    for (const part of request.body) bodyBytes += part.length;
    let exchange: Exchange;
    try {
      exchange = new Exchange(
        request,
        handler,
        writeHead(request, pool.hostLine, bodyBytes),
        bodyBytes,
        nowMs,
      );
    } catch (thrown) {
      return refuse(request, handler, unsendable(thrown as Error));
    }
    if (this.#closed) return refuse(request, handler, stopping());
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref();
    pool.dispatch(exchange, nowMs);
    return exchange;
  }

  upgrade(request: UpgradeRequest, signal: AbortSignal): Promise<UpgradeOutcome> {
    if (this.#closed) return Promise.reject(stopping());
    return openWebSocket(request, this.#settings, signal);
  }

  async reach(origin: Origin): Promise<void> {
    if (this.#closed) throw stopping();
    const { resolve, certificateAuthorities, connectTimeoutMs } = this.#settings;
    const options = { origin, resolve, certificateAuthorities, connectTimeoutMs };
    const line = await dial({ ...options, session: undefined, onSession: () => {} }, new AbortController());
    line.socket.destroy();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ticker);
    for (const pool of this.#pools.values()) pool.close();
  }

  #findPool(origin: Origin): Pool {
    const { secure, host, port, allowPrivateNetwork, metadataAddress = '' } = origin;
    const key = `${secure} ${host} ${port} ${allowPrivateNetwork} ${metadataAddress}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(origin, this.#settings);
      this.#pools.set(key, pool);
    }
    this.#poolOf.set(origin, pool);
    return pool;
  }

  #tick(): void {
    const nowMs = this.#settings.nowMs();
    for (const pool of this.#pools.values()) pool.tick(nowMs);
    // A second look, because a tick may report failures and failures may lead to new exchanges.
    for (const pool of this.#pools.values()) if (!pool.empty) return;
    // Nothing is open anywhere: rest, and forget the origins that configuration may have dropped long ago.
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#pools.clear();
    this.#poolOf = new WeakMap();
  }
}

function refuse(request: UpstreamRequest, handler: UpstreamHandler, error: SignalboxError): UpstreamCall {
  const exchange = new Exchange(request, handler, '', 0, 0);
  process.nextTick(() => exchange.fail(error));
  return exchange;
}

function unsendable(cause: Error): SignalboxError {
  return new SignalboxError('upstream_unreachable', `The request cannot be sent. ${cause.message}`, {
    cause,
  });
}
