// A real Redis on a free loopback port, with nothing on disk.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildHandle, freePort } from './process.ts';
import { startServer } from './server-process.ts';

export interface RedisServer {
  readonly url: string;
  /** Ends the process, and with it everything it held. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP freezes it, SIGCONT lets it go on. */
  signal(signal: NodeJS.Signals): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-redis-'));
  const port = await freePort();
  let server: ChildHandle;

  async function start(): Promise<void> {
    server = await startServer({
      program: 'redis-server',
      parameters: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
        ...['--save', '', '--appendonly', 'no', '--daemonize', 'no'],
      ],
      port,
      question: 'PING\r\n',
      greeting: 'PONG',
    });
  }

  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => void (await server.kill()),
    start,
    signal: (signal) => server.signal(signal),
    async [Symbol.asyncDispose]() {
      await server.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
