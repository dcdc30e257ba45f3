// What holds for every change, however many replicas make them: one order, no gaps, nothing half done, no secret anywhere.
import { Writable } from 'node:stream';
import { fromBinary } from '@bufbuild/protobuf';
import { sql } from 'kysely';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProviderSchema, ResourceType, SecretSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { openBox } from '#shared/crypto/box.ts';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { loadFleetKey } from '../secrets/provider-secrets.ts';
import { revisionChannel } from '../store/changes.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.removeAll());

describe('replicas', () => {
  let databaseUrl: string;
  let replicas: AdminApi[];

  beforeAll(async () => {
    databaseUrl = await postgres.createDatabase();
    // All at once on an empty database: they migrate it and make its secrets together.
    replicas = await Promise.all(Array.from({ length: 4 }, () => startAdminApi(databaseUrl, { demo: true })));
  });
  afterAll(() => Promise.all(replicas.map((replica) => replica.close())));

  test('that start together on an empty database all come up, with one set of everything', async () => {
    for (const replica of replicas) {
      const { body } = await replica.request('GET', '/models');
      expect(body.items).toHaveLength(4);
    }
    const { body } = await replicas[0]!.request('GET', '/revisions');
    expect(body.items.map((item: { revision: number }) => item.revision)).toEqual([1]);
  });

  test('changing at once make revisions without gaps, and a reader sees them in order', async () => {
    const heard: number[] = [];
    const seen: bigint[] = [];
    const listener = new pg.Client({ connectionString: databaseUrl });
    await listener.connect();
    listener.on('notification', ({ payload }) => heard.push(Number(payload)));
    await listener.query(`listen ${revisionChannel}`);
    const { db } = replicas[0]!.core;
    const newest = async () => {
      const row = await db.selectFrom('configuration_head').select('revision').executeTakeFirstOrThrow();
      const top = await db
        .selectFrom('resources')
        .select((resource) => resource.fn.max('version').as('version'))
        .executeTakeFirstOrThrow();
      seen.push(row.revision);
      // Whoever sees a revision sees everything that belongs to it.
      expect(BigInt(top.version!)).toBeGreaterThanOrEqual(row.revision);
    };

    const start = Number(
      (await db.selectFrom('configuration_head').select('revision').executeTakeFirstOrThrow()).revision,
    );
    const changes = 60;
    let done = false;
    const reading = (async () => {
      while (!done) await newest();
    })();
    const answers = await Promise.all(
      Array.from({ length: changes }, (_, index) =>
        replicas[index % replicas.length]!.request('POST', '/keys', { name: `key ${index}` }),
      ),
    );
    done = true;
    await reading;
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    const expected = Array.from({ length: changes }, (_, index) => start + 1 + index);
    expect(answers.map((answer) => answer.body.revision).toSorted((a, b) => a - b)).toEqual(expected);
    await expect.poll(() => heard.length).toBe(changes);
    expect(heard).toEqual(expected);
    expect(seen).toEqual(seen.toSorted((a, b) => Number(a - b)));
    await listener.end();
  });

  test('racing for one name: one creates it, the others are told that it exists', async () => {
    const answers = await Promise.all(
      replicas.map((replica) => replica.request('POST', '/aliases', { name: 'contested', target: 'demo' })),
    );
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([201, 409, 409, 409]);
  });

  test('a change that is refused leaves nothing behind', async () => {
    const { db } = replicas[0]!.core;
    const everything = async () => {
      const { rows } = await sql<{ state: string }>`
        select (select revision from configuration_head)::text || '/' || (select count(*) from audit) || '/' ||
          (select count(*) from resources) || '/' || (select count(*) from provider_secrets) as state`.execute(
        db,
      );
      return rows[0]!.state;
    };
    const before = await everything();
    const provider = {
      name: 'p',
      type: 'openai',
      api_keys: ['sk-same-same-same-same', 'sk-same-same-same-same'],
    };
    const answer = await replicas[0]!.request('POST', '/providers', provider);
    expect([answer.status, answer.body.problems[0].path]).toEqual([422, 'api_keys[1]']);
    expect(await everything()).toBe(before);
  });

  test('a replica with another encryption key is refused before it writes anything', async () => {
    const wrong = startAdminApi(databaseUrl, { encryptionKey: undefined });
    await expect(wrong).rejects.toMatchObject({
      code: 'invalid_configuration',
      message: expect.stringContaining('SIGNALBOX_ENCRYPTION_KEY'),
    });
  });
});

