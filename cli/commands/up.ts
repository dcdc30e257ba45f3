// `signalbox up`: everything in one process tree. The planes run side by side and talk through the same protocol as they
// would across machines; nothing but their wiring is special here.
import { type ControlPlane, startControlPlane } from '#control-plane/main.ts';
import { type DataPlane, startDataPlane } from '#data-plane/main.ts';
import type { Bus } from '#shared/bus/bus.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import { limits } from '#shared/limits.ts';
import { createLogger, type Logger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Shutdown } from '#shared/shutdown.ts';
import { banner } from '../banner.ts';
import { openLocalBus } from '../bus.ts';
import { findConfigurationFile, readConfigurationFile } from '../configuration-file.ts';
import { openDataDirectory } from '../data-directory.ts';
import { live } from '../life.ts';
import { checkAddress, localUrl } from '../ports.ts';
import { startEmbeddedPostgres } from '../postgres/embedded.ts';
import { quickstartKey } from '../quickstart.ts';

/** What the planes share in one process. */
interface Ground {
  readonly settings: Settings;
  readonly configurationFile: string | undefined;
  readonly dataDirectory: string;
  readonly databaseUrl: string;
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Nobody outside this machine has a reason to reach the Sync port of an all-in-one. */
const SYNC_HOST = '127.0.0.1';
/** The database finishes what it has begun to write. */
const DATABASE_STOP_MS_MAX = 60_000;

export async function up(settings: Settings): Promise<number> {
  const log = createLogger(settings.logLevel);
  const shutdown = new Shutdown(log);
  await live({
    start: () => start(settings, shutdown, log),
    shutdown,
    onStopping: () =>
      say('Stopping: finishing the requests in flight, then the database. Ctrl-C again stops at once.'),
  });
  say('Stopped.');
  return 0;
}

async function start(settings: Settings, shutdown: Shutdown, log: Logger): Promise<void> {
  const startedMs = performance.now();
  const ground = await prepare(settings, shutdown, log);
  const controlPlane = await startControl(ground, shutdown);
  const apiKey = await quickstartKey(controlPlane, ground.dataDirectory);
  const dataPlane = await startData(ground, controlPlane, shutdown);
  await dataPlane.ready();
  say(
    banner({
      url: localUrl(dataPlane.address),
      apiKey,
      adminKeyFile: controlPlane.adminKeyFile,
      dataDirectory: ground.dataDirectory,
      hasOwnDatabase: settings.databaseUrl === undefined,
      configurationFile: ground.configurationFile,
      environment: process.env,
      startedInMs: performance.now() - startedMs,
    }),
  );
}

/** Everything that can be refused is found out before anything listens. */
async function prepare(settings: Settings, shutdown: Shutdown, log: Logger): Promise<Ground> {
  const configurationFile = findConfigurationFile(settings.configurationFile);
  if (configurationFile !== undefined) readConfigurationFile(configurationFile, true);
  const directory = await openDataDirectory(settings.dataDirectory);
  shutdown.add('data directory', () => directory.release());
  await checkAddress(settings.host, settings.port);
  const databaseUrl = await findDatabase(settings, directory.path, shutdown, log);
  const bus = openLocalBus(settings, log);
  shutdown.add('bus', () => bus.close());
  const metrics = new Metrics();
  return { settings, configurationFile, dataDirectory: directory.path, databaseUrl, bus, log, metrics };
}

async function findDatabase(
  settings: Settings,
  dataDirectory: string,
  shutdown: Shutdown,
  log: Logger,
): Promise<string> {
  if (settings.databaseUrl !== undefined) return settings.databaseUrl.reveal();
  const database = await startEmbeddedPostgres({ dataDirectory, log });
  shutdown.add('database', () => database.stop(), { withinMs: DATABASE_STOP_MS_MAX });
  return database.databaseUrl;
}

async function startControl(ground: Ground, shutdown: Shutdown): Promise<ControlPlane> {
  const { settings, configurationFile, dataDirectory, databaseUrl, bus, log, metrics } = ground;
  const controlPlane = await startControlPlane({
    databaseUrl,
    dataDirectory,
    host: settings.host,
    adminPort: undefined,
    syncHost: SYNC_HOST,
    syncPort: 0,
    syncTls: false,
    masterKey: settings.masterKey,
    encryptionKey: settings.encryptionKey,
    configurationFile,
    environment: process.env,
    demo: true,
    bus,
    log,
    metrics,
  });
  shutdown.add('control plane', () => controlPlane.close());
  return controlPlane;
}

async function startData(ground: Ground, controlPlane: ControlPlane, shutdown: Shutdown): Promise<DataPlane> {
  const { settings, dataDirectory, bus, log, metrics } = ground;
  const dataPlane = await startDataPlane({
    host: settings.host,
    port: settings.port,
    dataDirectory,
    controlPlaneUrls: [controlPlane.syncUrl],
    joinToken: await controlPlane.localJoinToken(),
    nodeId: settings.nodeId,
    region: settings.region,
    redisUrl: settings.redisUrl,
    corsOrigins: settings.corsOrigins,
    environment: process.env,
    bus,
    log,
    metrics,
    adminHandler: (request, response) => controlPlane.handle(request, response),
  });
  const withinMs = limits.drainMs + DATABASE_STOP_MS_MAX;
  shutdown.add('data plane', () => dataPlane.close({ drainMs: limits.drainMs }), { withinMs });
  return dataPlane;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
