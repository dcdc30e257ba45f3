// What data planes are told, as the control plane reads it back: the newest revision, and every resource that changed after
// a revision. A replica follows by being notified; a poll each second finds what a lost notification would have told.
import { sql } from 'kysely';
import pg from 'pg';
import { revisionChannel } from './changes.ts';
import { connectionOptions, type Db, reachingDatabase } from './database.ts';

export interface ConfigurationHead {
  readonly revision: bigint;
  readonly historyId: string;
}

export interface ResourceRow {
  readonly type: number;
  readonly name: string;
  readonly version: bigint;
  /** Null for a resource that was removed. */
  readonly payload: Buffer | null;
}

/** Enough rows to amortize a round trip, few enough to parse (about 2 ms) without stalling the event loop. */
const PAGE_ROWS = 1_000;
const POLL_MS = 1_000;
const RECONNECT_MS_MIN = 200;
const RECONNECT_MS_MAX = 5_000;

export function readHead(db: Db): Promise<ConfigurationHead> {
  return reachingDatabase(async () => {
    const row = await db
      .selectFrom('configuration_head')
      .select(['revision', 'history_id'])
      .executeTakeFirstOrThrow();
    return { revision: row.revision, historyId: row.history_id };
  });
}

/**
 * Hands over, page by page, every resource whose version is above `revision`, as of one moment, and returns which
 * moment that was. A cursor, because a fleet's keys do not fit comfortably into one answer.
 */
export function readSince(
  db: Db,
  revision: bigint,
  onPage: (rows: readonly ResourceRow[]) => Promise<void> | void,
): Promise<ConfigurationHead> {
  return reachingDatabase(() =>
    db
      .transaction()
      .setIsolationLevel('repeatable read')
      .setAccessMode('read only')
      .execute(async (transaction) => {
        const head = await readHead(transaction);
        // A cursor takes no parameters; a bigint prints as digits only.
        await sql`declare changes no scroll cursor for
          select type, name, version, payload from resources where version > ${sql.raw(String(revision))}`.execute(
          transaction,
        );
        for (;;) {
          const { rows } = await sql<ResourceRow>`fetch ${sql.raw(String(PAGE_ROWS))} from changes`.execute(
            transaction,
          );
          if (rows.length > 0) await onPage(rows);
          if (rows.length < PAGE_ROWS) return head;
        }
      }),
  );
}

export interface RevisionFollower {
  close(): Promise<void>;
}

export interface FollowOptions {
  readonly databaseUrl: string;
  /** Called when there may be something new: with each notification and once a second. */
  readonly onHint: () => void;
  readonly onConnectionError: (error: Error) => void;
}

/** Listens on a connection of its own, which is opened again for as long as it takes. */
export function followRevisions(options: FollowOptions): RevisionFollower {
  const { onHint, onConnectionError } = options;
  let client: pg.Client | undefined;
  let waitMs = RECONNECT_MS_MIN;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  function reconnectLater(): void {
    if (closed) return;
    retry = setTimeout(connect, waitMs);
    waitMs = Math.min(RECONNECT_MS_MAX, waitMs * 2);
  }

  function connect(): void {
    const connection = new pg.Client(connectionOptions(options.databaseUrl));
    client = connection;
    let lost = false;
    const onLost = (error?: Error) => {
      if (lost) return;
      lost = true;
      if (error !== undefined && !closed) onConnectionError(error);
      connection.end().catch(() => undefined); // it is gone already; nothing else can be done about it
      reconnectLater();
    };
    connection.on('error', onLost);
    connection.on('end', () => onLost());
    connection.on('notification', onHint);
    connection
      .connect()
      .then(() => connection.query(`LISTEN ${revisionChannel}`))
      .then(() => {
        waitMs = RECONNECT_MS_MIN;
        onHint(); // whatever was committed while nobody listened
      })
      .catch(onLost);
  }

  connect();
  const poll = setInterval(onHint, POLL_MS);
  return {
    async close() {
      closed = true;
      clearInterval(poll);
      clearTimeout(retry);
      await client?.end().catch(() => undefined);
    },
  };
}
