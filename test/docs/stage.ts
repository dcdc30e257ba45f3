// Where the examples of one document run, in its order: a shell in the project's folder, and beside it what the document
// takes to be running. What a reader would fill in (addresses, keys, ids that an earlier example printed) is filled in
// from one table, so that a document can show what its reader sees.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { isReady, waitFor } from '#test/harness/cluster.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { type ChildHandle, freePort, startProcess } from '#test/harness/process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLE_MS_MAX = 60_000;

/** Readers see an error and stop; a script has to be told to. */
const careful = 'set -e; curl() { command curl -sS --fail-with-body "$@"; }\n';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What stands on the left in a document is what stands on the right in a test. */
type Replacements = readonly (readonly [shown: string | RegExp, real: string])[];

/** Ids and keys that a document abbreviates stand for the last ones that an example printed. */
const abbreviated = ['sb-', 'sbj-', 'key_', 'sec_', 'join_', 'req_', 'resp_'] as const;

export class Stage {
  readonly #printed = new Map<string, string>();
  #allInOne: Promise<AllInOne> | undefined;
  #installation: Promise<Installation> | undefined;
  last: Outcome | undefined;

  /** A running all-in-one without any configuration of its own. */
  async up(): Promise<AllInOne> {
    this.#allInOne ??= startAllInOne({ configuration: '{}\n' }).then((started) => {
      this.#remember(started.key());
      return started;
    });
    return this.#allInOne;
  }

  /** A database, a NATS server, and the planes that the document has started so far. */
  installation(): Promise<Installation> {
    this.#installation ??= Installation.open();
    return this.#installation;
  }

  /** Runs an example beside an all-in-one. */
  async runBesideUp(language: string, text: string): Promise<Outcome> {
    const up = await this.up();
    const program = this.filledIn(text, besideUp(up));
    return this.#run(language, program, { SIGNALBOX_MASTER_KEY: up.adminKey() });
  }

  /** Runs an example against the planes that the document has started. */
  async runBesidePlanes(language: string, text: string): Promise<Outcome> {
    const installation = await this.installation();
    return this.#run(language, this.filledIn(text, installation.replacements), installation.environment);
  }

  /** Starts a plane the way the document says and waits until it is ready. */
  async startPlane(plane: PlaneName, text: string): Promise<void> {
    const installation = await this.installation();
    await installation.start(plane, this.filledIn(text, installation.replacements));
  }

  /** Runs an example that needs nothing but the project. */
  run(language: string, text: string): Promise<Outcome> {
    return this.#run(language, text, { OPENAI_API_KEY: 'sk-example' });
  }

  filledIn(text: string, replacements: Replacements): string {
    const known = replacements.reduce((result, [shown, real]) => result.replaceAll(shown, real), text);
    return abbreviated
      .reduce((result, prefix) => {
        const value = this.#printed.get(prefix);
        return value === undefined ? result : result.replaceAll(`${prefix}…`, value);
      }, known)
      .replaceAll(/(if-match: ")\d+/gi, `$1${this.#printed.get('revision')}`);
  }

  async close(): Promise<void> {
    await (await this.#allInOne)?.remove();
    await (await this.#installation)?.close();
  }

  async #run(language: string, program: string, environment: Record<string, string>): Promise<Outcome> {
    const [command, args] =
      language === 'js'
        ? [process.execPath, ['--input-type=module', '--eval', program]]
        : ['sh', ['-c', careful + program]];
    this.last = await execute(command, args, environment);
    for (const value of this.last.stdout.match(
      /\b(sb|sbj)-[\w.-]{20,}|\b(key|sec|join|req|resp)_[0-9a-f]+/g,
    ) ?? [])
      this.#remember(value);
    const revision = [...this.last.stdout.matchAll(/"revision":(\d+)/g)].at(-1)?.[1];
    if (revision !== undefined) this.#printed.set('revision', revision);
    return this.last;
  }

  #remember(value: string): void {
    const prefix = abbreviated.find((each) => value.startsWith(each));
    if (prefix !== undefined) this.#printed.set(prefix, value);
  }
}

/** What a document calls the things of an all-in-one that was started with `npm start`. */
export function besideUp(up: AllInOne): Replacements {
  const data = join(up.directory, 'data');
  return [
    ['http://127.0.0.1:8080', up.url],
    ['/srv/signalbox/.signalbox', data],
    ['/srv/signalbox/signalbox.yaml', up.configurationFile],
    ['.signalbox/', `${data}/`],
  ];
}

export type PlaneName = 'control-plane' | 'data-plane';

/** The planes apart, started by a document's own lines over a database and a NATS server of the test. */
class Installation {
  readonly #directory = mkdtempSync(join(tmpdir(), 'signalbox-docs-'));
  readonly #postgres: TestPostgres;
  readonly #nats: NatsServer;
  readonly #ports: readonly number[];
  readonly #programs = new Map<PlaneName, ChildHandle>();
  readonly environment: Record<string, string>;
  readonly replacements: Replacements;

  private constructor(postgres: TestPostgres, nats: NatsServer, databaseUrl: string, ports: number[]) {
    this.#postgres = postgres;
    this.#nats = nats;
    this.#ports = ports;
    const [admin, sync, data, nobody] = ports;
    const masterKey = randomBytes(32).toString('hex');
    this.environment = { SIGNALBOX_MASTER_KEY: masterKey };
    this.replacements = [
      ['postgresql://signalbox:secret@db.internal/signalbox', databaseUrl],
      ['nats://nats.internal:4222', nats.url],
      ['$(openssl rand -hex 32)', masterKey],
      ['$(openssl rand -base64 32)', randomBytes(32).toString('base64')],
      ['SIGNALBOX_MASTER_KEY=…', `SIGNALBOX_MASTER_KEY=${masterKey}`],
      ['http://control-1.internal:8081', `http://127.0.0.1:${admin}`],
      ['https://control-1.internal:8082', `https://127.0.0.1:${sync}`],
      ['https://control-2.internal:8082', `https://127.0.0.1:${nobody}`],
      ['http://data-1.internal:8080', `http://127.0.0.1:${data}`],
      ['control-plane --host 0.0.0.0', `control-plane --admin-port ${admin} --sync-port ${sync}`],
      ['data-plane --host 0.0.0.0', `data-plane --port ${data}`],
    ];
  }

  static async open(): Promise<Installation> {
    const [postgres, nats] = await Promise.all([startPostgres(), startNats()]);
    const ports = await Promise.all([1, 2, 3, 4].map(freePort));
    return new Installation(postgres, nats, await postgres.createDatabase(), ports);
  }

  async start(plane: PlaneName, text: string): Promise<void> {
    const program = startProcess({
      name: plane,
      command: 'sh',
      // The last line becomes the program itself, so that a signal to it is one to npm.
      args: [
        '-c',
        text.replace(/^npm run/m, 'exec npm run').replace('/var/lib/signalbox', join(this.#directory, plane)),
      ],
      workingDirectory: root,
    });
    this.#programs.set(plane, program);
    const port = this.#ports[plane === 'control-plane' ? 0 : 2];
    await waitFor(`the ${plane} of the document to be ready`, () => {
      if (program.running()) return isReady(`http://127.0.0.1:${port}`);
      throw new Error(`the ${plane} of the document ended:\n${program.output()}`);
    });
  }

  /** Asks each to stop, as a service manager does, last first; tells how they ended. */
  async stopPlanes(): Promise<Record<string, number | null>> {
    const codes: Record<string, number | null> = {};
    for (const [plane, program] of [...this.#programs].toReversed()) {
      program.signal('SIGTERM');
      codes[plane] = (await program.exited).code;
      this.#programs.delete(plane);
    }
    return codes;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#programs.values()].map((program) => program.kill()));
    await Promise.all([this.#nats[Symbol.asyncDispose](), this.#postgres.removeAll()]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Puts a document's YAML in the place of the configuration file of a running all-in-one. */
export async function putConfiguration(up: AllInOne, text: string): Promise<void> {
  const status = async () => {
    const response = await fetch(`${up.url}/api/v1/configuration/file`, {
      headers: { authorization: `Bearer ${up.adminKey()}` },
    });
    return (await response.json()) as { status: string; applied_at: string };
  };
  const before = await status();
  writeFileSync(up.configurationFile, text);
  await waitFor('the configuration file to be read again', async () => {
    const now = await status();
    return now.status !== before.status || now.applied_at !== before.applied_at;
  });
}

function execute(
  command: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, ...environment }, timeout: EXAMPLE_MS_MAX };
    execFile(command, args, options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, stdout, stderr });
    });
  });
}
