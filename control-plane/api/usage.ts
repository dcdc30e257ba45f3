// What was asked, answered and spent: sums per day from the ledger, and single attempts newest first. Token counts are
// JSON numbers (they stay exact up to 2^53); money is text, because billionths of a dollar do not. A cost is null while
// no price is known, never 0, and `unpriced_attempts` says how many attempts a sum leaves out.
import { z } from 'zod';
import { limits } from '#shared/limits.ts';
import type { Db } from '../store/database.ts';
import {
  listAttempts,
  type StoredAttempt,
  type UsageSums,
  usageByGroup,
  usageGroups,
  usageTotals,
} from '../store/ledger-query.ts';
import { decodeCursor, pageQuery, pageSchema, toPage } from './pagination.ts';
import type { ApiPlugin } from './plugin.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

const word = z
  .string()
  .min(1)
  .max(limits.metadataValueLengthMax)
  .refine((value) => !value.includes('\0'), 'must not contain a zero byte');
const text = word.max(limits.nameLengthMax).optional();
const count = z.int();
export const costSchema = z
  .string()
  .nullable()
  .describe('Billionths of a dollar, as text; null while no price is known.');

export const tokensSchema = z
  .object({
    input: count.describe('Input at the full price: neither cached nor audio.'),
    input_cache_read: count,
    input_cache_write: count,
    input_audio: count,
    output: count.describe('Visible output: neither reasoning nor audio.'),
    output_reasoning: count,
    output_audio: count,
  })
  .describe('Disjoint: no token is counted twice, the sum is everything.');

/** As it stands in a query. */
const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional();

const sumsSchema = z.object({
  requests: count.describe('Requests of clients; each is counted at its first attempt.'),
  attempts: count.describe('Calls to providers, of which one request may need several.'),
  completed: count,
  failed: count,
  cancelled: count,
  interrupted: count,
  tokens: tokensSchema,
  cost_nanodollars: costSchema,
  unpriced_attempts: count.describe('Attempts without a known price; the cost does not contain them.'),
});

const usageSchema = z
  .object({
    totals: sumsSchema,
    group_by: z.enum(usageGroups).nullable(),
    groups: z.array(sumsSchema.extend({ group: z.string() })),
  })
  .meta({ id: 'Usage' });

const day = z.iso.date().optional();

// Strict: a misspelt filter would otherwise answer with everything.
const usageQuery = z.strictObject({
  from: day.describe('First day, in UTC.'),
  to: day.describe('Last day, in UTC.'),
  key: text.describe('Id of an API key.'),
  model: text,
  provider: text,
  route: text,
  shadow: flag.describe('`true`: copies of requests alone, which are counted nowhere else.'),
  group_by: z.enum(usageGroups).optional(),
  limit: pageQuery.shape.limit.describe('How many groups to return: the largest, or the newest days.'),
});

const requestSchema = z
  .object({
    attempt_id: z.string(),
    request_id: z.string(),
    attempt_number: count,
    node: z.string(),
    region: z.string(),
    started_at: z.string(),
    key: z.string(),
    requested_model: z.string(),
    route: z.string(),
    model: z.string(),
    deployment: z.string(),
    provider: z.string(),
    provider_key: z.string(),
    upstream_model: z.string(),
    operation: z.string(),
    streamed: z.boolean(),
    outcome: z.string(),
    upstream_status: count.describe('0 when the provider never answered.'),
    error_code: z.string(),
    duration_ms: count,
    first_byte_ms: count.describe('0 when no answer byte came.'),
    tokens: tokensSchema.nullable().describe('Null when the provider did not say.'),
    raw_usage: z.string().describe('The usage object as the provider sent it.'),
    cost_nanodollars: costSchema,
    price_version: z.string().nullable(),
    tags: z.array(z.string()).describe('Of the deployment, then of the request.'),
    metadata: z.record(z.string(), z.string()).describe('What the client said about the request.'),
    upstream_id: z.string(),
    trail: z.string().describe('Why this target was asked.'),
    shadow: z.boolean().describe('A copy of the request, whose answer nobody was given.'),
  })
  .meta({ id: 'Request' });

const outcomes = ['completed', 'failed', 'cancelled', 'interrupted'] as const;

const requestFilters = {
  ...pageQuery.shape,
  key: text.describe('Id of an API key.'),
  model: text,
  provider: text,
  outcome: z.enum(outcomes).optional(),
  request_id: text.describe('All attempts of one request.'),
  shadow: flag.describe('`true`: copies alone; `false`: none of them.'),
  from: z.iso.datetime({ offset: true }).optional(),
  to: z.iso.datetime({ offset: true }).optional().describe('Not included.'),
  tag: z
    .union([word, z.array(word).max(limits.requestTagsMax)])
    .transform((tags) => [tags].flat())
    .optional()
    .describe('A tag of the deployment or the request; given several times, all of them.'),
};

const METADATA = 'metadata.';

