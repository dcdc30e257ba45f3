// A data plane, put together: the configuration comes in over Sync, requests over HTTP, and usage goes out through the
// journal to the bus. Parts start in the order in which they need each other and stop in reverse, so that the last
// request's usage still finds its journal, and the journal its bus.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ExplainedRequest } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Broadcast, Bus } from '#shared/bus/bus.ts';
import { joinBroadcasts } from '#shared/bus/joint-broadcast.ts';
import { openRedisBroadcast } from '#shared/bus/redis-broadcast.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Secret } from '#shared/secret.ts';
import { Shutdown } from '#shared/shutdown.ts';
import { type Address, type AdminHandler, createGateway, type Gateway } from './http/gateway.ts';
import { type Journal, openJournal } from './meter/journal.ts';
import { startPublisher } from './meter/publisher.ts';
import { createProviders } from './providers/registry.ts';
import { openResponseStore } from './responses/open.ts';
import type { HealthBook } from './routing/health/health-book.ts';
import { startProbing } from './routing/health/probes.ts';
import { startHealthSharing } from './routing/health/sharing.ts';
import { RoutingState } from './routing/routing-state.ts';
import { probeProvider } from './snapshot/probe-provider.ts';
import type { SnapshotSource } from './snapshot/snapshot.ts';
import { startSync } from './snapshot/sync.ts';
import { createUpstreamClient, type UpstreamClient } from './upstream/client.ts';

export interface DataPlaneOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly dataDirectory: string;
  readonly controlPlaneUrls: readonly string[];
  readonly joinToken: Secret | undefined;
  /** Made up and remembered when undefined. */
  readonly nodeId: string | undefined;
  /** Empty for nowhere in particular. */
  readonly region: string;
  /** Whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** Where data planes keep what they share; undefined where each keeps its own. */
  readonly redisUrl: Secret | undefined;
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The environment of the process, where a machine keeps the credentials that stand for it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Serves the administration on the same port in an all-in-one instance. */
  readonly adminHandler: AdminHandler | undefined;
}

export interface DataPlane {
  readonly address: Address;
  readonly nodeId: string;
  /** Resolves when there is a configuration to serve from. */
  ready(): Promise<void>;
  close(options?: { drainMs?: number }): Promise<void>;
}

/** What each part may take to stop, beyond what the drain was given. */
const STOP_MS_MAX = 15_000;

/** Rejects when the port is taken, or for what the operator has to mend; nothing is left running then. */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const shutdown = new Shutdown(options.log);
  try {
    return await start(options, shutdown);
  } catch (thrown) {
    await shutdown.run();
    throw thrown;
  }
}

