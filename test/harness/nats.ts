// A real NATS server with JetStream, on a free loopback port, with a store of its own that survives stop and start.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from './debian.ts';
import { freePort } from './process.ts';

const STARTUP_MS_MAX = 20_000;

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
  const { path, environment } = await findProgram('nats-server');
  const storeFolder = options.storeFolder ?? (await mkdtemp(join(tmpdir(), 'signalbox-nats-')));
  const port = options.port ?? (await freePort());
  let process: ChildProcess | undefined;

  async function start(): Promise<void> {
    const parameters = [
      '--jetstream',
      '--store_dir',
      storeFolder,
      '--addr',
      '127.0.0.1',
      '--port',
      String(port),
    ];
    const output: string[] = [];
    const started = spawn(path, parameters, {
      env: { ...globalThis.process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    process = started;
    started.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    await waitForServer(port, started, output);
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    const target = process;
    if (target === undefined || target.exitCode !== null || target.signalCode !== null) return;
    const exited = new Promise((resolve) => target.once('exit', resolve));
    target.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await exited;
  }

  async function stop(): Promise<void> {
    await kill('SIGCONT');
    await kill('SIGTERM');
  }

  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return process?.pid ?? 0;
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

async function waitForServer(port: number, process: ChildProcess, output: readonly string[]): Promise<void> {
  const deadline = performance.now() + STARTUP_MS_MAX;
  while (performance.now() < deadline) {
    if (process.exitCode !== null) break;
    if (await answers(port)) return;
    await delay(20);
  }
  process.kill('SIGKILL');
  throw new Error(`nats-server did not start on port ${port}: ${output.join('').slice(-2000)}`);
}

/** The server greets with INFO; a port that is merely open is not enough. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (greeting) => settle(greeting.includes('INFO')));
    socket.once('error', () => settle(false));
    socket.setTimeout(1_000, () => settle(false));
  });
}