describe('provider credentials', () => {
  const secret = 'sk-TOPSECRET-1-abcdefghijklmnop-wxyz';
  const second = 'sk-TOPSECRET-2-abcdefghijklmnop-1234';
  const log: string[] = [];
  const shown: string[] = [];
  let admin: AdminApi;

  beforeAll(async () => {
    const sink = new Writable({
      write(chunk, _encoding, done) {
        log.push(String(chunk));
        done();
      },
    });
    // Without the product's own redaction: nothing may rely on it.
    admin = await startAdminApi(await postgres.createDatabase(), { log: pino({ level: 'trace' }, sink) });
  });
  afterAll(() => admin.close());

  async function call(method: string, path: string, body?: unknown) {
    const answer = await admin.request(method, path, body, { 'if-match': '*' });
    shown.push(answer.text, JSON.stringify([...answer.headers]));
    return answer;
  }

  test('are shown as an id and a hint, and can be kept, reordered and limited by id', async () => {
    const made = await admin.request('POST', '/providers', {
      name: 'openai',
      api_keys: [secret, { key: second, weight: 3 }],
    });
    expect(made.status, made.text).toBe(201);
    shown.push(made.text);
    const [one, two] = made.body.api_keys;
    expect([one.hint, two.hint]).toEqual(['…wxyz', '…1234']);
    const patched = await call('PATCH', '/providers/openai', {
      api_keys: [{ id: two.id, rpm: 5 }, { id: one.id }],
    });
    expect(patched.body.api_keys).toEqual([
      { id: two.id, hint: '…1234', weight: 1, rpm: 5, tpm: 0 },
      { id: one.id, hint: '…wxyz', weight: 1, rpm: 0, tpm: 0 },
    ]);
    const again = await call('PATCH', '/providers/openai', { api_keys: [{ key: second, rpm: 5 }, secret] });
    expect(again.body.revision).toBe(patched.body.revision);
  });

  test('of another provider cannot be used by naming their id', async () => {
    const { body } = await call('GET', '/providers/openai');
    const stolen = { name: 'other', type: 'openai', api_keys: [{ id: body.api_keys[0].id }] };
    const answer = await admin.request('POST', '/providers', stolen);
    expect([answer.status, answer.body.problems[0].path]).toEqual([422, 'api_keys[0].id']);
  });

  test('reach data planes only under the key of the fleet', async () => {
    const { db, fleetSecrets } = admin.core;
    const fleetKey = await loadFleetKey(fleetSecrets);
    const rows = await db.selectFrom('resources').selectAll().where('payload', 'is not', null).execute();
    const provider = rows.find((row) => row.type === ResourceType.PROVIDER)!;
    const opened = fromBinary(ProviderSchema, provider.payload!).keys.map(({ secret: name }) => {
      const row = rows.find((each) => each.type === ResourceType.SECRET && each.name === name)!;
      const { id, keyId, box } = fromBinary(SecretSchema, row.payload!);
      expect(keyId).toBe(fleetKey.id);
      return openBox(fleetKey.key, box, `${id}|${keyId}`).toString();
    });
    expect(opened.toSorted()).toEqual([secret, second].toSorted());
  });

  test('appear in no answer, no log line and no column, not even when a request goes wrong', async () => {
    await call('GET', '/providers');
    await call('POST', '/providers', { name: 'openai', api_keys: [secret] });
    await call('POST', '/providers', { name: 'bad name', type: 'openai', api_keys: [secret] });
    await call('POST', '/providers', {
      name: 'n',
      type: 'openai',
      api_keys: [{ key: secret, weight: secret }],
    });
    await call('POST', '/providers', { name: 'n', type: 'openai', api_keys: secret });
    await call('POST', '/providers', { name: 'n', type: 'no-such-type', api_keys: [secret] });
    await call('PATCH', '/providers/openai', { base_url: 'ftp://x', api_keys: [secret] });
    await call('GET', '/audit');
    await call('GET', '/revisions');
    for (const text of [...shown, ...log]) expect(text).not.toContain('TOPSECRET');
    expect(log.length).toBeGreaterThan(3);
    expect(await columnsHolding(admin, 'TOPSECRET')).toEqual([]);
    // The search finds what is there.
    expect((await columnsHolding(admin, '…wxyz')).length).toBeGreaterThan(0);
  });

  test('leave the database with their provider', async () => {
    expect((await call('DELETE', '/providers/openai')).status).toBe(204);
    const { db } = admin.core;
    expect(await db.selectFrom('provider_secrets').selectAll().execute()).toEqual([]);
    const left = await db.selectFrom('resources').select('name').where('payload', 'is not', null).execute();
    expect(left.map((row) => row.name)).toEqual(['api-key-pepper']);
  });
});

/** Looks for a text in every column of every table, and in the bytes of binary ones. */
async function columnsHolding(admin: AdminApi, needle: string): Promise<string[]> {
  const { db } = admin.core;
  const { rows: columns } = await sql<{ table: string; column: string; type: string }>`
    select table_name as "table", column_name as "column", data_type as "type"
    from information_schema.columns where table_schema = 'public'`.execute(db);
  const found: string[] = [];
  for (const { table, column, type } of columns) {
    const text = type === 'bytea' ? sql`encode(${sql.ref(column)}, 'escape')` : sql`${sql.ref(column)}::text`;
    const { rows } =
      await sql`select 1 from ${sql.table(table)} where strpos(${text}, ${needle}) > 0`.execute(db);
    if (rows.length > 0) found.push(`${table}.${column}`);
  }
  return found;
}
