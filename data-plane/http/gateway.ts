// The data plane's HTTP surface as one thing with a life: it listens, answers, and stops without dropping anyone. Built
// from what it needs and nothing more, so that tests run the real surface over a snapshot made by hand.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ExplainedRequest } from '#proto/signalbox/sync/v1/sync_pb.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits as sharedLimits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { AttemptServices } from '../attempt/attempt-record.ts';
import type { AttemptLedger } from '../meter/ledger.ts';
import { admitHead } from '../policy/admission.ts';
import type { Credentials } from '../policy/step.ts';
import { createMemoryStore } from '../responses/memory-store.ts';
import type { ResponseStore } from '../responses/store.ts';
import { Gate } from '../routing/admission/gate.ts';
import { KeyUsage } from '../routing/key-usage.ts';
import { type Routing, RoutingState } from '../routing/routing-state.ts';
import type { Snapshot, SnapshotSource } from '../snapshot/snapshot.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { Mirrors } from './asking/mirrors.ts';
import { BrokenRequests } from './broken-request.ts';
import type { Admitted, GatewayContext, GatewayLimits } from './context.ts';
import { corsPolicy, mayConnect, preflightHeaders } from './cors.ts';
import { answerError, answerLate } from './errors.ts';
import { Exchange } from './exchange.ts';
import { explainRequest } from './explain.ts';
import { FilesRoom } from './files/place.ts';
import { pathOf, queryOf } from './headers.ts';
import type { HealthReading } from './health-reading.ts';
import { GatewayMetrics } from './metrics.ts';
import { logClosed } from './request-log.ts';
import type { PathParameters } from './router.ts';
import { allowed, isAdminPath, type Route, routeFor, takesUpgrades } from './routes.ts';
import { faultOfHead } from './strict-head.ts';
import { RealtimeDoor } from './upgrade.ts';
import { responseOver, UpgradeConnection } from './upgrade-connection.ts';
import { asksForWebSocket, normaliseProtocols } from './upgrade-request.ts';

export interface GatewayOptions {
  readonly snapshots: SnapshotSource;
  readonly ledger: AttemptLedger;
  readonly upstream: UpstreamClient;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** What the rest of this instance says of itself. */
  readonly health: () => Omit<HealthReading, 'revision' | 'draining' | 'inFlight' | 'region'>;
  /** Where responses are kept; in memory where nothing is said. */
  readonly responses?: ResponseStore;
  readonly region?: string;
  /** What routing remembers; its own unless others look at it too. */
  readonly routing?: Routing;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Serves the administration in an all-in-one instance. */
  readonly adminHandler?: AdminHandler | undefined;
  /** Whose pages may call from a browser; `*` for everybody's. */
  readonly corsOrigins?: readonly string[];
  readonly limits?: Partial<ServerLimits>;
}

