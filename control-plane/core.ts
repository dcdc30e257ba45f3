// The control plane without its ports: keys loaded, database open and migrated, the services on top of it. Everything that
// starts a control plane goes through here, and in this order: what can be refused is refused before anything is written.
import { setTimeout as wait } from 'node:timers/promises';
import { backoffCeilingMs } from '#shared/backoff.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import type { ControlPlaneOptions } from './config.ts';
import { type AdminKey, loadAdminKey } from './secrets/admin-key.ts';
import { type FleetSecrets, openFleetSecrets } from './secrets/fleet.ts';
import { localKeyEncryption } from './secrets/key-encryption.ts';
import { providePepper } from './secrets/pepper.ts';
import { loadFleetKey, openProviderSecrets } from './secrets/provider-secrets.ts';
import { loadRootKeys } from './secrets/root-key.ts';
import { DatabaseHealth } from './services/database-health.ts';
import { DeclaredConfiguration, loadFile } from './services/file-source.ts';
import { KeyService } from './services/keys.ts';
import { ObjectService } from './services/objects.ts';
import { asDatabaseError, type Db, migrateToLatest, openDatabase } from './store/database.ts';

/** A database that starts together with its control planes is there within seconds; one that is not needs a person. */
const DATABASE_WAIT_MS_MAX = 60_000;
const retryBounds = { msMin: 250, msMax: 4_000 };

export interface Core {
  readonly db: Db;
  readonly adminKey: AdminKey;
  readonly fleetSecrets: FleetSecrets;
  readonly databaseHealth: DatabaseHealth;
  readonly keys: KeyService;
  readonly objects: ObjectService;
  readonly declared: DeclaredConfiguration;
  close(): Promise<void>;
}

export type CoreOptions = Pick<
  ControlPlaneOptions,
  | 'databaseUrl'
  | 'dataDirectory'
  | 'masterKey'
  | 'encryptionKey'
  | 'configurationFile'
  | 'environment'
  | 'demo'
  | 'log'
  | 'metrics'
> & { readonly clock?: Clock; readonly databaseWaitMsMax?: number };

export async function openCore(options: CoreOptions): Promise<Core> {
  const { log, configurationFile } = options;
  const file = configurationFile === undefined ? undefined : await loadFile(configurationFile, options);
  const adminKey = loadAdminKey(options);
  const rootKeys = loadRootKeys(options);
  const db = openDatabase(options.databaseUrl, (error) =>
    log.debug({ err: error }, 'idle database connection lost'),
  );
  try {
    await migrateWhenReachable(db, log, options.databaseWaitMsMax ?? DATABASE_WAIT_MS_MAX);
    const services = await openServices(db, options, rootKeys);
    const declared = new DeclaredConfiguration(services.forDeclared, file);
    const { fleetKey, pepper } = services;
    await declared.start((change) => providePepper(change, fleetKey, pepper));
    const databaseHealth = new DatabaseHealth({ db, metrics: options.metrics, log });
    return {
      db,
      adminKey,
      databaseHealth,
      declared,
      fleetSecrets: services.fleetSecrets,
      keys: services.keys,
      objects: services.objects,
      async close() {
        await declared.close();
        await databaseHealth.close();
        await db.destroy();
      },
    };
  } catch (error) {
    await db.destroy();
    throw asDatabaseError(error);
  }
}

async function openServices(db: Db, options: CoreOptions, rootKeys: ReturnType<typeof loadRootKeys>) {
  const { environment, demo, log, clock = systemClock } = options;
  const keyEncryption = localKeyEncryption(rootKeys.keyEncryption);
  const fleetSecrets = await openFleetSecrets(db, keyEncryption);
  const fleetKey = await loadFleetKey(fleetSecrets);
  const secrets = await openProviderSecrets(db, {
    keyEncryption,
    fleetKey,
    fingerprintKey: rootKeys.fingerprint,
  });
  const pepper = rootKeys.apiKeyPepper;
  return {
    fleetSecrets,
    fleetKey,
    pepper,
    keys: new KeyService({ db, pepper, clock }),
    objects: new ObjectService({ db, secrets }),
    forDeclared: { db, secrets, environment, demo, clock, log },
  };
}

async function migrateWhenReachable(db: Db, log: Logger, withinMs: number): Promise<void> {
  const startMs = systemClock.monotonicMs();
  for (let tries = 1; ; tries++) {
    try {
      return await migrateToLatest(db);
    } catch (error) {
      const isLost = error instanceof SignalboxError && error.code === 'database_unavailable';
      if (!isLost) throw error;
      const reason = (error.cause as Error).message;
      const delayMs = backoffCeilingMs(tries, retryBounds);
      if (systemClock.monotonicMs() - startMs + delayMs > withinMs) {
        const seconds = Math.round(withinMs / 1000);
        throw new SignalboxError(
          'database_unavailable',
          `The database could not be reached within ${seconds} s (${reason}). Check SIGNALBOX_DATABASE_URL and that PostgreSQL is running.`,
          { cause: error },
        );
      }
      log.warn({ reason, retryMs: delayMs }, 'the database cannot be reached yet');
      await wait(delayMs);
    }
  }
}
