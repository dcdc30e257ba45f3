// How providers and models are doing right now, as the data planes tell it: what there is comes from the configuration, how it does from
// their digests. Nothing here is stored or asked of a provider; see docs/health.md.
import { z } from 'zod';
import { limits } from '#shared/limits.ts';
import type { HealthReports } from '../health/collector.ts';
import { type HealthState, type HealthSummary, healthStates, stateOf, summarise } from '../health/summary.ts';
import type { ObjectService } from '../services/objects.ts';
import type { StoredObject } from '../store/objects.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const state = z.enum(healthStates);
const share = z.number().min(0).max(1).nullable();
const milliseconds = z.number().nullable();
const nodeSchema = z.object({
  id: z.string(),
  region: z.string(),
  state,
  score: z.int().nullable(),
  reported_ms_ago: z.int(),
});
const figures = {
  state: state.describe('`down` when no data plane asks it, `degraded` when some do not or too much fails.'),
  score: z
    .int()
    .nullable()
    .describe('0 to 100; null when nothing is known. The formula is in docs/health.md.'),
  success_share: share.describe('Of the last half minute or so, older answers counting less.'),
  first_byte_ms: z.object({ p50: milliseconds, p95: milliseconds }).describe('Of streams.'),
  in_flight: z.int(),
  requests_per_minute: z.number(),
  tokens_per_minute: z.number(),
  errors_per_minute: z.number(),
  rate_limited_per_minute: z.number().describe('Answers with status 429.'),
  nodes: z.array(nodeSchema).describe('The data planes that have something to say of it.'),
};
const keySchema = z.object({
  id: z.string(),
  hint: z.string(),
  state: z.enum(['active', 'resting', 'unknown']),
  resting_ms: z.int().describe('For how long it will not be used.'),
  headroom: share.describe('What is left of its tightest limit, as the provider says.'),
  requests_per_minute: z.number(),
  tokens_per_minute: z.number(),
  rate_limited_per_minute: z.number(),
});
const providerStatusSchema = z
  .object({
    provider: z.string(),
    type: z.string(),
    ...figures,
    reachable: z
      .boolean()
      .nullable()
      .describe('What the last free probe found; null when there was none lately.'),
    keys: z.array(keySchema),
  })
  .meta({ id: 'ProviderStatus' });
const modelHealthSchema = z
  .object({
    model: z.string(),
    state,
    score: z.int().nullable().describe('Of the best of its deployments.'),
    deployments: z.array(z.object({ id: z.string(), provider: z.string(), model: z.string(), ...figures })),
  })
  .meta({ id: 'ModelHealth' });

export interface HealthApiOptions {
  readonly objects: Pick<ObjectService, 'list'>;
  readonly health: HealthReports;
}

export function healthApi({ objects, health }: HealthApiOptions): ApiPlugin {
  return async function healthRoutes(app) {
    app.get(
      '/providers/status',
      {
        schema: {
          tags: ['Providers'],
          summary: 'How each provider is doing',
          querystring: pageQuery,
          response: { 200: pageSchema(providerStatusSchema) },
        },
      },
      async ({ query: { limit, cursor } }) => {
        const [after] = decodeCursor(cursor, [/^.{1,1024}$/s]) ?? [];
        const rows = await objects.list({ kind: 'provider', after, limit: limit + 1 });
        const served = Map.groupBy(await allModels(objects), ({ provider }) => provider);
        return toPage(
          rows,
          limit,
          (row) => showProvider(row, served.get(row.name) ?? [], health),
          (row) => [row.name],
        );
      },
    );

    app.get(
      '/models/health',
      {
        schema: {
          tags: ['Models'],
          summary: 'How each model and its deployments are doing',
          querystring: pageQuery,
          response: { 200: pageSchema(modelHealthSchema) },
        },
      },
      async ({ query: { limit, cursor } }) => {
        const [after = ''] = decodeCursor(cursor, [/^.{1,1024}$/s]) ?? [];
        const models = Map.groupBy(await allModels(objects), ({ model }) => model);
        const rows = [...models].filter(([name]) => name > after).toSorted(byName);
        return toPage(
          rows,
          limit,
          ([name, deployments]) => showModel(name, deployments, health),
          ([name]) => [name],
        );
      },
    );
  };
}

