// `signalbox data-plane`: one data plane, which fetches its configuration from a control plane and hands its usage to NATS.
import { startDataPlane } from '#data-plane/main.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import { limits } from '#shared/limits.ts';
import { createLogger, type Logger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Shutdown } from '#shared/shutdown.ts';
import { openSharedBus } from '../bus.ts';
import { openDataDirectory } from '../data-directory.ts';
import { live } from '../life.ts';
import { checkAddress } from '../ports.ts';
import { required } from '../required.ts';

/** After the last request: publishing what is left of the journal. */
const PUBLISH_MS_MAX = 30_000;

export async function dataPlane(settings: Settings): Promise<number> {
  const log = createLogger(settings.logLevel, { plane: 'data' });
  const shutdown = new Shutdown(log);
  await live({
    start: () => start(settings, shutdown, log),
    shutdown,
    onStopping: (why) => log.info({ why }, 'stopping'),
  });
  return 0;
}

async function start(settings: Settings, shutdown: Shutdown, log: Logger): Promise<void> {
  const [first] = settings.controlPlaneUrls;
  required(first, 'SIGNALBOX_CONTROL_PLANE_URL', 'a data plane fetches its configuration from there');
  const bus = openSharedBus(settings, 'data-plane', log);
  shutdown.add('bus', () => bus.close());
  const directory = await openDataDirectory(settings.dataDirectory);
  shutdown.add('data directory', () => directory.release());
  await checkAddress(settings.host, settings.port);
  const plane = await startDataPlane({
    host: settings.host,
    port: settings.port,
    dataDirectory: directory.path,
    controlPlaneUrls: settings.controlPlaneUrls,
    joinToken: settings.joinToken,
    nodeId: settings.nodeId,
    region: settings.region,
    redisUrl: settings.redisUrl,
    corsOrigins: settings.corsOrigins,
    environment: process.env,
    bus,
    log,
    metrics: new Metrics(),
    adminHandler: undefined,
  });
  const withinMs = limits.drainMs + PUBLISH_MS_MAX;
  shutdown.add('data plane', () => plane.close({ drainMs: limits.drainMs }), { withinMs });
  log.info({ address: plane.address, node: plane.nodeId }, 'the data plane is listening');
  void plane.ready().then(
    () => log.info({ node: plane.nodeId }, 'the data plane is ready'),
    (error) => log.error({ err: error }, 'the data plane has no configuration'),
  );
}
