// Child processes for tests that kill, freeze and thaw real programs. Every child is ended by its own id, at the latest
// when the test process exits, so that a failed test leaves nothing behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';

export interface ProcessOptions {
  /** For messages when it does not do what it should. */
  readonly name: string;
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the environment of the test; undefined removes a variable. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory?: string;
}

export interface ExitReport {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildHandle {
  readonly pid: number;
  readonly exited: Promise<ExitReport>;
  running(): boolean;
  /** Everything written to standard output and standard error so far. */
  output(): string;
  /** Rejects, showing the output, when the process exits or the time passes first. */
  waitForOutput(pattern: RegExp, options?: { readonly withinMs?: number }): Promise<RegExpExecArray>;
  /** SIGSTOP: its sockets stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL. */
  kill(): Promise<ExitReport>;
  /** SIGTERM, then SIGKILL when the time has passed. */
  stop(options?: { readonly withinMs?: number }): Promise<void>;
  signal(signal: NodeJS.Signals): void;
}

const OUTPUT_CHARACTERS_MAX = 4_000_000;
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export function startProcess(options: ProcessOptions): ChildHandle {
  const environment = Object.entries({ ...process.env, ...options.environment });
  const child = spawn(options.command, options.args ?? [], {
    cwd: options.workingDirectory,
    env: Object.fromEntries(environment.filter(([, value]) => value !== undefined)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  const transcript = new Transcript(options.name);
  child.stdout.setEncoding('utf8').on('data', (text: string) => transcript.add(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => transcript.add(text));

  const { promise: exited, resolve } = Promise.withResolvers<ExitReport>();
  const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
    children.delete(child);
    transcript.close({ code, signal });
    resolve({ code, signal });
  };
  child.once('error', (error) => {
    transcript.add(String(error));
    onExit(null, null);
  });
  child.once('close', onExit);

  const stop = async (withinMs: number): Promise<void> => {
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
    await exited;
    clearTimeout(timer);
  };
  return {
    pid: child.pid ?? -1,
    exited,
    running: () => transcript.report === undefined,
    output: () => transcript.text,
    waitForOutput: (pattern, { withinMs = 30_000 } = {}) => transcript.waitFor(pattern, withinMs),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
    stop: ({ withinMs = 10_000 } = {}) => stop(withinMs),
    signal: (signal) => void child.kill(signal),
  };
}

/** What a child has said, and who waits for it to say something. */
class Transcript {
  text = '';
  report: ExitReport | undefined;
  readonly #name: string;
  readonly #watchers = new Set<() => void>();

  constructor(name: string) {
    this.#name = name;
  }

  add(text: string): void {
    this.text = (this.text + text).slice(-OUTPUT_CHARACTERS_MAX);
    for (const watch of this.#watchers) watch();
  }

  close(report: ExitReport): void {
    this.report ??= report;
    for (const watch of this.#watchers) watch();
  }

  waitFor(pattern: RegExp, withinMs: number): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const fail = (what: string): void =>
      reject(new Error(`${this.#name} ${what}; waited for ${pattern}. Its output:\n${this.text}`));
    const watch = (): void => {
      const found = pattern.exec(this.text);
      if (found) resolve(found);
      else if (this.report) fail(`exited with ${JSON.stringify(this.report)}`);
    };
    const timer = setTimeout(() => fail(`did not say it within ${withinMs} ms`), withinMs);
    this.#watchers.add(watch);
    watch();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#watchers.delete(watch);
    });
  }
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
