// One HTTP/2 connection to one control plane, with a client on it. The session is managed here instead of by the RPC
// library for four reasons: the connection-wide window has to be widened after connecting, or a transfer over a long
// line takes fifty times as long; pings have to be sent, or a frozen peer is never noticed; a ping on a session that has
// just died throws; and a GOAWAY on an idle connection ends the process unless somebody listens.
import http2 from 'node:http2';
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, type GrpcTransportOptions } from '@connectrpc/connect-node';
import { SyncService } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import { controlPlaneName, type Endpoint } from './endpoint.ts';

export interface TlsMaterial {
  readonly authorityPem: string;
  /** Absent only while joining. */
  readonly certificatePem?: string;
  readonly privateKeyPem?: string;
}

export interface ChannelOptions {
  readonly endpoint: Endpoint;
  /** Required exactly for a secure endpoint. */
  readonly tls: TlsMaterial | undefined;
  readonly deadMs: number;
  readonly clock: Clock;
}

export interface Channel {
  readonly client: Client<typeof SyncService>;
  /** Gives the connection up. Calls on it fail. */
  close(): void;
}

export function openChannel(options: ChannelOptions): Channel {
  const session = new Session(options);
  const transport = createGrpcTransport({
    baseUrl: options.endpoint.url,
    sessionManager: session,
    readMaxBytes: limits.syncMessageBytesMax,
    writeMaxBytes: limits.syncMessageBytesMax,
    // Chunks are compressed already; compressing every stream again doubles what a push costs.
    acceptCompression: [],
  });
  return { client: createClient(SyncService, transport), close: () => session.close() };
}

type SessionManager = NonNullable<GrpcTransportOptions['sessionManager']>;

/** A session connects once. When it is gone, so is the channel: whoever wants another connection opens another channel. */
class Session implements SessionManager {
  readonly authority: string;
  readonly #session: http2.ClientHttp2Session;
  readonly #connected: Promise<void>;
  readonly #options: ChannelOptions;
  #heardMs = 0;
  #bytesRead = 0;
  #pings: NodeJS.Timeout | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.authority = options.endpoint.url;
    const settings = { initialWindowSize: limits.syncWindowBytes, enablePush: false };
    this.#session = http2.connect(options.endpoint.url, { settings, ...tlsOptions(options.tls) });
    this.#connected = this.#connect();
    // Whoever makes a call is told; nobody may have made one yet.
    this.#connected.catch(() => {});
  }

  async request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: Omit<http2.ClientSessionRequestOptions, 'signal'>,
  ): Promise<http2.ClientHttp2Stream> {
    await this.#connected;
    return this.#session.request({ ...headers, ':method': method, ':path': path }, options);
  }

  notifyResponseByteRead(): void {
    this.#heardMs = this.#options.clock.monotonicMs();
  }

  close(): void {
    this.#end(new ConnectError('the connection was closed here', Code.Canceled));
  }

  #connect(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => {
      this.#end(new ConnectError(`no connection within ${limits.syncConnectMs} ms`, Code.Unavailable));
    }, limits.syncConnectMs);
    this.#session.once('connect', () => {
      clearTimeout(late);
      // A session that was given up while connecting tells of its connection all the same.
      if (this.#session.destroyed) return;
      this.#session.setLocalWindowSize(limits.syncWindowBytes);
      this.#heardMs = this.#options.clock.monotonicMs();
      this.#pings = setInterval(() => this.#ping(), this.#options.deadMs / 3);
      resolve();
    });
    // Listened to for the session's whole life: an error that nobody listens to would end the process.
    this.#session.on('error', (error) => reject(error));
    this.#session.once('goaway', () => this.#session.close());
    this.#session.once('close', () => {
      clearTimeout(late);
      clearInterval(this.#pings);
      reject(new ConnectError('the connection was closed', Code.Unavailable));
    });
    return promise;
  }

  #ping(): void {
    if (this.#session.destroyed || this.#session.closed) return;
    const bytesRead = this.#session.socket.bytesRead;
    const nowMs = this.#options.clock.monotonicMs();
    // A large chunk on a slow line keeps a pong waiting; its bytes are as good a sign of life.
    if (bytesRead !== this.#bytesRead) this.#heardMs = nowMs;
    this.#bytesRead = bytesRead;
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= this.#options.deadMs) {
      this.#end(new ConnectError(`nothing was heard for ${Math.round(silentMs)} ms`, Code.Unavailable));
      return;
    }
    this.#session.ping((error) => {
      if (error === null) this.#heardMs = this.#options.clock.monotonicMs();
    });
  }

  #end(reason: Error): void {
    clearInterval(this.#pings);
    if (!this.#session.destroyed) this.#session.destroy(reason);
  }
}

function tlsOptions(tls: TlsMaterial | undefined): http2.SecureClientSessionOptions {
  if (tls === undefined) return {};
  return {
    ca: tls.authorityPem,
    ...(tls.certificatePem !== undefined && { cert: tls.certificatePem }),
    ...(tls.privateKeyPem !== undefined && { key: tls.privateKeyPem }),
    servername: controlPlaneName,
    minVersion: 'TLSv1.3',
  };
}
