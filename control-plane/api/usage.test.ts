import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { encodedBatch, madeAttempt, someDayMs } from '#test/harness/usage.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { type AttemptRow, inLedgerTransaction } from '../store/ledger.ts';
import { ensurePartitions } from '../store/ledger-partitions.ts';
import { readMessages } from '../usage/batch.ts';
import { type Api, createApi } from './server.ts';
import { usageApi } from './usage.ts';

const ADMIN_KEY = 'the-admin-key-of-this-test';
const DAY_MS = 86_400_000;
const COUNT = 90;
const big = Number.MAX_SAFE_INTEGER;
let postgres: TestPostgres;
let db: Db;
let api: Api;
let port: number;
let rows: AttemptRow[];

/** 90 attempts over three days: two keys, three models, every tenth failed; ids grow with the time, as in life. */
function madeRows(): AttemptRow[] {
  const attempts = Array.from({ length: COUNT }, (_, index) =>
    madeAttempt({
      startedAtMs: BigInt(someDayMs + Math.floor(index / 30) * DAY_MS + index),
      keyId: `key_${index % 2}`,
      model: `model-${index % 3}`,
      requestId: `req_${Math.floor(index / 2)}`,
      attemptNumber: 1 + (index % 2),
      outcome: index % 10 === 0 ? 2 : 1,
      tags: ['chat', `batch-${index % 9}`],
      metadata: index % 2 === 0 ? { feature: 'search', user: `u${index % 4}` } : {},
    }),
  );
  const { batches } = readMessages([{ id: 'b', data: encodedBatch({ attempts }), deliveries: 1 }]);
  return batches.flatMap(({ records }) => records.map(({ row }) => row));
}

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.databaseUrl, () => undefined);
  await migrateToLatest(db);
  rows = madeRows();
  await ensurePartitions(db, [...new Set(rows.map(({ day }) => day))]);
  await inLedgerTransaction(db, (ledger) => ledger.insert(rows));
  api = await createApi({
    adminKey: new Secret(ADMIN_KEY),
    health: () => ({ status: 'ready', revision: 1, database: 'up' }),
    metrics: new Metrics(),
    log: createLogger('silent'),
    plugins: [usageApi(db)],
  });
  ({ port } = await api.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await api.close();
  await db.destroy();
  await postgres.removeAll();
});

interface Body {
  readonly code?: string;
  readonly totals: Readonly<Record<string, unknown>>;
  readonly groups: readonly { readonly group: string; readonly attempts: number }[];
  readonly items: readonly { readonly attempt_id: string }[];
  readonly next_cursor: string | null;
}

async function get(path: string): Promise<{ status: number; body: Body }> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  return { status: response.status, body: (await response.json()) as Body };
}

describe('totals', () => {
  test('add up everything, with an unknown cost as null and never 0', async () => {
    const { status, body } = await get('/usage');
    expect(status).toBe(200);
    expect(body).toEqual({
      totals: {
        requests: 45,
        attempts: 90,
        completed: 81,
        failed: 9,
        cancelled: 0,
        interrupted: 0,
        tokens: {
          input: 900,
          input_cache_read: 0,
          input_cache_write: 0,
          input_audio: 0,
          output: 1800,
          output_reasoning: 0,
          output_audio: 0,
        },
        cost_nanodollars: null,
        unpriced_attempts: 90,
      },
      group_by: null,
      groups: [],
    });
  });

  test.each([
    ['key', ['key_0', 'key_1'], 45],
    ['model', ['model-0', 'model-1', 'model-2'], 30],
    ['provider', ['openai'], 90],
    ['route', [''], 90],
    ['day', ['2026-03-16', '2026-03-15', '2026-03-14'], 30],
  ])('are grouped by %s', async (groupBy, names, attempts) => {
    const { body } = await get(`/usage?group_by=${groupBy}`);
    expect(body.groups.map((group) => [group.group, group.attempts])).toEqual(
      names.map((name) => [name, attempts]),
    );
  });

  test('are filtered by days, both included, and by name', async () => {
    const { body } = await get('/usage?from=2026-03-15&to=2026-03-15&key=key_1&model=model-0&group_by=day');
    expect(body.totals.attempts).toBe(5);
    expect(body.groups).toMatchObject([{ group: '2026-03-15', attempts: 5 }]);
    expect((await get('/usage?from=2027-01-01')).body.totals).toMatchObject({
      attempts: 0,
      cost_nanodollars: null,
    });
  });

  test('stay exact beyond what a floating-point number of dollars could hold', async () => {
    const values = { requests: 0, attempts: 0, completed: 0, failed: 0, cancelled: 0, interrupted: 0 };
    await sumsWith({ ...values, cost_nanodollars: 2n ** 62n, input_tokens: BigInt(big) });
    const { body } = await get('/usage?key=key_rich');
    expect(body.totals).toMatchObject({ cost_nanodollars: (2n ** 62n).toString(), tokens: { input: big } });
  });

  function sumsWith(values: Record<string, bigint | number>): Promise<unknown> {
    const zero = Object.fromEntries(
      [
        'input',
        'input_cache_read',
        'input_cache_write',
        'input_audio',
        'output',
        'output_reasoning',
        'output_audio',
      ].map((name) => [`${name}_tokens`, 0]),
    );
    const names = {
      day: '2020-01-01',
      key_id: 'key_rich',
      model: 'm',
      provider: 'p',
      route: '',
      unpriced_attempts: 0,
    };
    return db
      .insertInto('usage_daily')
      .values({ ...names, ...zero, ...values } as never)
      .execute();
  }
});

