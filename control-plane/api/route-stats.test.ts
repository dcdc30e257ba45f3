// The statistics of a route against a real Postgres, over attempts whose figures can be worked out by hand.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { SignalboxError } from '#shared/errors.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { encodedBatch, madeAttempt, someDayMs } from '#test/harness/usage.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { type AttemptRow, inLedgerTransaction } from '../store/ledger.ts';
import { ensurePartitions } from '../store/ledger-partitions.ts';
import { readMessages } from '../usage/batch.ts';
import { routeStatisticsApi } from './route-stats.ts';
import { type Api, createApi } from './server.ts';

const ADMIN_KEY = 'the-admin-key-of-this-test';
const HOUR_MS = 3_600_000;
const nowMs = someDayMs;
let postgres: TestPostgres;
let db: Db;
let api: Api;
let port: number;

const large = { model: 'large', deployment: 'large@a', provider: 'a', upstreamModel: 'large-1' };
const other = { ...large, deployment: 'large@b', provider: 'b' };
const small = { model: 'small', deployment: 'small@a', provider: 'a', upstreamModel: 'small-1' };
const failure = {
  outcome: Outcome.FAILED,
  errorCode: 'upstream_error',
  firstByteMs: 0,
  usage: undefined,
} as const;

/**
 * A hundred requests an hour ago, over fifty minutes: every fifth fails at `large@a` and is answered by `large@b`, every tenth of those
 * by `small`. One more is refused by everyone, one is left by its client; thirty are older, and ten are of another route. Four were copied
 * to `large`, where one copy failed.
 * Of a third, one request was refused after a second attempt had been made beside the first, and called off.
 */
function madeRows(): AttemptRow[] {
  const at = (index: number, hoursAgo = 2) => BigInt(nowMs - hoursAgo * HOUR_MS + index * 30_000);
  const attempt = (index: number, fields: Parameters<typeof madeAttempt>[0], hoursAgo?: number) =>
    madeAttempt({
      route: 'smart',
      requestId: `req_${hoursAgo ?? 'new'}_${index}`,
      startedAtMs: at(index, hoursAgo),
      durationMs: 1000 + index,
      firstByteMs: 100 + index,
      ...fields,
    });
  const attempts = [
    ...Array.from({ length: 100 }, (_, index) => {
      if (index % 5 !== 0) return [attempt(index, large)];
      const first = attempt(index, { ...large, ...failure });
      if (index % 50 !== 0) return [first, attempt(index, { ...other, attemptNumber: 2 })];
      const second = attempt(index, {
        ...other,
        ...failure,
        errorCode: 'upstream_rate_limited',
        attemptNumber: 2,
      });
      return [first, second, attempt(index, { ...small, attemptNumber: 3 })];
    }).flat(),
    attempt(100, { ...large, ...failure }),
    attempt(101, { ...large, outcome: Outcome.CANCELLED, usage: undefined }),
    ...Array.from({ length: 4 }, (_, index) =>
      attempt(index, { ...large, shadow: true, ...(index === 0 ? failure : {}) }),
    ),
    ...Array.from({ length: 30 }, (_, index) => attempt(index, small, 40)),
    attempt(110, { ...large, ...failure, route: 'hedged' }),
    attempt(110, {
      ...other,
      route: 'hedged',
      attemptNumber: 2,
      outcome: Outcome.CANCELLED,
      errorCode: 'hedge_lost',
    }),
    ...Array.from({ length: 10 }, (_, index) => attempt(200 + index, { ...small, route: 'another' })),
  ];
  const { batches } = readMessages([{ id: 'b', data: encodedBatch({ attempts }), deliveries: 1 }]);
  return batches.flatMap(({ records }) => records.map(({ row }) => row));
}

beforeAll(async () => {
  postgres = await startPostgres();
  db = openDatabase(postgres.databaseUrl, () => undefined);
  await migrateToLatest(db);
  const rows = madeRows();
  await ensurePartitions(db, [...new Set(rows.map(({ day }) => day))]);
  await inLedgerTransaction(db, (ledger) => ledger.insert(rows));
  const get = async ({ name }: { name: string }) => {
    if (['smart', 'quiet', 'hedged'].includes(name)) return {} as never;
    throw new SignalboxError('not_found', `There is no route "${name}".`);
  };
  const clock = { wallMs: () => nowMs, monotonicMs: () => 0 };
  api = await createApi({
    adminKey: new Secret(ADMIN_KEY),
    health: () => ({ status: 'ready', revision: 1, database: 'up' }),
    metrics: new Metrics(),
    log: createLogger('silent'),
    plugins: [routeStatisticsApi({ db, objects: { get }, clock })],
  });
  ({ port } = await api.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await api.close();
  await db.destroy();
  await postgres.removeAll();
});

async function read(path: string) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  return { status: response.status, body: (await response.json()) as ReturnType<typeof JSON.parse> };
}

