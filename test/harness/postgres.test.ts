// The database of the other tests keeps its promises: its address survives stopping, freezing and crashing.
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startPostgres, type TestPostgres } from './postgres.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.removeAll());

async function query(url: string, text: string, withinMs = 10_000): Promise<Record<string, unknown>[]> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: withinMs,
    query_timeout: withinMs,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('each database is fresh and keeps its data while the server is stopped, started and killed', async () => {
  const [one, other] = [await postgres.createDatabase(), await postgres.createDatabase()];
  await query(one, 'CREATE TABLE kept AS SELECT 1 AS answer');
  await expect(query(other, 'SELECT answer FROM kept')).rejects.toThrow(/does not exist/);

  await postgres.stop();
  await expect(query(one, 'SELECT 1')).rejects.toThrow();
  await postgres.start();
  expect(await query(one, 'SELECT answer FROM kept')).toEqual([{ answer: 1 }]);

  await query(one, 'UPDATE kept SET answer = 2');
  postgres.kill('SIGKILL');
  await vi.waitFor(() => expect(postgres.pid).toBe(0));
  await postgres.start();
  expect(await query(one, 'SELECT answer FROM kept')).toEqual([{ answer: 2 }]);
});

test('a frozen server answers nobody until it is woken', async () => {
  const url = await postgres.createDatabase();
  postgres.kill('SIGSTOP');
  await expect(query(url, 'SELECT 1', 300)).rejects.toThrow(/timeout/i);
  postgres.kill('SIGCONT');
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});
