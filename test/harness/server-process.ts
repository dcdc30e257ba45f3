// A server program on a port of the loopback interface: started, and asked until it greets, because a port that is merely open is not
// enough.
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram, type ProgramName } from './debian.ts';
import { type ChildHandle, startProcess } from './process.ts';

const STARTUP_MS_MAX = 20_000;

export interface ServerOptions {
  readonly program: ProgramName;
  readonly parameters: readonly string[];
  readonly port: number;
  /** What is said to it, where it does not speak first. */
  readonly question?: string;
  /** What is in its first words. */
  readonly greeting: string;
}

export async function startServer(options: ServerOptions): Promise<ChildHandle> {
  const { program, parameters, port } = options;
  const { path, environment } = await findProgram(program);
  const server = startProcess({ name: program, command: path, args: parameters, environment });
  const deadline = performance.now() + STARTUP_MS_MAX;
  while (server.running() && performance.now() < deadline) {
    if (await greets(options)) return server;
    await delay(20);
  }
  await server.kill();
  throw new Error(`${program} did not start on port ${port}: ${server.output().slice(-2000)}`);
}

function greets({ port, question, greeting }: ServerOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => void (question && socket.write(question)));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (words) => settle(words.includes(greeting)));
    socket.once('error', () => settle(false));
    socket.setTimeout(1_000, () => settle(false));
  });
}
