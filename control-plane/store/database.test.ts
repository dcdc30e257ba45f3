// A database that is away, comes back, or was taken further by a newer build.
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { openDatabase } from './database.ts';

let postgres: TestPostgres;
let databaseUrl: string;
let metrics: Metrics;
let admin: AdminApi;

beforeAll(async () => {
  postgres = await startPostgres();
  databaseUrl = await postgres.createDatabase();
  metrics = new Metrics();
  admin = await startAdminApi(databaseUrl, { metrics });
});
afterAll(async () => {
  await admin.close();
  await postgres.removeAll();
});

describe('while the database is stopped', () => {
  beforeAll(() => postgres.stop());
  afterAll(() => postgres.start());

  test.each([
    ['GET', '/providers', undefined],
    ['GET', '/keys', undefined],
    ['GET', '/revisions', undefined],
    ['GET', '/audit', undefined],
    ['POST', '/keys', { name: 'x' }],
    ['POST', '/aliases', { name: 'x', target: 'y' }],
    ['DELETE', '/aliases/x', undefined],
  ])('%s %s answers 503 and says when to try again', async (method, path, body) => {
    const answer = await admin.request(method, path, body);
    expect([answer.status, answer.body.code]).toEqual([503, 'database_unavailable']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('a wrong key is still a wrong key', async () => {
    const answer = await admin.request('GET', '/keys', undefined, { authorization: 'Bearer wrong' });
    expect(answer.status).toBe(401);
  });

  test('the control plane is alive and says that the database is down', async () => {
    expect((await fetch(`${admin.url}/livez`)).status).toBe(200);
    const database = async () =>
      ((await (await fetch(`${admin.url}/readyz`)).json()) as { database: string }).database;
    await expect.poll(database, { timeout: 10_000 }).toBe('down');
    expect(await metrics.render()).toMatch(/signalbox_database_up 0/);
  });

  test('a control plane that starts waits for it, but not for ever', async () => {
    await expect(startAdminApi(databaseUrl, { databaseWaitMsMax: 300 })).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('SIGNALBOX_DATABASE_URL'),
    });
  });
});

test('when it is back, everything works again without a restart', async () => {
  await vi.waitFor(async () => expect((await admin.request('GET', '/keys')).status).toBe(200), {
    timeout: 10_000,
  });
  expect((await admin.request('POST', '/keys', { name: 'after' })).status).toBe(201);
  const database = async () =>
    ((await (await fetch(`${admin.url}/readyz`)).json()) as { database: string }).database;
  await expect.poll(database, { timeout: 10_000 }).toBe('up');
});

test('a control plane that starts before its database comes up with it', async () => {
  await postgres.stop();
  const starting = startAdminApi(databaseUrl);
  await postgres.start();
  const late = await starting;
  expect((await late.request('GET', '/keys')).status).toBe(200);
  await late.close();
});

test('a database that a newer build has migrated is used as it is', async () => {
  const db = openDatabase(databaseUrl, (error) => createLogger('silent').debug({ err: error }, 'lost'));
  await sql`insert into kysely_migration values ('999-from-the-future', now()::text)`.execute(db);
  await db.destroy();
  const older = await startAdminApi(databaseUrl);
  expect((await older.request('GET', '/keys')).status).toBe(200);
  await older.close();
});
