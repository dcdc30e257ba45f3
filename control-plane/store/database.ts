// The door to Postgres: one pool per control plane, used by everything in this folder and by nothing else. What goes wrong
// with the connection becomes `database_unavailable` here, so that the rest never has to know driver codes.
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { SignalboxError } from '#shared/errors.ts';
import { migrations } from './migrations/index.ts';
import type { Database } from './schema.ts';

export type Db = Kysely<Database>;

const POOL_CONNECTIONS_MAX = 10;
const CONNECT_MS_MAX = 5_000;
/** No statement of this system takes seconds; one that does is waiting for a lock that will not come. */
const STATEMENT_MS_MAX = 30_000;

// bigint columns hold revisions, sequences and money: as numbers they would be rounded beyond 2^53.
const parseBigint = (text: string) => BigInt(text);
// A calendar day stays text: as a Date it would depend on this process's time zone.
const parseDay = (text: string) => text;
const types: pg.CustomTypesConfig = {
  getTypeParser(id, format) {
    if (id === pg.types.builtins.INT8) return parseBigint;
    if (id === pg.types.builtins.DATE) return parseDay;
    return pg.types.getTypeParser(id, format);
  },
};

export function connectionOptions(databaseUrl: string): pg.ClientConfig {
  return {
    connectionString: databaseUrl,
    types,
    application_name: 'signalbox-control-plane',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
  };
}

export function openDatabase(databaseUrl: string, onConnectionError: (error: Error) => void): Db {
  const pool = new pg.Pool({
    ...connectionOptions(databaseUrl),
    max: POOL_CONNECTIONS_MAX,
    statement_timeout: STATEMENT_MS_MAX,
    idleTimeoutMillis: 30_000,
  });
  // An idle connection that breaks is replaced by the pool; unhandled, its error would end the process.
  pool.on('error', onConnectionError);
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}

/** Brings the schema up to date. Safe when several replicas start at once: one works under a lock, the others wait. */
export async function migrateToLatest(db: Db): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw asDatabaseError(error);
}

/** Runs database work and reports a lost or refusing server as `database_unavailable`. */
export async function reachingDatabase<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asDatabaseError(error);
  }
}

const connectionErrnos = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
// Class 08: connection exceptions. 57P01-57P03: shutting down, crashed, starting up. 53300: too many connections.
const unavailableStates = /^(08|57P0|53300)/;

export function asDatabaseError(error: unknown): unknown {
  if (error instanceof SignalboxError || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const lost =
    connectionErrnos.has(code) ||
    unavailableStates.test(code) ||
    /Connection terminated|timeout exceeded when trying to connect/.test(error.message);
  if (!lost) return error;
  return new SignalboxError(
    'database_unavailable',
    'The database cannot be reached. Data planes keep serving; try again shortly.',
    {
      cause: error,
      retryAfterMs: 2_000,
    },
  );
}
