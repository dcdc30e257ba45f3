// A control plane that does exactly what a test says: a real gRPC server on a real socket whose streams the test holds
// in its hands. It greets, answers heartbeats, and leaves everything else to the test.
import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import {
  type Hello,
  type JoinRequest,
  JoinResponseSchema,
  type RenewRequest,
  RenewResponseSchema,
  type SyncRequest,
  type SyncResponse,
  SyncResponseSchema,
  SyncService,
} from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { ConfigurationSource } from './configuration-source.ts';

type Message = NonNullable<MessageInitShape<typeof SyncResponseSchema>['message']>;

export interface ScriptOptions {
  readonly source: ConfigurationSource;
  readonly tls?: http2.SecureServerOptions;
  readonly port?: number;
  readonly join?: (asked: JoinRequest) => MessageInitShape<typeof JoinResponseSchema>;
  readonly renew?: (asked: RenewRequest) => MessageInitShape<typeof RenewResponseSchema>;
  readonly watermarks?: readonly { journalEpoch: string; sequence: bigint }[];
  /** Called once a stream's Hello is there. */
  readonly onStream?: (stream: ScriptedStream) => void;
}

export interface ScriptedStream {
  readonly hello: Hello;
  readonly headers: Headers;
  readonly received: readonly SyncRequest[];
  send(message: Message): void;
  /** Sends the source's whole state, or what changed since. */
  transfer(from?: bigint): void;
  /** Answers nothing any more, while the connection below lives on. */
  mute(): void;
  end(): void;
  readonly ended: boolean;
}

export interface ScriptedControlPlane {
  readonly url: string;
  readonly port: number;
  readonly streams: readonly ScriptedStream[];
  /** Stops reading and writing on every connection, without closing any: what a frozen process looks like. */
  freeze(): void;
  close(): Promise<void>;
}

export async function startScriptedControlPlane(options: ScriptOptions): Promise<ScriptedControlPlane> {
  const streams: Stream[] = [];
  const sockets = new Set<Socket>();
  const handler = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    routes: (router) =>
      router.service(SyncService, {
        join: (asked) => create(JoinResponseSchema, options.join!(asked)),
        renew: (asked) => create(RenewResponseSchema, options.renew!(asked)),
        async *sync(requests, context) {
          const stream = new Stream(options.source, context.requestHeader);
          void stream.read(requests, options, () => streams.push(stream));
          yield* stream.outgoing();
        },
      }),
  });
  const server =
    options.tls === undefined ? http2.createServer(handler) : http2.createSecureServer(options.tls, handler);
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    streams,
    freeze() {
      for (const stream of streams) stream.frozen = true;
      // Below HTTP/2: no byte in, no byte out, and the kernel keeps the connection open.
      for (const socket of sockets) freezeSocket(socket);
    },
    async close() {
      for (const stream of streams) stream.end();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function freezeSocket(socket: Socket): void {
  const handle = (socket as unknown as { _handle?: { readStop?: () => void } })._handle;
  handle?.readStop?.();
}

class Stream implements ScriptedStream {
  readonly headers: Headers;
  readonly received: SyncRequest[] = [];
  readonly #source: ConfigurationSource;
  readonly #waiting: SyncResponse[] = [];
  #hello: Hello | undefined;
  #wake: () => void = () => {};
  #nonce = 0n;
  frozen = false;
  ended = false;

  constructor(source: ConfigurationSource, headers: Headers) {
    this.#source = source;
    this.headers = headers;
    const { historyId, signingKey } = source;
    this.send({
      case: 'welcome',
      value: { replicaId: 'scripted', historyId, signingKey, schema: 1, heartbeatIntervalMs: 100 },
    });
  }

  get hello(): Hello {
    return this.#hello!;
  }

  send(message: Message): void {
    this.#waiting.push(create(SyncResponseSchema, { message }));
    this.#wake();
  }

  transfer(from?: bigint): void {
    const { sealingKey } = this.hello;
    const nonce = ++this.#nonce;
    const options = { nonce, sealingKey, ...(from !== undefined && { from }) };
    for (const message of this.#source.transfer(options)) this.send(message);
  }

  mute(): void {
    this.frozen = true;
  }

  end(): void {
    this.ended = true;
    this.#wake();
  }

  async read(
    requests: AsyncIterable<SyncRequest>,
    options: ScriptOptions,
    onHello: () => void,
  ): Promise<void> {
    try {
      for await (const request of requests) {
        this.received.push(request);
        if (request.message.case === 'hello') {
          this.#hello = request.message.value;
          onHello();
          options.onStream?.(this);
        } else if (request.message.case === 'heartbeat' && !this.frozen) {
          this.send({ case: 'heartbeat', value: { watermarks: [...(options.watermarks ?? [])] } });
        }
      }
    } catch {
      // The node went away, as nodes do.
    }
    this.end();
  }

  async *outgoing(): AsyncGenerator<SyncResponse> {
    while (!this.ended) {
      const message = this.frozen ? undefined : this.#waiting.shift();
      if (message !== undefined) {
        yield message;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
