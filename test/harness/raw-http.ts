// A client made of one socket, for tests of what a well-behaved client library would never send or never show.
import { connect, type Socket } from 'node:net';

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far, as latin1. */
  readonly received: string;
  readonly closed: boolean;
  send(bytes: string | Buffer): void;
  /** Resolves as soon as what was received satisfies the question, or the connection is over. */
  until(satisfied: (received: string) => boolean): Promise<string>;
  /** Resolves with everything once the server has closed the connection. */
  end(): Promise<string>;
  destroy(): void;
}

export async function openRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const watchers = new Set<() => void>();
  let received = '';
  let closed = false;
  const tell = () => {
    for (const watch of watchers) watch();
  };
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
    tell();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    closed = true;
    tell();
  });
  const until = (satisfied: (received: string) => boolean): Promise<string> =>
    new Promise((resolve) => {
      const watch = () => {
        if (!closed && !satisfied(received)) return;
        watchers.delete(watch);
        resolve(received);
      };
      watchers.add(watch);
      watch();
    });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return {
    socket,
    get received() {
      return received;
    },
    get closed() {
      return closed;
    },
    send: (bytes) => void socket.write(bytes),
    until,
    end: () => until(() => false),
    destroy: () => void socket.destroy(),
  };
}

/** One request as bytes. A body brings its length along. */
export function rawRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): string {
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.entries({ host: 'test', ...length, ...headers });
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}
