// Reading the ledger. Totals come from the daily sums, whose number does not grow with traffic; single attempts are read
// newest first along the primary key, a page at a time.
import { type Selectable, type SqlBool, sql } from 'kysely';
import { type Db, reachingDatabase } from './database.ts';
import { dailySums } from './ledger-columns.ts';
import type { AttemptsTable, UsageDailyTable } from './schema.ts';

export const usageGroups = ['key', 'model', 'provider', 'route', 'day'] as const;
export type UsageGroup = (typeof usageGroups)[number];

const groupColumns = {
  key: 'key_id',
  model: 'model',
  provider: 'provider',
  route: 'route',
  day: 'day',
} as const satisfies Record<UsageGroup, keyof UsageDailyTable>;

export type UsageSums = Record<(typeof dailySums)[number], bigint> & {
  /** Of the attempts that have a price; null when none has. */
  readonly cost_nanodollars: bigint | null;
};

export interface UsageFilter {
  /** Days in UTC, both included. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly key?: string | undefined;
  readonly model?: string | undefined;
  readonly provider?: string | undefined;
  readonly route?: string | undefined;
  /** Copies alone, instead of what clients were answered with. */
  readonly shadow?: boolean | undefined;
}

export interface UsageQuery extends UsageFilter {
  readonly groupBy: UsageGroup;
  readonly limit: number;
}

function sumColumns() {
  const sums = dailySums.map((name) => sql`coalesce(sum(${sql.ref(name)}), 0)::bigint as ${sql.ref(name)}`);
  return sql.join([...sums, sql`sum(cost_nanodollars)::bigint as cost_nanodollars`]);
}

function tableOf({ shadow = false }: UsageFilter) {
  return sql.table(shadow ? 'shadow_daily' : 'usage_daily');
}

function conditions({ from, to, ...equals }: UsageFilter) {
  const parts = [sql<SqlBool>`true`];
  if (from !== undefined) parts.push(sql`day >= ${from}::date`);
  if (to !== undefined) parts.push(sql`day <= ${to}::date`);
  for (const name of ['key', 'model', 'provider', 'route'] as const) {
    const value = equals[name];
    if (value !== undefined) parts.push(sql`${sql.ref(groupColumns[name])} = ${value}`);
  }
  return sql.join(parts, sql` and `);
}

export async function usageTotals(db: Db, filter: UsageFilter): Promise<UsageSums> {
  const { rows } = await reachingDatabase(() =>
    sql<UsageSums>`select ${sumColumns()} from ${tableOf(filter)} where ${conditions(filter)}`.execute(db),
  );
  return rows[0]!;
}

/** The largest groups first, or the newest days. */
export async function usageByGroup(
  db: Db,
  query: UsageQuery,
): Promise<(UsageSums & { readonly group: string })[]> {
  const column = sql.ref(groupColumns[query.groupBy]);
  const order = query.groupBy === 'day' ? sql`day desc` : sql`sum(attempts) desc, ${column}`;
  const { rows } = await reachingDatabase(() =>
    sql<UsageSums & { group: string }>`
      select ${column}::text as "group", ${sumColumns()} from ${tableOf(query)}
      where ${conditions(query)} group by ${column} order by ${order} limit ${query.limit}`.execute(db),
  );
  return rows;
}

export type StoredAttempt = Selectable<AttemptsTable>;

export interface AttemptFilter {
  readonly key?: string | undefined;
  readonly model?: string | undefined;
  readonly provider?: string | undefined;
  readonly outcome?: AttemptsTable['outcome'] | undefined;
  readonly requestId?: string | undefined;
  /** Copies alone, or none of them. */
  readonly shadow?: boolean | undefined;
  /** All of them. */
  readonly tags?: readonly string[] | undefined;
  /** All of these, with these values. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly from?: Date | undefined;
  /** Not included. */
  readonly to?: Date | undefined;
  /** Only what comes after this one in the list. */
  readonly after?: { readonly day: string; readonly attemptId: string } | undefined;
  readonly limit: number;
}

/** Newest first: by day, then by attempt id, which begins with the time. */
export function listAttempts(db: Db, filter: AttemptFilter): Promise<StoredAttempt[]> {
  const { key, model, provider, outcome, requestId, shadow, from, to, after, limit } = filter;
  const { tags = [], metadata = {} } = filter;
  return reachingDatabase(() =>
    db
      .selectFrom('attempts')
      .selectAll()
      .$if(key !== undefined, (query) => query.where('key_id', '=', key!))
      .$if(model !== undefined, (query) => query.where('model', '=', model!))
      .$if(provider !== undefined, (query) => query.where('provider', '=', provider!))
      .$if(outcome !== undefined, (query) => query.where('outcome', '=', outcome!))
      .$if(requestId !== undefined, (query) => query.where('request_id', '=', requestId!))
      .$if(shadow !== undefined, (query) => query.where('shadow', '=', shadow!))
      .$if(tags.length > 0, (query) => query.where(sql<SqlBool>`tags @> ${JSON.stringify(tags)}::jsonb`))
      .$if(Object.keys(metadata).length > 0, (query) =>
        query.where(sql<SqlBool>`metadata @> ${JSON.stringify(metadata)}::jsonb`),
      )
      // The day is said too, because partitions are left out by it.
      .$if(from !== undefined, (query) =>
        query.where('started_at', '>=', from!).where('day', '>=', from!.toISOString().slice(0, 10)),
      )
      .$if(to !== undefined, (query) =>
        query.where('started_at', '<', to!).where('day', '<=', to!.toISOString().slice(0, 10)),
      )
      .$if(after !== undefined, (query) =>
        query
          .where('day', '<=', after!.day)
          .where(sql<SqlBool>`(day, attempt_id) < (${after!.day}::date, ${after!.attemptId}::uuid)`),
      )
      .orderBy('day', 'desc')
      .orderBy('attempt_id', 'desc')
      .limit(limit)
      .execute(),
  );
}
