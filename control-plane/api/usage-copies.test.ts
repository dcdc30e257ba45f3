// Copies of requests in the ledger, against a real Postgres: shown to whoever asks for them, and part of no sum of what clients asked.
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { encodedBatch, madeAttempt } from '#test/harness/usage.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { inLedgerTransaction } from '../store/ledger.ts';
import { ensurePartitions } from '../store/ledger-partitions.ts';
import { readMessages } from '../usage/batch.ts';
import { type Api, createApi } from './server.ts';
import { usageApi } from './usage.ts';

const ADMIN_KEY = 'the-admin-key-of-this-test';
let postgres: TestPostgres;
let db: Db;
let api: Api;
let port: number;

/** Three requests, of which two were copied to another model; one copy failed. */
function taken() {
  const attempts = [
    ...[1, 2, 3].map((index) => madeAttempt({ requestId: `req_${index}` })),
    madeAttempt({ requestId: 'req_1', model: 'next', shadow: true }),
    madeAttempt({ requestId: 'req_2', model: 'next', shadow: true, outcome: 2, usage: undefined }),
  ];
  const { batches } = readMessages([{ id: 'b', data: encodedBatch({ attempts }), deliveries: 1 }]);
  return batches.flatMap(({ records }) => records.map(({ row }) => row));
}

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.databaseUrl, () => undefined);
  await migrateToLatest(db);
  const rows = taken();
  await ensurePartitions(db, [...new Set(rows.map(({ day }) => day))]);
  // A delivery may be repeated.
  for (const _ of [1, 2]) await inLedgerTransaction(db, (ledger) => ledger.insert(rows));
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

async function get(path: string) {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  return { status: response.status, body: (await response.json()) as ReturnType<typeof JSON.parse> };
}

test.each(['/usage?group_by=model', '/usage?group_by=model&shadow=false'])(
  'the sums of %s know no copies',
  async (path) => {
    const { totals, groups } = (await get(path)).body;
    expect(totals).toMatchObject({ requests: 3, attempts: 3, failed: 0, tokens: { input: 30, output: 60 } });
    expect(groups.map(({ group }: { group: string }) => group)).toEqual(['gpt-4o']);
  },
);

test('copies have sums of their own, told the same way', async () => {
  const { totals, groups } = (await get('/usage?group_by=model&shadow=true&key=key_a')).body;
  const sums = {
    ...{ requests: 2, attempts: 2, completed: 1, failed: 1, tokens: { input: 10, output: 20 } },
    ...{ cost_nanodollars: null, unpriced_attempts: 2 },
  };
  expect(totals).toMatchObject(sums);
  expect(groups).toMatchObject([{ group: 'next', ...sums }]);
});

test.each([
  ['', [false, false, false, true, true]],
  ['&shadow=true', [true, true]],
  ['&shadow=false', [false, false, false]],
  ['&request_id=req_1', [false, true]],
  ['&request_id=req_1&shadow=true', [true]],
  ['&request_id=req_3&shadow=true', []],
])('attempts are listed with whether they were copies: %s', async (filter, expected) => {
  const { items } = (await get(`/requests?limit=500${filter}`)).body;
  expect(items.map(({ shadow }: { shadow: boolean }) => shadow).toSorted()).toEqual(expected);
});

test.each(['/usage?shadow=yes', '/requests?shadow=1', '/usage?shadow='])('%s is refused', async (path) => {
  const { status, body } = await get(path);
  expect([status, body.code]).toEqual([400, 'invalid_request']);
});

test('a build that knows no copies goes on adding to the sums', async () => {
  const tokens = ['input', 'input_cache_read', 'input_cache_write', 'input_audio'].concat([
    'output',
    'output_reasoning',
    'output_audio',
  ]);
  const columns = sql.raw(tokens.map((name) => `${name}_tokens`).join(', '));
  const zeros = sql.raw(tokens.map(() => '0').join(', '));
  await sql`
    insert into usage_daily as total
      (day, key_id, model, provider, route, requests, attempts, completed, failed, cancelled, interrupted,
       ${columns}, unpriced_attempts)
    values ('2026-03-14', 'key_a', 'gpt-4o', 'openai', '', 1, 1, 1, 0, 0, 0, ${zeros}, 1)
    on conflict (day, key_id, model, provider, route) do update set attempts = total.attempts + excluded.attempts`.execute(
    db,
  );
  expect((await get('/usage')).body.totals.attempts).toBe(4);
});
