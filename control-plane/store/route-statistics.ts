// How a route has done, from the single attempts of its last hours: percentiles cannot be put together from sums. One pass over the
// attempts gives the figures of the route, of its members and of their deployments; the days bound the partitions that are read. Copies
// are no traffic of the route: they are counted by the same passes, on their own.
import { sql } from 'kysely';
import { limits } from '#shared/limits.ts';
import { type Db, reachingDatabase } from './database.ts';
import { outcomes, tokenColumns } from './ledger-columns.ts';

export interface RouteWindow {
  readonly route: string;
  readonly from: Date;
  /** Not included. */
  readonly to: Date;
}

export interface RequestFigures {
  readonly requests: bigint;
  /** Answered completely, by whichever attempt. */
  readonly answered: bigint;
  /** Given up by their clients before that. */
  readonly left: bigint;
  /** Asked again after an attempt had failed. */
  readonly failed_over: bigint;
}

const percentileNames = ['p50', 'p95', 'p99'] as const;
type Percentiles = readonly number[] | null;

export type AttemptFigures = Record<
  'attempts' | 'unpriced_attempts' | (typeof outcomes)[number] | (typeof tokenColumns)[number],
  bigint
> & {
  /** Null: of the route as a whole. */
  readonly model: string | null;
  /** Null: of all deployments of the model. */
  readonly deployment: string | null;
  readonly provider: string | null;
  readonly upstream_model: string | null;
  readonly cost_nanodollars: bigint | null;
  /** In the order of `percentileNames`; of attempts that were completed. */
  readonly duration_ms: Percentiles;
  /** Of attempts of which a byte came. */
  readonly first_byte_ms: Percentiles;
};

export interface ErrorCount {
  readonly model: string;
  readonly deployment: string;
  readonly error_code: string;
  readonly attempts: bigint;
}

export interface AttemptStatistics {
  /** The route first, then models and deployments, the busiest first. */
  readonly figures: readonly AttemptFigures[];
  readonly errors: readonly ErrorCount[];
}

export interface RouteStatistics extends AttemptStatistics {
  readonly requests: RequestFigures;
  readonly copies: AttemptStatistics;
}

/** Whether copies are counted, or everything else. */
type Counted = 'answers' | 'copies';

export function routeStatistics(db: Db, window: RouteWindow): Promise<RouteStatistics> {
  return reachingDatabase(async () => {
    const [requests, answers, copies] = await Promise.all([
      requestFigures(db, window),
      attemptStatistics(db, window, 'answers'),
      attemptStatistics(db, window, 'copies'),
    ]);
    return { requests, ...answers, copies };
  });
}

async function attemptStatistics(db: Db, window: RouteWindow, counted: Counted): Promise<AttemptStatistics> {
  const [figures, errors] = await Promise.all([
    attemptFigures(db, window, counted),
    errorCounts(db, window, counted),
  ]);
  return { figures, errors };
}

async function requestFigures(db: Db, window: RouteWindow): Promise<RequestFigures> {
  const { rows } = await sql<RequestFigures>`
    select count(*) as requests,
      count(*) filter (where answered) as answered,
      count(*) filter (where not answered and was_left) as "left",
      count(*) filter (where has_failed and attempts > 1) as failed_over
    from (
      select bool_or(outcome = 'completed') as answered,
        bool_or(outcome = 'cancelled' and error_code <> 'hedge_lost') as was_left,
        bool_or(outcome in ('failed', 'interrupted')) as has_failed,
        count(*) as attempts
      from attempts where ${within(window, 'answers')} group by request_id
    ) as by_request`.execute(db);
  return rows[0]!;
}

async function attemptFigures(
  db: Db,
  window: RouteWindow,
  counted: Counted,
): Promise<readonly AttemptFigures[]> {
  const byOutcome = outcomes.map(
    (outcome) => sql`count(*) filter (where outcome = ${outcome}) as ${sql.ref(outcome)}`,
  );
  const tokens = tokenColumns.map(
    (name) => sql`coalesce(sum(${sql.ref(name)}), 0)::bigint as ${sql.ref(name)}`,
  );
  const { rows } = await sql<AttemptFigures>`
    select model, deployment, provider, upstream_model,
      count(*) as attempts,
      ${sql.join([...byOutcome, ...tokens])},
      sum(cost_nanodollars)::bigint as cost_nanodollars,
      count(*) filter (where cost_nanodollars is null) as unpriced_attempts,
      ${percentiles('duration_ms', sql`outcome = 'completed'`)},
      ${percentiles('first_byte_ms', sql`first_byte_ms > 0`)}
    from attempts where ${within(window, counted)}
    group by grouping sets ((), (model), (model, deployment, provider, upstream_model))
    order by grouping(model) desc, grouping(deployment) desc, count(*) desc, model, deployment
    limit ${limits.routeStatisticsRowsMax}`.execute(db);
  return rows;
}

async function errorCounts(db: Db, window: RouteWindow, counted: Counted): Promise<readonly ErrorCount[]> {
  const { rows } = await sql<ErrorCount>`
    select model, deployment, error_code, count(*) as attempts
    from attempts where ${within(window, counted)} and error_code <> ''
    group by model, deployment, error_code
    order by count(*) desc, model, deployment, error_code
    limit ${limits.routeStatisticsRowsMax}`.execute(db);
  return rows;
}

/** The days say which partitions, since only `day` does. */
function within({ route, from, to }: RouteWindow, counted: Counted) {
  const [first, last] = [from, to].map((time) => time.toISOString().slice(0, 10));
  return sql`route = ${route} and day between ${first}::date and ${last}::date
    and started_at >= ${from} and started_at < ${to} and shadow = ${counted === 'copies'}`;
}

function percentiles(column: 'duration_ms' | 'first_byte_ms', which: ReturnType<typeof sql>) {
  const fractions = percentileNames.map((name) => Number(name.slice(1)) / 100);
  return sql`percentile_cont(array[${sql.join(fractions.map((fraction) => sql.lit(fraction)))}]::float8[])
    within group (order by ${sql.ref(column)}) filter (where ${which}) as ${sql.ref(column)}`;
}
