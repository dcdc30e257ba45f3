// One replica of the control plane, put together: the only file that knows all of its parts. They start in the order in
// which they need each other and stop in the opposite one.
import { join } from 'node:path';
import { systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import { Secret } from '#shared/secret.ts';
import { Shutdown } from '#shared/shutdown.ts';
import type { HealthReport } from './api/health.ts';
import { nodesApi } from './api/nodes.ts';
import { providerModelsApi } from './api/provider-models.ts';
import { healthApi } from './api/provider-status.ts';
import { configurationResources } from './api/resources.ts';
import { routeStatisticsApi } from './api/route-stats.ts';
import { routesExplainApi } from './api/routes-explain.ts';
import { createApi } from './api/server.ts';
import { usageApi } from './api/usage.ts';
import type { ControlPlane, ControlPlaneOptions } from './config.ts';
import { type Core, openCore } from './core.ts';
import { type Delivery, startDelivery } from './delivery/server.ts';
import { systemActor } from './domain/actor.ts';
import { startHealthCollector } from './health/collector.ts';
import { readOrCreateKeyFile } from './secrets/key-file.ts';
import { requestExplainer } from './services/explain.ts';
import { ProviderCheck } from './services/provider-check.ts';
import { watermarks } from './store/ledger.ts';
import { startIngestion } from './usage/ingest.ts';

export type { ControlPlane, ControlPlaneOptions } from './config.ts';

/**
 * A token for this machine's own data plane is good for as long as a process may run. It is shown with every plain stream,
 * so the one of an earlier run ends with the next.
 */
const LOCAL_JOIN_TOKEN_MS = 366 * 24 * 60 * 60 * 1000;

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const shutdown = new Shutdown(options.log);
  try {
    return await start(options, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function start(options: ControlPlaneOptions, shutdown: Shutdown): Promise<ControlPlane> {
  const { bus, log, metrics } = options;
  const core = await openCore(options);
  shutdown.add('database', () => core.close());
  const ingestion = await startIngestion({ db: core.db, bus, log, metrics });
  shutdown.add('usage ingestion', () => ingestion.close());
  const health = startHealthCollector({ bus, metrics });
  shutdown.add('health collection', () => health.close());
  // Kept across restarts, so that a replica which crashed finds what it left marked as its own.
  const replicaId = readOrCreateKeyFile(join(options.dataDirectory, 'replica.id'), () =>
    prefixedId('replica'),
  ).reveal();
  const delivery = await serveNodes(options, core, replicaId);
  shutdown.add('configuration delivery', () => delivery.close());

  let stopping = false;
  const api = await createApi({
    plugins: [
      ...configurationResources(core),
      routesExplainApi(requestExplainer({ db: core.db, delivery })),
      providerModelsApi(new ProviderCheck({ objects: core.objects, delivery })),
      nodesApi({ db: core.db, delivery }),
      usageApi(core.db),
      routeStatisticsApi({ db: core.db, objects: core.objects, clock: systemClock }),
      healthApi({ objects: core.objects, health }),
    ],
    adminKey: core.adminKey.key,
    health: () => healthOf(core, delivery, stopping),
    metrics,
    log,
  });
  shutdown.add('admin API', () => api.close());
  const { adminPort: port, host } = options;
  const adminAddress =
    port === undefined
      ? undefined
      : await orPortTaken('SIGNALBOX_ADMIN_PORT', port, () => api.listen({ host, port }));

  return {
    adminKey: core.adminKey.key,
    adminKeyFile: core.adminKey.file,
    adminAddress,
    syncUrl: delivery.url,
    async localJoinToken() {
      const label = `local to ${replicaId}`;
      const { token } = await delivery.issueJoinToken({ label, ttlMs: LOCAL_JOIN_TOKEN_MS, replaces: true });
      return new Secret(token);
    },
    async createApiKey({ name }) {
      const input = { name, models: [], metadata: {}, expiresAt: null };
      const { stored, key } = await core.keys.create(input, systemActor);
      return { id: stored.id, key };
    },
    apiKeyExists: (id) => core.keys.exists(id),
    handle: api.handle,
    close() {
      stopping = true;
      return shutdown.run();
    },
  };
}

function serveNodes(options: ControlPlaneOptions, core: Core, replicaId: string): Promise<Delivery> {
  const { databaseUrl, syncHost, syncPort, syncTls, log, metrics } = options;
  const { db, fleetSecrets } = core;
  return orPortTaken('SIGNALBOX_SYNC_PORT', syncPort, () =>
    startDelivery({
      db,
      databaseUrl,
      fleetSecrets,
      host: syncHost,
      port: syncPort,
      tls: syncTls,
      replicaId,
      watermarks: (nodeId, journalEpochs) => watermarks(db, nodeId, journalEpochs),
      log,
      metrics,
    }),
  );
}

/** Ready means that nodes can be served; the database may be away for that (see api/health.ts). */
function healthOf(core: Core, delivery: Delivery, stopping: boolean): HealthReport {
  const loaded = delivery.ready();
  return {
    status: stopping ? 'stopping' : loaded ? 'ready' : 'starting',
    revision: loaded ? Number(delivery.revision()) : null,
    database: core.databaseHealth.up ? 'up' : 'down',
  };
}

async function orPortTaken<T>(variable: string, port: number, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      EADDRINUSE: 'is taken by another program',
      EACCES: 'needs more rights than this user has',
    };
    const reason = reasons[code ?? ''];
    if (reason === undefined) throw error;
    throw new SignalboxError('address_in_use', `Port ${port} ${reason}. Choose another with ${variable}.`, {
      cause: error,
    });
  }
}