type ShownKey = Readonly<Record<'id' | 'hint', string>>;

/** Whoever can be reached is still down when every one of its deployments is. */
function showProvider({ name, spec }: StoredObject, served: readonly ModelObject[], health: HealthReports) {
  const { type, api_keys: keys = [] } = spec as { type: string; api_keys?: readonly ShownKey[] };
  const summary = summarise(health.reportsOn(`provider:${name}`));
  const states = served.map(({ id }) => summarise(health.reportsOn(`deployment:${id}`)).state);
  const behind = stateOf(states);
  return {
    provider: name,
    type,
    ...showFigures(summary),
    state: behind === 'unknown' ? summary.state : worse(summary.state, behind),
    reachable: summary.isReachable,
    keys: keys.map((key) => showKey(key, health)),
  };
}

function showKey({ id, hint }: ShownKey, health: HealthReports) {
  const reports = health.reportsOn(`key:${id}`);
  const summary = summarise(reports);
  const known = reports.length === 0 ? ('unknown' as const) : ('active' as const);
  return {
    id,
    hint,
    state: summary.restMs > 0 ? ('resting' as const) : known,
    resting_ms: Math.round(summary.restMs),
    headroom: summary.headroom,
    requests_per_minute: tenths(summary.requestsPerMinute),
    tokens_per_minute: tenths(summary.tokensPerMinute),
    rate_limited_per_minute: tenths(summary.rateLimitedPerMinute),
  };
}

interface ModelObject {
  readonly id: string;
  readonly model: string;
  readonly provider: string;
  readonly upstreamModel: string;
}

/** A model is whatever deployments share its name, and their ids need not begin with it: all are looked through. */
async function allModels(objects: HealthApiOptions['objects']): Promise<ModelObject[]> {
  const all: ModelObject[] = [];
  for (let after: string | undefined; ; ) {
    const rows = await objects.list({ kind: 'model', after, limit: limits.apiPageRowsMax });
    for (const { name, spec } of rows) {
      const {
        name: model,
        provider,
        model: upstreamModel,
      } = spec as Record<'name' | 'provider' | 'model', string>;
      all.push({ id: name, model, provider, upstreamModel });
    }
    if (rows.length < limits.apiPageRowsMax) return all;
    after = rows.at(-1)!.name;
  }
}

function showModel(model: string, deployments: readonly ModelObject[], health: HealthReports) {
  const shown = deployments.map(({ id, provider, upstreamModel }) => ({
    id,
    provider,
    model: upstreamModel,
    ...showFigures(summarise(health.reportsOn(`deployment:${id}`))),
  }));
  const scores = shown.flatMap(({ score }) => score ?? []);
  return {
    model,
    state: bestState(shown.map((deployment) => deployment.state)),
    score: scores.length === 0 ? null : Math.max(...scores),
    deployments: shown,
  };
}

function worse(one: HealthState, other: HealthState): HealthState {
  const known = healthStates.filter((state) => state !== 'unknown');
  return known.findLast((state) => state === one || state === other) ?? 'unknown';
}

/** A model is as well as the best of those that serve it. */
function bestState(states: readonly HealthState[]): HealthState {
  return healthStates.find((candidate) => states.includes(candidate)) ?? 'unknown';
}

function showFigures(summary: HealthSummary) {
  return {
    state: summary.state,
    score: summary.score,
    success_share: summary.successShare === null ? null : thousandths(summary.successShare),
    first_byte_ms: { p50: rounded(summary.firstByteP50Ms), p95: rounded(summary.firstByteP95Ms) },
    in_flight: summary.inFlight,
    requests_per_minute: tenths(summary.requestsPerMinute),
    tokens_per_minute: tenths(summary.tokensPerMinute),
    errors_per_minute: tenths(summary.errorsPerMinute),
    rate_limited_per_minute: tenths(summary.rateLimitedPerMinute),
    nodes: summary.nodes.map(({ ageMs, ...node }) => ({ ...node, reported_ms_ago: Math.round(ageMs) })),
  };
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000;
}
