// `signalbox up` as people run it: one program, an empty data directory, a free port.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isReady, waitFor } from './cluster.ts';
import { type ChildHandle, freePort, startProcess } from './process.ts';

const command = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

export interface AllInOneOptions {
  readonly configuration?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: a new, empty one. */
  readonly directory?: string;
  readonly port?: number;
}

export interface AllInOne {
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  readonly program: ChildHandle;
  readonly configurationFile: string;
  key(): string;
  adminKey(): string;
  /** Stops it and deletes its data. */
  remove(): Promise<void>;
}

export async function launchAllInOne(options: AllInOneOptions = {}): Promise<AllInOne> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'signalbox-up-'));
  const data = join(directory, 'data');
  const port = options.port ?? (await freePort());
  const configurationFile = join(directory, 'signalbox.yaml');
  const args = [command, 'up', '--port', String(port), '--data-dir', data];
  if (options.configuration !== undefined) {
    writeFileSync(configurationFile, options.configuration);
    args.push('--config', configurationFile);
  }
  const program = startProcess({
    name: 'signalbox up',
    command: process.execPath,
    args,
    environment: { ...options.environment },
    workingDirectory: directory,
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    directory,
    program,
    configurationFile,
    key: () => readFileSync(join(data, 'quickstart.key'), 'utf8').trim(),
    adminKey: () => readFileSync(join(data, 'admin.key'), 'utf8').trim(),
    async remove() {
      await program.stop({ withinMs: 30_000 });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The same, when it is ready to answer. */
export async function startAllInOne(options: AllInOneOptions = {}): Promise<AllInOne> {
  const started = await launchAllInOne(options);
  await waitFor(`signalbox up to be ready`, async () => {
    if (!started.program.running()) throw new Error(`signalbox up ended:\n${started.program.output()}`);
    return isReady(started.url);
  });
  return started;
}
