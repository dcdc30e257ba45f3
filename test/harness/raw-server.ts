// A TCP or TLS server that does exactly what a test says, byte by byte, and remembers its connections.
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer, type TlsOptions } from 'node:tls';

export interface RawConnection {
  readonly socket: Socket;
  /** Everything received so far. */
  received(): string;
  receivedBytes(): number;
  /** Whether the other side has closed. */
  closed(): boolean;
}

export interface RawServer {
  readonly port: number;
  readonly connections: readonly RawConnection[];
  stop(): Promise<void>;
}

export interface RawServerOptions {
  /** Called with every piece that arrives. */
  readonly onData?: (connection: RawConnection, bytes: Buffer) => void;
  readonly onConnection?: (connection: RawConnection) => void;
  readonly tls?: TlsOptions;
  readonly host?: string;
  /** Count what arrives without keeping it. */
  readonly discard?: boolean;
}

export async function startRawServer(options: RawServerOptions): Promise<RawServer> {
  const connections: RawConnection[] = [];
  const serve = (socket: Socket): void => {
    const pieces: Buffer[] = [];
    let count = 0;
    let closed = false;
    const connection: RawConnection = {
      socket,
      received: () => Buffer.concat(pieces).toString(),
      receivedBytes: () => count,
      closed: () => closed,
    };
    connections.push(connection);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      closed = true;
    });
    socket.on('data', (bytes) => {
      count += bytes.length;
      if (!options.discard) pieces.push(bytes);
      options.onData?.(connection, bytes);
    });
    options.onConnection?.(connection);
  };
  const server: Server = options.tls ? createSecureServer(options.tls, serve) : createServer(serve);
  server.on('tlsClientError', () => undefined);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, options.host ?? '127.0.0.1', resolve);
  await promise;
  return {
    port: (server.address() as { port: number }).port,
    connections,
    stop: async () => {
      const stopped = Promise.withResolvers<void>();
      server.close(() => stopped.resolve());
      for (const { socket } of connections) socket.destroy();
      await stopped.promise;
    },
  };
}

/** A whole answer of the given length. */
export function answerOf(body: string, head = 'HTTP/1.1 200 OK'): string {
  return `${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
