// The door to Postgres: one pool per control plane, used by everything in this folder and by nothing else. What goes wrong
// with the connection becomes `database_unavailable` here, so that the rest never has to know driver codes.
import { Kysely, PostgresDialect, sql } from 'kysely';
import { DEFAULT_MIGRATION_TABLE, Migrator } from 'kysely/migration';
import pg from 'pg';
import { SignalboxError } from '#shared/errors.ts';
import { migrations } from './migrations/index.ts';
import type { Database } from './schema.ts';

export type Db = Kysely<Database>;

const POOL_CONNECTIONS_MAX = 10;
const CONNECT_MS_MAX = 5_000;
/** No statement of this system takes seconds; one that does is waiting for a lock that will not come. */
const STATEMENT_MS_MAX = 30_000;
/** A server that is frozen does not keep its own time-out. */
const ANSWER_MS_MAX = STATEMENT_MS_MAX + 5_000;

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
    query_timeout: ANSWER_MS_MAX,
    idleTimeoutMillis: 30_000,
  });
  // A connection that breaks is replaced by the pool; unhandled, its error would end the process. The pool reports those
  // that are idle, and a connection in use has to be listened to itself.
  pool.on('error', onConnectionError);
  pool.on('connect', (client) => client.on('error', onConnectionError));
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}

/**
 * Brings the schema up to date. Safe when several replicas start at once: one works under a lock, the others wait. A
 * database that a newer build has already taken further is left alone, because migrations only add (see
 * migrations/index.ts); so an older replica can still restart during a rolling update.
 */
export async function migrateToLatest(db: Db): Promise<void> {
  if (await reachingDatabase(() => isUpToDate(db))) return;
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw asDatabaseError(error);
}

async function isUpToDate(db: Db): Promise<boolean> {
  const { rows: tables } = await sql<{ found: string | null }>`
    select to_regclass(${DEFAULT_MIGRATION_TABLE})::text as found`.execute(db);
  if (tables[0]?.found == null) return false;
  const { rows } = await sql<{
    name: string;
  }>`select name from ${sql.table(DEFAULT_MIGRATION_TABLE)}`.execute(db);
  const applied = new Set(rows.map((row) => row.name));
  return Object.keys(migrations).every((name) => applied.has(name));
}

/** Runs database work and reports a lost or refusing server as `database_unavailable`. */
export async function reachingDatabase<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asDatabaseError(error);
  }
}

/** Whether the database answers right now. */
export async function databaseAnswers(db: Db): Promise<boolean> {
  try {
    await sql`select 1`.execute(db);
    return true;
  } catch {
    return false;
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
    /Connection terminated|timeout exceeded when trying to connect|Query read timeout/.test(error.message);
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
