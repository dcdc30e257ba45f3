// `signalbox control-plane`: one replica of the control plane, with a database and a NATS server that all replicas share.
import { startControlPlane } from '#control-plane/main.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Shutdown } from '#shared/shutdown.ts';
import { openSharedBus } from '../bus.ts';
import { findConfigurationFile, readConfigurationFile } from '../configuration-file.ts';
import { openDataDirectory } from '../data-directory.ts';
import { live } from '../life.ts';
import { checkAddress } from '../ports.ts';
import { required } from '../required.ts';

/** Open streams are told to move on, and the ledger commits what it has taken. */
const STOP_MS_MAX = 30_000;

export async function controlPlane(settings: Settings): Promise<number> {
  const databaseUrl = required(
    settings.databaseUrl,
    'SIGNALBOX_DATABASE_URL',
    'a control plane keeps its truth in a PostgreSQL that all replicas share',
  );
  const log = createLogger(settings.logLevel, { plane: 'control' });
  const shutdown = new Shutdown(log);
  await live({
    start: () => start(settings, databaseUrl.reveal(), shutdown, log),
    shutdown,
    onStopping: (why) => log.info({ why }, 'stopping'),
  });
  return 0;
}

async function start(
  settings: Settings,
  databaseUrl: string,
  shutdown: Shutdown,
  log: ReturnType<typeof createLogger>,
): Promise<void> {
  const configurationFile = findConfigurationFile(settings.configurationFile);
  if (configurationFile !== undefined) readConfigurationFile(configurationFile, false);
  const bus = openSharedBus(settings, 'control-plane', log);
  shutdown.add('bus', () => bus.close());
  const directory = await openDataDirectory(settings.dataDirectory);
  shutdown.add('data directory', () => directory.release());
  await checkAddress(settings.host, settings.adminPort);
  await checkAddress(settings.host, settings.syncPort);
  const plane = await startControlPlane({
    databaseUrl,
    dataDirectory: directory.path,
    host: settings.host,
    adminPort: settings.adminPort,
    syncHost: settings.host,
    syncPort: settings.syncPort,
    syncTls: settings.syncTls,
    masterKey: settings.masterKey,
    encryptionKey: settings.encryptionKey,
    configurationFile,
    environment: process.env,
    demo: false,
    bus,
    log,
    metrics: new Metrics(),
  });
  shutdown.add('control plane', () => plane.close(), { withinMs: STOP_MS_MAX });
  log.info(
    { admin: plane.adminAddress, sync: plane.syncUrl, adminKeyFile: plane.adminKeyFile, configurationFile },
    'the control plane is ready',
  );
}
