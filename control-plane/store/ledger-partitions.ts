// The ledger's daily partitions: made ahead of need, attached without stopping readers or writers, and dropped whole when
// they are old, which is the only way to delete from it.
import { sql } from 'kysely';
import { type Db, reachingDatabase } from './database.ts';

/** Any number, the same everywhere: replicas take turns in changing the set of partitions. */
const PARTITIONS_LOCK = 7_266_001;
const DAY_MS = 24 * 60 * 60 * 1000;

export function dayOf(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 10);
}

function dayAfter(day: string): string {
  return dayOf(Date.parse(day) + DAY_MS);
}

function partitionName(day: string): string {
  return `attempts_${day.replaceAll('-', '')}`;
}

const partitionPattern = /^attempts_(\d{4})(\d{2})(\d{2})$/;

export function ensurePartitions(db: Db, days: readonly string[]): Promise<void> {
  return reachingDatabase(() =>
    db.transaction().execute(async (tx) => {
      await sql`select pg_advisory_xact_lock(${sql.lit(PARTITIONS_LOCK)})`.execute(tx);
      for (const day of days.toSorted()) {
        const name = partitionName(day);
        const known = await sql<{ found: string | null }>`select to_regclass(${name})::text as found`.execute(
          tx,
        );
        if (known.rows[0]?.found != null) continue;
        const table = sql.table(name);
        // Attaching locks out neither readers nor writers of the ledger; `create … partition of` would.
        await sql`create table ${table} (like attempts including defaults including constraints)`.execute(tx);
        await sql`alter table attempts attach partition ${table}
          for values from (${sql.lit(day)}) to (${sql.lit(dayAfter(day))})`.execute(tx);
      }
    }),
  );
}

/** Drops the partitions of days before the given one; returns their days. */
export function dropBefore(db: Db, firstDay: string): Promise<string[]> {
  return reachingDatabase(() =>
    db.transaction().execute(async (tx) => {
      await sql`select pg_advisory_xact_lock(${sql.lit(PARTITIONS_LOCK)})`.execute(tx);
      const partitions = await sql<{ name: string }>`
        select child.relname as name from pg_inherits
        join pg_class child on child.oid = inhrelid
        where inhparent = 'attempts'::regclass`.execute(tx);
      const dropped: string[] = [];
      // Dropping waits for running queries, and new ones wait behind it: better to give up and come back.
      await sql`set local lock_timeout = '2s'`.execute(tx);
      for (const { name } of partitions.rows) {
        const day = name.replace(partitionPattern, '$1-$2-$3');
        if (day === name || day >= firstDay) continue;
        await sql`drop table ${sql.table(name)}`.execute(tx);
        dropped.push(day);
      }
      return dropped.toSorted();
    }),
  );
}
