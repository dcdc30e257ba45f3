// The transport, and all that is peculiar about it: gRPC over node:http2 by connect. What the rest of this folder knows of
// it is a Caller. connect's server sends no pings, so a frozen peer would be held for ever; the connection-wide window has
// to be widened after connecting; and an error on a session, socket or stream that nobody listens to ends the process.
import type { EventEmitter } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { nodeIdOf, type ServerIdentity } from './authority.ts';

/** Who calls, as far as the connection tells. */
export interface Caller {
  readonly address: string;
  /** The node named by a certificate of our authority that is valid now; undefined for anyone else. */
  readonly nodeId: string | undefined;
  /** Ends the connection at once, without asking the other side. */
  destroy(): void;
}

export const callerKey = createContextKey<Caller>({
  address: '',
  nodeId: undefined,
  destroy: () => undefined,
});

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined for plain HTTP/2, which is for loopback alone. */
  readonly tls: { readonly identity: ServerIdentity; readonly authorityPem: string } | undefined;
  readonly routes: (router: ConnectRouter) => void;
  readonly pingMs: number;
  readonly deadMs: number;
  readonly log: Logger;
}

export interface Listener {
  readonly url: string;
  readonly port: number;
  /** New connections see this from now on. */
  setIdentity(identity: ServerIdentity): void;
  close(): Promise<void>;
}

/** A node needs a stream, a renewal and a health check; the rest is for a fleet behind one proxy connection. */
const STREAMS_PER_SESSION_MAX = 1_000;
/** A connection that asks for nothing is closed after this long. */
const IDLE_MS_MAX = 60_000;
/** How long the other side may take to close its half. */
const CLOSE_MS_MAX = 1_000;

export async function listen(options: ListenOptions): Promise<Listener> {
  const { host, port, tls, log } = options;
  if (tls === undefined && !isLoopback(host)) {
    throw new SignalboxError(
      'invalid_configuration',
      `The sync address "${host}" is not a loopback address, so it has to use TLS. Turn TLS on, or listen on 127.0.0.1.`,
    );
  }
  const sessions = new Sessions(options);
  const settings: http2.Settings = {
    enablePush: false,
    initialWindowSize: limits.syncMessageBytesMax,
    maxConcurrentStreams: STREAMS_PER_SESSION_MAX,
  };
  const server =
    tls === undefined
      ? http2.createServer({ settings })
      : http2.createSecureServer({ settings, ...tlsOptions(tls) });
  server.on('request', requestHandler(options));
  server.on('session', (session) => sessions.add(session));
  for (const event of ['sessionError', 'tlsClientError', 'clientError']) {
    (server as EventEmitter).on(event, (error: Error) =>
      log.debug({ err: error }, `sync connection: ${event}`),
    );
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, host, resolve);
  await promise;
  server.off('error', reject);
  server.on('error', (error) => log.error({ err: error }, 'the sync listener failed'));
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${reachable(host)}:${bound}`,
    port: bound,
    setIdentity(identity) {
      if ('setSecureContext' in server)
        server.setSecureContext({ key: identity.keyPem, cert: identity.chainPem });
    },
    async close() {
      const closed = new Promise<void>((done) => server.close(() => done()));
      await sessions.close();
      await closed;
    },
  };
}

/** Certificates are asked for and judged call by call: a joining node has none yet. */
function tlsOptions({
  identity,
  authorityPem,
}: NonNullable<ListenOptions['tls']>): http2.SecureServerOptions {
  return {
    key: identity.keyPem,
    cert: identity.chainPem,
    ca: authorityPem,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    allowHTTP1: false,
  };
}

function requestHandler({ routes, log }: ListenOptions) {
  const router = createConnectRouter({
    connect: false,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: limits.syncMessageBytesMax,
    writeMaxBytes: limits.syncMessageBytesMax,
  });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return async function handleCall(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) {
    const handler = handlers.get(request.url);
    if (handler === undefined) {
      response.writeHead(404).end();
      return;
    }
    request.stream.on('error', () => undefined); // the handler's signal tells of it
    response.once('finish', () => closeSoon(request.stream));
    try {
      const call = universalRequestFromNodeRequest(request, response, undefined, contextOf(request));
      await universalResponseToNodeResponse(await handler(call), response);
    } catch (error) {
      // The other side left, or the connection broke: what the call was for has heard through its signal.
      log.debug({ err: error, path: request.url }, 'a sync call ended early');
    }
  };
}

/** We have said all we will; a peer that leaves its half open would hold the stream for ever. */
function closeSoon(stream: http2.ServerHttp2Stream): void {
  const timer = setTimeout(() => stream.close(http2.constants.NGHTTP2_NO_ERROR), CLOSE_MS_MAX);
  stream.once('close', () => clearTimeout(timer));
}

function contextOf(request: http2.Http2ServerRequest): ContextValues {
  const { session } = request.stream;
  const socket = session?.socket as TLSSocket | undefined;
  const caller: Caller = {
    address: socket?.remoteAddress ?? '',
    nodeId: socket === undefined ? undefined : certifiedNode(socket),
    destroy: () => session?.destroy(),
  };
  return createContextValues().set(callerKey, caller);
}

/** Whether the chain is right was checked in the handshake, but a connection may outlive its certificate. */
function certifiedNode(socket: TLSSocket): string | undefined {
  if (!socket.encrypted || !socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined || Date.parse(certificate.validTo) <= Date.now()) return undefined;
  return nodeIdOf(certificate.subjectAltName);
}

interface Watched {
  streams: number;
  idleSinceMs: number;
  pongMs: number;
}

/** Every open connection: pinged, given up when it does not answer, closed when it has nothing to do. */
class Sessions {
  readonly #sessions = new Map<http2.ServerHttp2Session, Watched>();
  readonly #options: ListenOptions;
  readonly #timer: NodeJS.Timeout;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.pingMs);
  }

  add(session: http2.ServerHttp2Session): void {
    const nowMs = performance.now();
    const watched = { streams: 0, idleSinceMs: nowMs, pongMs: nowMs };
    this.#sessions.set(session, watched);
    session.setLocalWindowSize(limits.syncWindowBytes);
    session.on('error', (error) => this.#options.log.debug({ err: error }, 'sync connection failed'));
    session.on('close', () => this.#sessions.delete(session));
    session.on('stream', (stream) => {
      watched.streams++;
      stream.on('close', () => {
        watched.streams--;
        watched.idleSinceMs = performance.now();
      });
    });
  }

  /** Lets calls in progress end, but not for long. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const all = [...this.#sessions.keys()];
    // Its own callback is never called for a session that is closing already.
    const closed = all.map(
      (session) => new Promise<void>((resolve) => session.once('close', () => resolve())),
    );
    for (const session of all) session.close();
    const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
    const timer = setTimeout(giveUp, CLOSE_MS_MAX);
    await Promise.race([Promise.all(closed), late]);
    clearTimeout(timer);
    for (const session of this.#sessions.keys()) session.destroy();
  }

  #look(): void {
    const nowMs = performance.now();
    for (const [session, watched] of this.#sessions) {
      if (session.destroyed) this.#sessions.delete(session);
      else if (nowMs - watched.pongMs > this.#options.deadMs) session.destroy();
      else if (session.closed) continue;
      else if (watched.streams === 0 && nowMs - watched.idleSinceMs > IDLE_MS_MAX) session.close();
      else this.#ping(session, watched);
    }
  }

  #ping(session: http2.ServerHttp2Session, watched: Watched): void {
    session.ping((error) => {
      if (error === null) watched.pongMs = performance.now();
    });
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What a node on this machine connects to. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
