// How a route has done in its last hours: who got how much of its traffic, and how that went. Read from the ledger, where every attempt
// is, and not from the health of the moment; see docs/routing.md.
import { z } from 'zod';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { ObjectService } from '../services/objects.ts';
import type { Db } from '../store/database.ts';
import {
  type AttemptFigures,
  type ErrorCount,
  type RouteStatistics,
  routeStatistics,
} from '../store/route-statistics.ts';
import type { ApiPlugin } from './plugin.ts';
import { costSchema, showTokens, tokensSchema } from './usage.ts';

const HOUR_MS = 60 * 60 * 1000;
const HOURS_DEFAULT = 24;
const NAME_LENGTH_MAX = 1024;

const count = z.int();
const share = z.number().min(0).max(1).nullable();
const percentilesSchema = z
  .object({ p50: z.number(), p95: z.number(), p99: z.number() })
  .nullable()
  .describe('In milliseconds; null when there is nothing to tell.');

const figures = {
  attempts: count.describe('Calls to providers.'),
  traffic_share: share.describe('Of all attempts of the route.'),
  success_share: share.describe('Of the attempts that were not given up by clients, or by us.'),
  duration_ms: percentilesSchema.describe('Of completed attempts, in milliseconds; null when there is none.'),
  first_byte_ms: percentilesSchema.describe('Until the answer began, in milliseconds.'),
  tokens: tokensSchema,
  cost_nanodollars: costSchema,
  unpriced_attempts: count.describe('Attempts without a known price; the cost does not contain them.'),
  errors: z
    .record(z.string(), count)
    .describe('Attempts by error code. A completed attempt may have one too.'),
};

const deploymentSchema = z.object({
  deployment: z.string(),
  provider: z.string(),
  upstream_model: z.string(),
  ...figures,
});
const routeStatisticsSchema = z
  .object({
    route: z.string(),
    hours: count,
    from: z.string(),
    to: z.string(),
    requests: count.describe('Requests of clients, of which each may need several attempts.'),
    success_share: share.describe(
      'Of the requests that their clients did not give up: those that were answered.',
    ),
    failover_share: share.describe(
      'Of the requests: those that were sent again after an attempt had failed.',
    ),
    totals: z.object(figures).omit({ traffic_share: true, success_share: true }),
    members: z
      .array(z.object({ model: z.string(), ...figures, deployments: z.array(deploymentSchema) }))
      .describe('By public model name, those with the most attempts first.'),
    copies: z
      .array(z.object({ model: z.string(), ...figures }).omit({ traffic_share: true }))
      .describe('Attempts for copies of requests, by public model name. They are counted nowhere else here.'),
  })
  .meta({ id: 'RouteStatistics' });

export interface RouteStatisticsOptions {
  readonly db: Db;
  readonly objects: Pick<ObjectService, 'get'>;
  readonly clock: Clock;
}

export function routeStatisticsApi({ db, objects, clock }: RouteStatisticsOptions): ApiPlugin {
  return async function routeStatisticsRoutes(app) {
    app.get(
      '/routes/:slug/stats',
      {
        schema: {
          tags: ['Routes'],
          summary: 'How a route and its members have done',
          params: z.object({ slug: z.string().min(1).max(NAME_LENGTH_MAX) }),
          querystring: z.strictObject({
            hours: z.coerce
              .number()
              .int()
              .min(1)
              .max(limits.routeStatisticsHoursMax)
              .default(HOURS_DEFAULT)
              .describe('How far to look back.'),
          }),
          response: { 200: routeStatisticsSchema },
        },
      },
      async ({ params: { slug }, query: { hours } }) => {
        await objects.get({ kind: 'route', name: slug });
        const to = new Date(clock.wallMs());
        const from = new Date(to.getTime() - hours * HOUR_MS);
        const statistics = await routeStatistics(db, { route: slug, from, to });
        return { route: slug, hours, from: from.toISOString(), to: to.toISOString(), ...show(statistics) };
      },
    );
  };
}

function show({ requests, figures: rows, errors, copies }: RouteStatistics) {
  const { requests: asked, answered, left, failed_over } = requests;
  const all = rows.find(({ model }) => model === null)!;
  const members = modelsIn(rows);
  const deployments = Map.groupBy(
    rows.filter(({ deployment }) => deployment !== null),
    ({ model }) => model,
  );
  const ofModel = Map.groupBy(errors, ({ model }) => model);
  return {
    requests: Number(asked),
    success_share: shareOf(answered, asked - left),
    failover_share: shareOf(failed_over, asked),
    totals: showFigures(all, errors),
    members: members.map((member) => {
      const found = ofModel.get(member.model!) ?? [];
      return {
        model: member.model!,
        ...showMember(member, all, found),
        deployments: (deployments.get(member.model) ?? []).map((row) => ({
          deployment: row.deployment!,
          provider: row.provider!,
          upstream_model: row.upstream_model!,
          ...showMember(
            row,
            all,
            found.filter(({ deployment }) => deployment === row.deployment),
          ),
        })),
      };
    }),
    copies: modelsIn(copies.figures).map((row) => ({
      model: row.model!,
      ...showFigures(
        row,
        copies.errors.filter(({ model }) => model === row.model),
      ),
      success_share: shareOf(row.completed, row.attempts - row.cancelled),
    })),
  };
}

function modelsIn(rows: readonly AttemptFigures[]): readonly AttemptFigures[] {
  return rows.filter(({ model, deployment }) => model !== null && deployment === null);
}

function showMember(row: AttemptFigures, all: AttemptFigures, errors: readonly ErrorCount[]) {
  return {
    ...showFigures(row, errors),
    traffic_share: shareOf(row.attempts, all.attempts),
    success_share: shareOf(row.completed, row.attempts - row.cancelled),
  };
}

function showFigures(row: AttemptFigures, errors: readonly ErrorCount[]) {
  const byCode = new Map<string, number>();
  for (const { error_code: code, attempts } of errors)
    byCode.set(code, (byCode.get(code) ?? 0) + Number(attempts));
  return {
    attempts: Number(row.attempts),
    duration_ms: showPercentiles(row.duration_ms),
    first_byte_ms: showPercentiles(row.first_byte_ms),
    tokens: showTokens(row),
    cost_nanodollars: row.cost_nanodollars?.toString() ?? null,
    unpriced_attempts: Number(row.unpriced_attempts),
    errors: Object.fromEntries(byCode),
  };
}

function showPercentiles(found: AttemptFigures['duration_ms']) {
  if (found === null) return null;
  const [p50, p95, p99] = found.map(Math.round);
  return { p50: p50!, p95: p95!, p99: p99! };
}

/** To a hundredth of a percent; nothing of nothing is no share. */
function shareOf(part: bigint, whole: bigint): number | null {
  return whole === 0n ? null : Math.round((Number(part) / Number(whole)) * 10_000) / 10_000;
}