describe('requests', () => {
  test('are listed newest first, page by page, each once', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await get(`/requests?limit=20${cursor && `&cursor=${cursor}`}`);
      seen.push(...body.items.map((item) => item.attempt_id));
      cursor = body.next_cursor ?? '';
    } while (cursor !== '');
    expect(seen).toEqual(rows.map(({ attempt_id: id }) => id).toReversed());
  });

  test('tell everything about an attempt', async () => {
    const { body } = await get('/requests?limit=1');
    expect(body.items).toEqual([
      {
        attempt_id: rows.at(-1)!.attempt_id,
        request_id: 'req_44',
        attempt_number: 2,
        node: 'node_a',
        region: 'eu',
        started_at: rows.at(-1)!.started_at,
        key: 'key_1',
        requested_model: 'fast',
        route: '',
        model: 'model-2',
        deployment: 'gpt-4o@openai',
        provider: 'openai',
        provider_key: 'openai/0',
        upstream_model: 'gpt-4o-2024-11-20',
        operation: 'openai-chat',
        streamed: true,
        outcome: 'completed',
        upstream_status: 200,
        error_code: '',
        duration_ms: 800,
        first_byte_ms: 300,
        tokens: {
          input: 10,
          input_cache_read: 0,
          input_cache_write: 0,
          input_audio: 0,
          output: 20,
          output_reasoning: 0,
          output_audio: 0,
        },
        raw_usage: '{"prompt_tokens":10,"completion_tokens":20}',
        cost_nanodollars: null,
        price_version: null,
        tags: ['chat', 'batch-8'],
        metadata: {},
        upstream_id: 'chatcmpl-1',
        trail: 'priority 1',
        shadow: false,
      },
    ]);
  });

  test.each([
    ['key=key_1', 45],
    ['model=model-1', 30],
    ['provider=nobody', 0],
    ['outcome=failed', 9],
    ['request_id=req_7', 2],
    ['tag=chat', 90],
    ['tag=batch-3', 10],
    ['tag=chat&tag=batch-3', 10],
    ['tag=batch-2&tag=batch-3', 0],
    ['metadata.feature=search', 45],
    ['metadata.feature=search&metadata.user=u2', 22],
    ['metadata.feature=search&tag=batch-0&key=key_0', 5],
    ['metadata.feature=sear', 0],
    ['metadata.Feature=search', 0],
    ['metadata.__proto__=search', 0],
    ["metadata.x'%22%5D=1", 0],
    ['from=2026-03-15T00:00:00Z&to=2026-03-16T00:00:00Z', 30],
    ['from=2026-03-15T02:00:00%2B02:00&to=2026-03-16T00:00:00Z&outcome=failed&key=key_0', 3],
  ])('are filtered by %s', async (filter, count) => {
    expect((await get(`/requests?limit=500&${filter}`)).body.items).toHaveLength(count);
  });

  test.each([
    'cursor=nonsense',
    'outcome=lost',
    'from=yesterday',
    'model=%00',
    'tag=%00',
    'tag=',
    'tags=chat',
    'metadata=search',
    'metadata.feature=a&metadata.feature=b',
    'metadata.feature=%00',
    'limit=0',
    'limit=100000',
    'colour=red',
  ])('refuse %s', async (query) => {
    const { status, body } = await get(`/requests?${query}`);
    expect([status, body.code]).toEqual([400, 'invalid_request']);
  });
});
