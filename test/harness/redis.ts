// A real Redis on a free loopback port, with nothing on disk.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from './debian.ts';
import { freePort } from './process.ts';

const STARTUP_MS_MAX = 20_000;

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
  const { path, environment } = await findProgram('redis-server');
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-redis-'));
  const port = await freePort();
  let process: ChildProcess | undefined;

  async function start(): Promise<void> {
    const parameters = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
    const started = spawn(path, [...parameters, '--appendonly', 'no', '--daemonize', 'no'], {
      env: { ...globalThis.process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: string[] = [];
    started.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    started.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
    process = started;
    await waitForServer(port, started, output);
  }

  async function stop(): Promise<void> {
    const target = process;
    if (target === undefined || target.exitCode !== null || target.signalCode !== null) return;
    const exited = new Promise((resolve) => target.once('exit', resolve));
    target.kill('SIGCONT');
    target.kill('SIGKILL');
    await exited;
  }

  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    stop,
    start,
    signal: (signal) => void process?.kill(signal),
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
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
  throw new Error(`redis-server did not start on port ${port}: ${output.join('').slice(-2000)}`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (greeting) => settle(greeting.includes('PONG')));
    socket.once('error', () => settle(false));
    socket.setTimeout(1_000, () => settle(false));
  });
}
