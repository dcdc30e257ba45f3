// A whole installation as people run it: Postgres, NATS, Redis if it is wanted, a fake provider, control planes and data planes, each a process of
// its own on free loopback ports, each of which a test can kill, freeze, stop and start again.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type NatsServer, startNats } from './nats.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { type ChildHandle, freePort, startProcess } from './process.ts';
import { type RedisServer, startRedis } from './redis.ts';

const command = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
/** As in the scripts of package.json, so that what is measured here is what people run. */
const nodeFlags = ['--max-semi-space-size=16'];
const MASTER_KEY = `test-master-${randomBytes(16).toString('hex')}`;

export interface ClusterOptions {
  readonly controlPlanes?: number;
  readonly dataPlanes?: number;
  /** Whether data planes share a Redis. */
  readonly withRedis?: boolean;
}

/** One control plane or data plane: the same address and directory through every restart. */
export interface Plane {
  readonly url: string;
  readonly directory: string;
  program: ChildHandle | undefined;
  /** Starts it and waits until it is ready. */
  start(): Promise<void>;
  /** Starts it and returns at once. */
  launch(): void;
  /** Asks it to stop, or ends it with another signal, and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  ready(): Promise<boolean>;
}

export interface AdminAnswer<Body = Record<string, unknown>> {
  readonly status: number;
  readonly body: Body;
  readonly headers: Headers;
}

export class Cluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'signalbox-cluster-'));
  readonly controlPlanes: Plane[] = [];
  readonly dataPlanes: Plane[] = [];
  readonly postgres: TestPostgres;
  readonly nats: NatsServer;
  readonly redis: RedisServer | undefined;
  readonly #syncPorts: number[] = [];
  readonly #encryptionKey = randomBytes(32).toString('base64');
  databaseUrl = '';
  #joinToken = '';

  private constructor({ postgres, nats, redis }: Pick<Cluster, 'postgres' | 'nats' | 'redis'>) {
    this.postgres = postgres;
    this.nats = nats;
    this.redis = redis;
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { controlPlanes = 1, dataPlanes = 1, withRedis = false } = options;
    const [postgres, nats, redis] = await Promise.all([
      startPostgres(),
      startNats(),
      withRedis ? startRedis() : undefined,
    ]);
    const cluster = new Cluster({ postgres, nats, redis });
    try {
      await cluster.#startPlanes(controlPlanes, dataPlanes);
    } catch (error) {
      // Nobody else knows of what has started so far.
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #startPlanes(controlPlanes: number, dataPlanes: number): Promise<void> {
    this.databaseUrl = await this.postgres.createDatabase();
    for (let index = 0; index < controlPlanes; index++) await this.addControlPlane();
    // Together, as in a roll-out: several replicas migrate one empty database.
    await Promise.all(this.controlPlanes.map((plane) => plane.start()));
    for (let index = 0; index < dataPlanes; index++) await this.addDataPlane();
    await Promise.all(this.dataPlanes.map((plane) => plane.start()));
  }

  async addControlPlane(): Promise<Plane> {
    const [adminPort, syncPort] = await Promise.all([freePort(), freePort()]);
    const plane = this.#plane('control-plane', this.controlPlanes.length, adminPort, {
      SIGNALBOX_ADMIN_PORT: String(adminPort),
      SIGNALBOX_SYNC_PORT: String(syncPort),
      SIGNALBOX_DATABASE_URL: this.databaseUrl,
      SIGNALBOX_MASTER_KEY: MASTER_KEY,
      SIGNALBOX_ENCRYPTION_KEY: this.#encryptionKey,
    });
    this.controlPlanes.push(plane);
    this.#syncPorts.push(syncPort);
    return plane;
  }

  /** What a node needs to reach the control planes. */
  async syncAccess(): Promise<{ urls: readonly string[]; joinToken: string }> {
    this.#joinToken ||= await this.#newJoinToken();
    return { urls: this.#syncPorts.map((port) => `https://127.0.0.1:${port}`), joinToken: this.#joinToken };
  }

  /** Adds a data plane, not yet started. */
  async addDataPlane(environment: Readonly<Record<string, string>> = {}): Promise<Plane> {
    const port = await freePort();
    const { urls, joinToken } = await this.syncAccess();
    const plane = this.#plane('data-plane', this.dataPlanes.length, port, {
      SIGNALBOX_PORT: String(port),
      SIGNALBOX_CONTROL_PLANE_URL: urls.join(','),
      SIGNALBOX_JOIN_TOKEN: joinToken,
      SIGNALBOX_REGION: 'test',
      ...(this.redis !== undefined && { SIGNALBOX_REDIS_URL: this.redis.url }),
      ...environment,
    });
    this.dataPlanes.push(plane);
    return plane;
  }

  /** Calls the admin API of one control plane. */
  async admin<Body = Record<string, unknown>>(
    method: string,
    path: string,
    {
      body,
      headers = {},
      replica = 0,
    }: { body?: unknown; headers?: Record<string, string>; replica?: number } = {},
  ): Promise<AdminAnswer<Body>> {
    const response = await fetch(`${this.controlPlanes[replica]!.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${MASTER_KEY}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? {} : JSON.parse(text)) as Body,
    };
  }

  /** The same, for set-up: anything but success is a failure of the test. */
  async must<Body = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Body> {
    const answer = await this.admin<Body>(method, path, { body });
    if (answer.status >= 300)
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Registers a provider on loopback and one model per name, and a key that may use them. */
  async offer(providerUrl: string, models: readonly string[]): Promise<{ id: string; key: string }> {
    await this.must('POST', '/api/v1/providers', {
      name: 'fake',
      type: 'openai-compatible',
      base_url: providerUrl,
      allow_private_network: true,
      api_keys: ['sk-fake-provider-key'],
    });
    for (const model of models)
      await this.must('POST', '/api/v1/models', { name: model, provider: 'fake', model });
    return this.must<{ id: string; key: string }>('POST', '/api/v1/keys', { name: 'application' });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.dataPlanes, ...this.controlPlanes].map((plane) => plane.stop('SIGKILL')));
    await Promise.all([
      this.nats[Symbol.asyncDispose](),
      this.redis?.[Symbol.asyncDispose](),
      this.postgres.removeAll(),
    ]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #newJoinToken(): Promise<string> {
    const { token } = await this.must<{ token: string }>('POST', '/api/v1/nodes/join-tokens', {
      label: 'test',
    });
    return token;
  }

  #plane(
    kind: 'control-plane' | 'data-plane',
    index: number,
    port: number,
    own: Record<string, string>,
  ): Plane {
    const directory = join(this.directory, `${kind}-${index}`);
    const url = `http://127.0.0.1:${port}`;
    const environment = {
      SIGNALBOX_HOST: '127.0.0.1',
      SIGNALBOX_DATA_DIR: directory,
      SIGNALBOX_NATS_URL: this.nats.url,
      SIGNALBOX_LOG_LEVEL: process.env.SIGNALBOX_TEST_LOG ?? 'warn',
      ...own,
    };
    const plane: Plane = {
      url,
      directory,
      program: undefined,
      async start() {
        plane.launch();
        await waitFor(`${kind} ${index} to be ready`, () => plane.ready(), plane);
      },
      launch() {
        const args = [...nodeFlags, command, kind];
        plane.program = startProcess({
          name: `${kind} ${index}`,
          command: process.execPath,
          args,
          environment,
        });
      },
      async stop(signal = 'SIGTERM') {
        if (plane.program === undefined) return;
        plane.program.signal('SIGCONT');
        plane.program.signal(signal);
        await plane.program.exited;
        plane.program = undefined;
      },
      ready: () => isReady(url),
    };
    return plane;
  }
}

export async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok;
  } catch {
    return false;
  }
}

const WAIT_MS_MAX = 60_000;

/** Waits for a condition, looking often; says what it waited for, and what the plane wrote, when it does not come. */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  plane?: Plane,
): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (performance.now() < deadline) {
    if (await condition()) return;
    if (plane?.program?.running() === false) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain for ${what}\n${plane?.program?.output() ?? ''}`);
}
