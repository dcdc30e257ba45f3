// A real NATS server with JetStream, on a free loopback port, with a store of its own that survives stop and start.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildHandle, freePort } from './process.ts';
import { startServer } from './server-process.ts';

export interface NatsOptions {
  /** Default: a folder that is removed when the server is stopped for good. */
  readonly storeFolder?: string;
  readonly port?: number;
}

export interface NatsServer {
  readonly url: string;
  readonly pid: number;
  /** Stops the process; its store stays, so that `start` continues where it was. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Sends a signal. SIGKILL waits until the process is gone; SIGSTOP and SIGCONT freeze it and let it go on. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Stops the process and removes a store that was made for it. */
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const storeFolder = options.storeFolder ?? (await mkdtemp(join(tmpdir(), 'signalbox-nats-')));
  const port = options.port ?? (await freePort());
  let server: ChildHandle;

  async function start(): Promise<void> {
    server = await startServer({
      program: 'nats-server',
      parameters: [
        ...['--jetstream', '--store_dir', storeFolder],
        ...['--addr', '127.0.0.1', '--port', String(port)],
      ],
      port,
      greeting: 'INFO',
    });
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    server.signal(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await server.exited;
  }

  async function stop(): Promise<void> {
    await kill('SIGCONT');
    await kill('SIGTERM');
  }

  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    stop,
    start,
    kill,
    async [Symbol.asyncDispose]() {
      await stop();
      if (options.storeFolder === undefined) await rm(storeFolder, { recursive: true, force: true });
    },
  };
}