// The names of metadata are the client's own; everything else that is not known is refused as elsewhere.
const requestsQuery = z.looseObject(requestFilters).transform((query, context) => {
  const metadata: [name: string, text: string][] = [];
  for (const [name, value] of Object.entries(query)) {
    if (Object.hasOwn(requestFilters, name)) continue;
    const text = name.startsWith(METADATA) ? word.safeParse(value) : undefined;
    if (text?.success === true) metadata.push([name.slice(METADATA.length), text.data]);
    else if (text) context.addIssue({ code: 'custom', path: [name], message: 'has to be one text' });
    else context.addIssue({ code: 'unrecognized_keys', keys: [name], input: query });
  }
  return { ...query, metadata: Object.fromEntries(metadata) };
});

export function usageApi(db: Db): ApiPlugin {
  return async function usageRoutes(app) {
    app.get(
      '/usage',
      {
        schema: {
          tags: ['Usage'],
          summary: 'Sum up usage',
          querystring: usageQuery,
          response: { 200: usageSchema },
        },
      },
      async ({ query: { group_by: groupBy, limit, ...filter } }) => {
        const [totals, groups] = await Promise.all([
          usageTotals(db, filter),
          groupBy === undefined ? [] : usageByGroup(db, { ...filter, groupBy, limit }),
        ]);
        return {
          totals: showSums(totals),
          group_by: groupBy ?? null,
          groups: groups.map((sums) => ({ group: sums.group, ...showSums(sums) })),
        };
      },
    );

    app.get(
      '/requests',
      {
        schema: {
          tags: ['Usage'],
          summary: 'List attempts, newest first',
          querystring: requestsQuery,
          response: { 200: pageSchema(requestSchema) },
        },
      },
      async ({ query: { limit, cursor, request_id: requestId, from, to, tag, metadata, ...filter } }) => {
        const position = decodeCursor(cursor, cursorPatterns);
        const rows = await listAttempts(db, {
          key: filter.key,
          model: filter.model,
          provider: filter.provider,
          outcome: filter.outcome,
          shadow: filter.shadow,
          requestId,
          tags: tag,
          metadata,
          from: from === undefined ? undefined : new Date(from),
          to: to === undefined ? undefined : new Date(to),
          after: position && { day: dayFromNumber(Number(position[0])), attemptId: position[1]! },
          limit: limit + 1,
        });
        return toPage(rows, limit, showAttempt, (row) => [
          String(Date.parse(row.day) / DAY_MS),
          row.attempt_id,
        ]);
      },
    );
  };
}

/** Days are numbered in cursors, so that whatever a cursor says is a day. */
const cursorPatterns = [/^\d{1,6}$/, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/];

function dayFromNumber(number: number): string {
  return new Date(number * DAY_MS).toISOString().slice(0, 10);
}

type TokenColumns = Pick<StoredAttempt, keyof UsageSums & `${string}_tokens`>;

export function showTokens(row: TokenColumns): z.input<typeof tokensSchema> {
  return {
    input: Number(row.input_tokens),
    input_cache_read: Number(row.input_cache_read_tokens),
    input_cache_write: Number(row.input_cache_write_tokens),
    input_audio: Number(row.input_audio_tokens),
    output: Number(row.output_tokens),
    output_reasoning: Number(row.output_reasoning_tokens),
    output_audio: Number(row.output_audio_tokens),
  };
}

function showSums(sums: UsageSums): z.input<typeof sumsSchema> {
  return {
    requests: Number(sums.requests),
    attempts: Number(sums.attempts),
    completed: Number(sums.completed),
    failed: Number(sums.failed),
    cancelled: Number(sums.cancelled),
    interrupted: Number(sums.interrupted),
    tokens: showTokens(sums),
    cost_nanodollars: sums.cost_nanodollars?.toString() ?? null,
    unpriced_attempts: Number(sums.unpriced_attempts),
  };
}

function showAttempt(row: StoredAttempt): z.input<typeof requestSchema> {
  return {
    attempt_id: row.attempt_id,
    request_id: row.request_id,
    attempt_number: row.attempt_number,
    node: row.node_id,
    region: row.region,
    started_at: row.started_at.toISOString(),
    key: row.key_id,
    requested_model: row.requested_model,
    route: row.route,
    model: row.model,
    deployment: row.deployment,
    provider: row.provider,
    provider_key: row.provider_key,
    upstream_model: row.upstream_model,
    operation: row.operation,
    streamed: row.streamed,
    outcome: row.outcome,
    upstream_status: row.upstream_status,
    error_code: row.error_code,
    duration_ms: Number(row.duration_ms),
    first_byte_ms: Number(row.first_byte_ms),
    tokens: row.usage_known ? showTokens(row) : null,
    raw_usage: row.raw_usage,
    cost_nanodollars: row.cost_nanodollars?.toString() ?? null,
    price_version: row.price_version,
    tags: row.tags,
    metadata: row.metadata,
    upstream_id: row.upstream_id,
    trail: row.trail,
    shadow: row.shadow,
  };
}