test('requests are counted apart from attempts, and told how they ended', async () => {
  const { body } = await read('/api/v1/routes/smart/stats');
  expect(body).toMatchObject({
    route: 'smart',
    hours: 24,
    from: new Date(nowMs - 24 * HOUR_MS).toISOString(),
    to: new Date(nowMs).toISOString(),
    requests: 102,
    success_share: 0.9901, // 100 of 101: one was left by its client
    failover_share: 0.1961, // 20 of 102
    totals: { attempts: 124, cost_nanodollars: null, unpriced_attempts: 124 },
  });
  expect(body.totals.errors).toEqual({ upstream_error: 21, upstream_rate_limited: 2 });
  expect(body.totals.tokens).toMatchObject({ input: 1000, output: 2000 });
});

test('an attempt that another made unnecessary was not left by its client', async () => {
  const { body } = await read('/api/v1/routes/hedged/stats');
  expect(body).toMatchObject({ requests: 1, success_share: 0, totals: { attempts: 2 } });
});

test('members and their deployments share the traffic, the busiest first', async () => {
  const { members } = (await read('/api/v1/routes/smart/stats')).body;
  expect(members.map(({ model }: { model: string }) => model)).toEqual(['large', 'small']);
  const [first, second] = members;
  expect(first).toMatchObject({ attempts: 122, traffic_share: 0.9839, success_share: 0.8099 });
  expect(first.errors).toEqual({ upstream_error: 21, upstream_rate_limited: 2 });
  expect(first.deployments).toMatchObject([
    {
      deployment: 'large@a',
      provider: 'a',
      upstream_model: 'large-1',
      attempts: 102,
      traffic_share: 0.8226,
      success_share: 0.7921,
      errors: { upstream_error: 21 },
    },
    { deployment: 'large@b', attempts: 20, success_share: 0.9, errors: { upstream_rate_limited: 2 } },
  ]);
  expect(second).toMatchObject({ attempts: 2, success_share: 1, errors: {}, tokens: { input: 20 } });
});

test('copies are no traffic and are told apart', async () => {
  const { copies } = (await read('/api/v1/routes/smart/stats')).body;
  expect(copies).toMatchObject([
    {
      model: 'large',
      attempts: 4,
      success_share: 0.75,
      tokens: { input: 30, output: 60 },
      errors: { upstream_error: 1 },
      duration_ms: { p50: 1002 },
    },
  ]);
});

test('percentiles are those of the attempts themselves', async () => {
  const { members } = (await read('/api/v1/routes/smart/stats')).body;
  // Of 1000 and 1050 ms: between two values Postgres goes straight from one to the other.
  expect(members[1].duration_ms).toEqual({ p50: 1025, p95: 1048, p99: 1050 });
  expect(members[1].first_byte_ms).toEqual({ p50: 125, p95: 148, p99: 150 });
});

test('the window bounds what is counted, days back as well', async () => {
  const { body } = await read('/api/v1/routes/smart/stats?hours=48');
  expect(body).toMatchObject({ hours: 48, requests: 132 });
  expect(body.members[1]).toMatchObject({ model: 'small', attempts: 32 });
  expect((await read('/api/v1/routes/smart/stats?hours=1')).body.requests).toBe(0);
});

test('a route that nobody asked has no shares, which is something else than none', async () => {
  const { status, body } = await read('/api/v1/routes/quiet/stats');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    requests: 0,
    success_share: null,
    failover_share: null,
    members: [],
    copies: [],
  });
  expect(body.totals).toMatchObject({ attempts: 0, duration_ms: null, cost_nanodollars: null, errors: {} });
});

test('is found without the version too', async () => {
  const [ours, theirs] = await Promise.all(
    ['/api/v1', '/api'].map((prefix) => read(`${prefix}/routes/smart/stats?hours=3`)),
  );
  expect(theirs).toEqual(ours);
});

test.each([
  ['/api/v1/routes/nobody/stats', 404, 'not_found'],
  ['/api/v1/routes/smart/stats?hours=169', 400, 'invalid_request'],
  ['/api/v1/routes/smart/stats?hours=0', 400, 'invalid_request'],
  ["/api/v1/routes/smart/stats?hours=1'--", 400, 'invalid_request'],
  ['/api/v1/routes/smart/stats?horus=2', 400, 'invalid_request'],
  ["/api/v1/routes/'%3B%20drop%20table%20attempts%3B--/stats", 404, 'not_found'],
])('%s is refused with %i', async (path, status, code) => {
  const answer = await read(path);
  expect([answer.status, answer.body.code]).toEqual([status, code]);
});