export type AdminHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface ServerLimits extends GatewayLimits {
  readonly requestHeaderBytesMax: number;
  readonly requestHeadersMsMax: number;
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
  readonly requestsInFlightMax: number;
  readonly drainMs: number;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How often node:http looks for connections that are late with their headers. */
const LATE_CHECK_MS = 1000;
/** Peers that vanish without a word are found by the kernel's probes. */
const KEEP_ALIVE_PROBE_MS = 30_000;

export function createGateway(options: GatewayOptions): Gateway {
  return new Gateway(options);
}

export class Gateway {
  readonly #server: Server;
  readonly #options: GatewayOptions;
  readonly #limits: ServerLimits;
  readonly #context: GatewayContext;
  readonly #metrics: GatewayMetrics;
  readonly #exchanges = new Set<Exchange>();
  readonly #exchangeServices: ConstructorParameters<typeof Exchange>[0];
  #draining = false;
  #onQuiet: (() => void) | undefined;

  constructor(options: GatewayOptions) {
    const clock = options.clock ?? systemClock;
    const limits: ServerLimits = { ...sharedLimits, ...options.limits };
    this.#options = options;
    this.#limits = limits;
    this.#metrics = new GatewayMetrics(options.metrics, () => this.#exchanges.size);
    const attempts: AttemptServices = {
      ledger: options.ledger,
      upstream: options.upstream,
      keyUsage: new KeyUsage(),
      routing: options.routing ?? new RoutingState(),
      clock,
      limits,
      onSettled: (provider, outcome, usage) => this.#metrics.attemptSettled(provider, outcome, usage),
    };
    const gate = new Gate({ clock });
    const random = options.random ?? Math.random;
    this.#context = {
      snapshots: options.snapshots,
      attempts,
      limits,
      gate,
      mirrors: new Mirrors({
        ...{ attempts, gate, random, limits, log: options.log },
        onEnded: (outcome) => this.#metrics.copyEnded(outcome),
      }),
      responses: options.responses ?? createMemoryStore(clock, sharedLimits),
      region: options.region ?? '',
      random,
      realtime: new RealtimeDoor(limits.realtimeMessageBytesMax),
      files: new FilesRoom(sharedLimits),
      health: { read: () => this.#readHealth() },
      renderMetrics: () => options.metrics.render(),
      onHedged: (outcome) => this.#metrics.hedged(outcome),
    };
    this.#exchangeServices = {
      clock,
      limits,
      draining: () => this.#draining,
      cors: corsPolicy(options.corsOrigins ?? []),
      onClosed: (exchange) => this.#closed(exchange),
      onLate: answerLate,
    };
    this.#server = this.#createServer();
  }

  /** Where a request would go, and why. Throws what its client would be told at once. */
  explain(request: ExplainedRequest): ReturnType<typeof explainRequest> {
    return explainRequest(this.#context, this.#currentSnapshot(), request);
  }

  /** Requests being answered now. */
  get inFlight(): number {
    return this.#exchanges.size;
  }

  get ready(): boolean {
    return !this.#draining && this.#options.snapshots.current() !== undefined;
  }

  listen({ host, port }: Address): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener('error', reject);
        const bound = this.#server.address() as { readonly address: string; readonly port: number };
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  /**
   * Readiness turns false, no connection is accepted, idle ones are closed, answers under way are finished. What is
   * still running at the end of the time is ended with an error its client can read. Copies, which nobody reads, end at once.
   */
  async close({ drainMs = this.#limits.drainMs }: { drainMs?: number } = {}): Promise<void> {
    this.#draining = true;
    this.#context.mirrors.close();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    if (!(await this.#quietWithin(drainMs))) {
      const stopping = new SignalboxError(
        'draining',
        'This instance is shutting down and could not wait any longer. Send the request again.',
      );
      for (const exchange of this.#exchanges) exchange.interrupt(stopping);
      await this.#quietWithin(this.#limits.lingerMs);
    }
    // What is left are connections that nothing is asked on, and whatever the administration is still answering.
    await within(this.#limits.lingerMs, closed);
    this.#server.closeAllConnections();
    await closed;
  }

  #createServer(): Server {
    const limits = this.#limits;
    const server = createServer({
      maxHeaderSize: limits.requestHeaderBytesMax,
      headersTimeout: limits.requestHeadersMsMax,
      // Bodies have a timer of their own, which answers properly; this one is behind it.
      requestTimeout: limits.requestHeadersMsMax + limits.requestBodyMsMax,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(LATE_CHECK_MS, limits.requestHeadersMsMax),
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      // Refused here, in the words of every other error.
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: (request) =>
        asksForWebSocket(request) && takesUpgrades(pathOf(request.url ?? '/')),
    });
    server.maxConnections = limits.connectionsMax;
    server.on('request', (request, response) => this.#onRequest(request, response));
    server.on('checkContinue', (request, response) => this.#onRequest(request, response));
    server.on('checkExpectation', (request, response) => this.#onRequest(request, response));
    const broken = new BrokenRequests(limits);
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      normaliseProtocols(request);
      this.#onRequest(request, responseOver(request, socket), new UpgradeConnection(socket, head));
    });
    server.on('clientError', (cause, socket) => broken.answer(cause, socket));
    return server;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse, connection?: UpgradeConnection): void {
    const { adminHandler } = this.#options;
    const path = pathOf(request.url ?? '/');
    const { target: route, parameters } = routeFor(path);
    const fault = faultOfHead(request) ?? (connection && this.#faultOfOrigin(request));
    if (!fault && adminHandler && route.operation === 'unknown' && isAdminPath(path)) {
      // Whoever waits for "100 Continue" hears it from us; the administration reads all its bodies.
      if (request.headers.expect !== undefined) response.writeContinue();
      adminHandler(request, response);
      return;
    }
    const exchange = new Exchange(this.#exchangeServices, path, request, response);
    this.#exchanges.add(exchange);
    if (connection) {
      exchange.connection = connection;
      exchange.closeConnection();
    }
    if (fault) {
      exchange.closeConnection();
      answerError(exchange, fault);
      return;
    }
    this.#answer(exchange, route, parameters).catch((thrown: unknown) => this.#fail(exchange, thrown));
  }

  /** Browsers keep pages of foreign origins from reading answers, but not from opening WebSockets. */
  #faultOfOrigin({ headers: { origin } }: IncomingMessage): SignalboxError | undefined {
    if (mayConnect(this.#exchangeServices.cors, origin)) return undefined;
    return new SignalboxError(
      'origin_not_allowed',
      'Pages of this origin may not connect here. The operator lists those that may in SIGNALBOX_CORS_ORIGINS.',
    );
  }

  async #answer(exchange: Exchange, route: Route, parameters: PathParameters): Promise<void> {
    exchange.operation = route.operation;
    const { dialect } = route;
    if (dialect) exchange.dialect = typeof dialect === 'string' ? dialect : dialect(exchange.request.headers);
    const method = exchange.request.method ?? 'GET';
    const { cors } = this.#exchangeServices;
    const preflight =
      cors && method === 'OPTIONS' ? preflightHeaders(cors, exchange.request.headers) : undefined;
    if (preflight) {
      exchange.answerEmpty(204, preflight);
      return;
    }
    if (route.access === 'key') {
      const admitted = this.#admit(exchange);
      const handler = route.methods[method === 'HEAD' ? 'GET' : method];
      if (handler) await handler(this.#context, exchange, admitted, parameters);
      else answerWithoutHandler(exchange, route, method);
      return;
    }
    const handler = route.methods[method === 'HEAD' ? 'GET' : method];
    if (handler) await handler(this.#context, exchange);
    else answerWithoutHandler(exchange, route, method);
  }

  #admit(exchange: Exchange): Admitted {
    if (this.#exchanges.size > this.#limits.requestsInFlightMax) {
      throw new SignalboxError(
        'overloaded',
        `This instance is answering ${this.#limits.requestsInFlightMax} requests already. Try again in a moment.`,
        { retryAfterMs: 1000 },
      );
    }
    const snapshot = this.#currentSnapshot();
    const principal = admitHead({
      snapshot,
      credentials: credentialsOf(exchange),
      nowMs: this.#context.attempts.clock.wallMs(),
    });
    exchange.keyId = principal.keyId;
    return { snapshot, principal };
  }

  #currentSnapshot(): Snapshot {
    const snapshot = this.#options.snapshots.current();
    if (snapshot) return snapshot;
    throw new SignalboxError(
      'not_ready',
      'This instance has not received its configuration yet. Send the request again in a moment.',
      { retryAfterMs: 1000 },
    );
  }

  #fail(exchange: Exchange, thrown: unknown): void {
    const error = SignalboxError.from(thrown);
    if (exchange.begun) {
      // Only a fault of ours gets here after an answer has begun; the client must not take it for whole.
      exchange.error = error;
      exchange.response.destroy();
    } else {
      answerError(exchange, error);
    }
  }

  #closed(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
    this.#metrics.requestClosed(exchange);
    logClosed(this.#options.log, exchange);
    if (!this.#draining) return;
    // The connection only counts as idle after this event.
    setImmediate(() => this.#server.closeIdleConnections());
    if (this.#exchanges.size === 0) this.#onQuiet?.();
  }

  #quietWithin(waitMs: number): Promise<boolean> {
    if (this.#exchanges.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), waitMs);
      this.#onQuiet = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #readHealth(): HealthReading {
    return {
      ...this.#options.health(),
      region: this.#context.region,
      revision: this.#options.snapshots.current()?.revision,
      draining: this.#draining,
      inFlight: this.#exchanges.size,
    };
  }
}

/** Google's clients may put their key into the address; everywhere else such a word there means nothing. */
function credentialsOf({ request, dialect }: Exchange): Credentials {
  const { authorization, 'x-api-key': apiKey, 'x-goog-api-key': googleApiKey } = request.headers;
  return {
    authorization,
    apiKey: typeof apiKey === 'string' ? apiKey : undefined,
    googleApiKey: typeof googleApiKey === 'string' ? googleApiKey : undefined,
    isInAddress: dialect === 'gemini' && queryOf(request.url ?? '').has('key'),
  };
}

async function within(waitMs: number, event: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, waitMs);
  await Promise.race([event, promise]);
  clearTimeout(timer);
}

function answerWithoutHandler(exchange: Exchange, route: Route, method: string): void {
  if (Object.keys(route.methods).length === 0) {
    const where = `${method} ${exchange.path}`;
    throw new SignalboxError('not_found', `There is nothing at ${where}. GET / lists what there is.`);
  }
  const allow = allowed(route);
  if (method === 'OPTIONS') {
    exchange.answerEmpty(204, ['allow', allow]);
    return;
  }
  const error = new SignalboxError(
    'method_not_allowed',
    `${exchange.path} does not take ${method}. It takes ${allow}.`,
  );
  answerError(exchange, error, ['allow', allow]);
}
