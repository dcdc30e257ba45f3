// The data plane's real HTTP surface over a snapshot made by hand, a fake provider behind it and a ledger that remembers:
// everything of a request's life but the files and the control plane.
import { createGateway, type Gateway, type GatewayOptions } from '#data-plane/http/gateway.ts';
import type { AttemptLedger, Intent, Settlement } from '#data-plane/meter/ledger.ts';
import { type Routing, RoutingState } from '#data-plane/routing/routing-state.ts';
import type { Snapshot } from '#data-plane/snapshot/snapshot.ts';
import { createUpstreamClient, type UpstreamClient } from '#data-plane/upstream/client.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { type FakeProvider, startFakeProvider } from './fake-provider/index.ts';
import { deploymentOf, principalOf, providerOf, type SnapshotSketch, snapshotOf } from './snapshots.ts';

export const goodKey = 'sb-good';
export const limitedKey = 'sb-limited';
export const expiredKey = 'sb-expired';

export interface LedgerEntry {
  readonly intent: Intent;
  readonly settlements: readonly Settlement[];
}

/** Remembers every attempt and how often it was settled. */
export class MemoryLedger implements AttemptLedger {
  readonly #entries: { intent: Intent; settlements: Settlement[] }[] = [];
  /** What `open` throws, while set. */
  refusal: Error | undefined;

  open(intent: Intent) {
    if (this.refusal) throw this.refusal;
    const entry = { intent, settlements: [] as Settlement[] };
    this.#entries.push(entry);
    return { settle: (settlement: Settlement) => void entry.settlements.push(settlement) };
  }

  get entries(): readonly LedgerEntry[] {
    return this.#entries;
  }

  /** The outcomes in order, `open` where there is none, so that one line tells the story. */
  get story(): readonly string[] {
    return this.#entries.map(({ settlements }) =>
      settlements.length === 0
        ? 'open'
        : settlements
            .map(({ outcome, errorCode }) => (errorCode === '' ? outcome : `${outcome} ${errorCode}`))
            .join(', '),
    );
  }
}

export interface TestGateway {
  readonly url: string;
  readonly port: number;
  readonly gateway: Gateway;
  readonly ledger: MemoryLedger;
  readonly upstream: UpstreamClient;
  readonly metrics: Metrics;
  /** What is answered from, from now on. */
  snapshot: Snapshot | undefined;
  stop(): Promise<void>;
}

export interface TestGatewayOptions extends Partial<GatewayOptions> {
  readonly snapshot?: Snapshot;
}

export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const ledger = new MemoryLedger();
  const upstream = createUpstreamClient();
  const metrics = new Metrics();
  const state = { snapshot: options.snapshot, routing: new RoutingState() };
  // A new configuration is a new story here: what failed in the last one is forgotten.
  const routing: Routing = {
    get health() {
      return state.routing.health;
    },
    get warm() {
      return state.routing.warm;
    },
    memoryOf: (place) => state.routing.memoryOf(place),
    budgetOf: (route) => state.routing.budgetOf(route),
    hedgesOf: (route) => state.routing.hedgesOf(route),
    rehearsal: () => state.routing.rehearsal(),
  };
  const gateway = createGateway({
    snapshots: { current: () => state.snapshot },
    ledger,
    upstream,
    metrics,
    routing,
    log: createLogger('silent'),
    health: () => ({
      nodeId: 'node_test',
      syncConnected: true,
      bus: 'connected',
      journal: { writable: true, bytes: 0 },
    }),
    ...options,
  });
  const { port } = await gateway.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    gateway,
    ledger,
    upstream,
    metrics,
    get snapshot() {
      return state.snapshot;
    },
    set snapshot(next: Snapshot | undefined) {
      state.snapshot = next;
      state.routing = new RoutingState();
    },
    async stop() {
      await gateway.close({ drainMs: 0 });
      upstream.close();
    },
  };
}

/** One model, `ok`, at one fake provider, whose other behaviours are reached as `fake/<script>`; and the usual keys. */
export function plainSnapshot(provider: FakeProvider, sketch: SnapshotSketch = {}): Snapshot {
  const fake = providerOf('fake', { baseUrl: provider.baseUrl });
  return snapshotOf({
    ...sketch,
    providers: [fake, ...(sketch.providers ?? [])],
    deployments: [deploymentOf('ok', fake), ...(sketch.deployments ?? [])],
    keys: {
      [goodKey]: principalOf('key_good'),
      [limitedKey]: principalOf('key_limited', { mayUse: (name) => name === 'ok' }),
      [expiredKey]: principalOf('key_expired', { expiresAtMs: 1 }),
      ...sketch.keys,
    },
  });
}

export { type FakeProvider, startFakeProvider };

export interface Ask {
  readonly model?: string;
  readonly stream?: boolean;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Further fields of the body. */
  readonly more?: object;
}

export function ask(url: string, { model = 'ok', stream, key = goodKey, headers, signal, more }: Ask = {}) {
  const messages = [{ role: 'user', content: 'hello' }];
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages, ...(stream === undefined ? {} : { stream }), ...more }),
    ...(signal && { signal }),
  });
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: unknown;
  };
}

export async function errorOf(response: Response): Promise<ErrorBody['error']> {
  return ((await response.json()) as ErrorBody).error;
}