async function start(options: DataPlaneOptions, shutdown: Shutdown): Promise<DataPlane> {
  const { host, port, dataDirectory, region, bus, log, metrics } = options;
  const clock = systemClock;
  const upstream = createUpstreamClient({ clock });
  shutdown.add('upstream connections', () => upstream.close());
  // Sync knows our name, which the journal needs; what Sync reports of the others is asked for later.
  const parts: { journal?: Journal; gateway?: Gateway } = {};
  const sync = await startSync({
    urls: options.controlPlaneUrls,
    joinToken: options.joinToken,
    dataDirectory,
    nodeId: options.nodeId,
    region,
    advertisedAddress: `${isWildcard(host) ? hostname() : host}:${port}`,
    upstream,
    explain: (request) => explainAt(parts.gateway, request),
    providerFor: createProviders({ upstream, clock, environment: options.environment }),
    load: () => parts.gateway?.inFlight ?? 0,
    spoolBytes: () => parts.journal?.bytes() ?? 0,
    journalEpochs: () => parts.journal?.epochs() ?? [],
    onWatermark: (epoch, sequence) => parts.journal?.onWatermark(epoch, sequence),
    clock,
    log,
    metrics,
  });
  shutdown.add('sync', () => sync.close());

  const { nodeId } = sync;
  const directory = join(dataDirectory, 'journal');
  const journal = await openJournal({ directory, nodeId, region, clock, log, metrics });
  parts.journal = journal;
  shutdown.add('journal', () => journal.close());
  const publisher = startPublisher({ journal, bus, clock, log, metrics });
  shutdown.add('publisher', () => publisher.close());

  const responses = openResponseStore({ redisUrl: options.redisUrl, clock, log });
  shutdown.add('responses', () => responses.close());
  const routing = new RoutingState();
  watchHealth({ ...options, nodeId, health: routing.health, upstream, snapshots: sync, clock }, shutdown);
  const gateway = createGateway({
    snapshots: sync,
    routing,
    ledger: journal.ledger,
    upstream,
    responses,
    region,
    corsOrigins: options.corsOrigins,
    clock,
    log,
    metrics,
    adminHandler: options.adminHandler,
    health: () => ({
      nodeId,
      syncConnected: sync.status().connected,
      bus: bus.state,
      journal: { writable: journal.writable(), bytes: journal.bytes() },
    }),
  });
  parts.gateway = gateway;
  const address = await gateway.listen({ host, port });
  watchEventLoop(metrics, shutdown);
  return {
    address,
    nodeId,
    ready: () => sync.ready(),
    close({ drainMs = limits.drainMs } = {}) {
      shutdown.add('requests', () => gateway.close({ drainMs }), { withinMs: drainMs + STOP_MS_MAX });
      return shutdown.run();
    },
  };
}

interface HealthParts extends Pick<DataPlaneOptions, 'bus' | 'redisUrl' | 'region' | 'log' | 'metrics'> {
  readonly nodeId: string;
  readonly health: HealthBook;
  readonly upstream: UpstreamClient;
  readonly snapshots: SnapshotSource;
  readonly clock: Clock;
}

/** What is known of providers beyond the requests made here: what other nodes say, and what asking them for free says. */
function watchHealth(parts: HealthParts, shutdown: Shutdown): void {
  const { snapshots, upstream, clock } = parts;
  const random = Math.random;
  const sharing = startHealthSharing({ ...parts, broadcast: openNews(parts, shutdown), random });
  shutdown.add('health sharing', () => sharing.close());
  const probing = startProbing({
    ...parts,
    random,
    snapshot: () => snapshots.current(),
    probe: (provider) => probeProvider(provider, snapshots.current(), { upstream, clock }),
  });
  shutdown.add('provider probes', () => probing.close());
}

/** Over Redis too where there is one, so that nodes hear of each other while either it or NATS is away. */
function openNews({ bus, redisUrl, log }: HealthParts, shutdown: Shutdown): Broadcast {
  if (redisUrl === undefined) return bus.broadcast;
  const redis = openRedisBroadcast({ url: redisUrl.reveal(), log });
  shutdown.add('news over Redis', () => redis.close());
  return joinBroadcasts([bus.broadcast, redis]);
}

function explainAt(gateway: Gateway | undefined, request: ExplainedRequest): ReturnType<Gateway['explain']> {
  if (gateway !== undefined) return gateway.explain(request);
  throw new SignalboxError('not_ready', 'This data plane has just started. Try again in a moment.');
}

/** Listening everywhere is no address to be reached at. */
function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** How precisely the loop is watched; shorter stalls than this do not matter to a request. */
const WATCH_MS = 10;
const NANOSECONDS_PER_SECOND = 1e9;

function watchEventLoop(metrics: Metrics, shutdown: Shutdown): void {
  const delay = monitorEventLoopDelay({ resolution: WATCH_MS });
  delay.enable();
  metrics.gauge('signalbox_event_loop_stall_seconds', (gauge) => {
    // The watcher measures from one look to the next, so an idle loop shows the time between looks.
    gauge.set(Math.max(0, delay.max / NANOSECONDS_PER_SECOND - WATCH_MS / 1000));
    delay.reset();
  });
  shutdown.add('event loop watch', () => void delay.disable());
}
