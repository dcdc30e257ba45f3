// API keys over HTTP: shown once, listed by prefix, changed, revoked.
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiKeySchema, ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import { isWellFormedApiKey } from '#shared/crypto/api-key.ts';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';

let postgres: TestPostgres;
let admin: AdminApi;

beforeAll(async () => {
  postgres = await startPostgres();
  admin = await startAdminApi(await postgres.createDatabase());
});
afterAll(async () => {
  await admin.close();
  await postgres.removeAll();
});

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

async function create(body: object = { name: 'a key' }) {
  const answer = await admin.request('POST', '/keys', body);
  expect(answer.status, answer.text).toBe(201);
  return answer;
}

async function resourceOf(id: string) {
  const row = await admin.core.db
    .selectFrom('resources')
    .select('payload')
    .where('type', '=', ResourceType.API_KEY)
    .where('name', '=', id)
    .executeTakeFirstOrThrow();
  return row.payload && fromBinary(ApiKeySchema, row.payload);
}

describe('a new key', () => {
  test('is well formed, shown once, and recognised by its first characters afterwards', async () => {
    const { body } = await create({
      name: 'once',
      models: ['gpt-*'],
      metadata: { team: 'blue' },
      expires_at: inAnHour(),
    });
    expect(isWellFormedApiKey(body.key)).toBe(true);
    const read = await admin.request('GET', `/keys/${body.id}`);
    const { key, ...rest } = body;
    expect(read.body).toEqual(rest);
    expect(key).toContain(read.body.visible);
    const list = await admin.request('GET', '/keys');
    for (const { text } of [read, list]) expect(text).not.toContain(key);
  });

  test('reaches data planes with everything they need to decide about it', async () => {
    const expires_at = inAnHour();
    const wanted = { name: 'told', models: ['m'], metadata: { a: 'b' }, drop_unsupported: true };
    const { body } = await create({ ...wanted, queue_priority: 0, expires_at });
    expect(await resourceOf(body.id)).toMatchObject({
      id: body.id,
      name: 'told',
      models: ['m'],
      metadata: { a: 'b' },
      dropUnsupported: true,
      queuePriority: 0,
      expiresAtMs: BigInt(Date.parse(expires_at)),
    });
  });

  test.each([
    ['without a name', {}, 'name'],
    ['with an empty name', { name: ' ' }, 'name'],
    ['that has expired already', { name: 'x', expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['with a date that is none', { name: 'x', expires_at: 'tomorrow' }, 'expires_at'],
    ['with metadata that is not text', { name: 'x', metadata: { a: 1 } }, 'metadata.a'],
    ['with a switch that is none', { name: 'x', drop_unsupported: 'yes' }, 'drop_unsupported'],
    ['with an urgency beyond the scale', { name: 'x', queue_priority: 10 }, 'queue_priority'],
    ['with an urgency between two', { name: 'x', queue_priority: 1.5 }, 'queue_priority'],
    ['with an urgency in words', { name: 'x', queue_priority: 'high' }, 'queue_priority'],
    ['with an unknown field', { name: 'x', model: ['m'] }, 'model'],
  ])('%s is refused', async (_what, body, path) => {
    const answer = await admin.request('POST', '/keys', body);
    expect([answer.status, answer.body.problems[0].path]).toEqual([400, path]);
  });
});

describe('revoking', () => {
  test('takes the key from data planes and keeps it in the list', async () => {
    const { body } = await create();
    expect((await admin.request('DELETE', `/keys/${body.id}`)).status).toBe(204);
    expect(await resourceOf(body.id)).toBeNull();
    expect((await admin.request('GET', `/keys/${body.id}`)).body).toMatchObject({ status: 'revoked' });
    expect(await admin.core.keys.exists(body.id)).toBe(false);
  });

  test('twice is the same as once, and makes one revision', async () => {
    const { body } = await create();
    const revision = async () => (await admin.request('GET', '/revisions?limit=1')).body.items[0].revision;
    await admin.request('DELETE', `/keys/${body.id}`);
    const after = await revision();
    expect((await admin.request('DELETE', `/keys/${body.id}`)).status).toBe(204);
    expect(await revision()).toBe(after);
  });

  test('a key that never was is not found', async () => {
    expect((await admin.request('DELETE', '/keys/key_000000')).status).toBe(404);
  });

  test('can be made to depend on what was seen', async () => {
    const { body } = await create();
    const stale = await admin.request('DELETE', `/keys/${body.id}`, undefined, { 'if-match': '"1"' });
    expect(stale.status).toBe(412);
  });

  test('ends all changes', async () => {
    const { body } = await create();
    await admin.request('DELETE', `/keys/${body.id}`);
    const answer = await admin.request('PATCH', `/keys/${body.id}`, { name: 'b' }, { 'if-match': '*' });
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
  });
});

describe('changing', () => {
  test('touches what is named and nothing else', async () => {
    const { body, headers } = await create({
      name: 'before',
      models: ['m'],
      metadata: { a: 'b' },
      expires_at: inAnHour(),
    });
    const ifMatch = { 'if-match': headers.get('etag')! };
    const changed = await admin.request(
      'PATCH',
      `/keys/${body.id}`,
      { name: 'after', expires_at: null },
      ifMatch,
    );
    expect(changed.status, changed.text).toBe(200);
    expect(changed.body).toMatchObject({
      name: 'after',
      models: ['m'],
      metadata: { a: 'b' },
      expires_at: null,
    });
    expect(await resourceOf(body.id)).toMatchObject({ name: 'after', expiresAtMs: 0n });
    const again = await admin.request('PATCH', `/keys/${body.id}`, { name: 'late' }, ifMatch);
    expect(again.status).toBe(412);
  });

  test('whether it goes without what cannot be asked reaches data planes', async () => {
    const { body, headers } = await create({ name: 'strict' });
    expect([body.drop_unsupported, (await resourceOf(body.id))?.dropUnsupported]).toEqual([false, false]);
    const ifMatch = { 'if-match': headers.get('etag')! };
    const changed = await admin.request('PATCH', `/keys/${body.id}`, { drop_unsupported: true }, ifMatch);
    expect(changed.body).toMatchObject({ name: 'strict', drop_unsupported: true });
    expect((await resourceOf(body.id))?.dropUnsupported).toBe(true);
  });

  test('how urgent its requests are reaches data planes with a revision of its own', async () => {
    const { body, headers } = await create({ name: 'usual' });
    expect([body.queue_priority, (await resourceOf(body.id))?.queuePriority]).toEqual([5, 5]);
    const ifMatch = { 'if-match': headers.get('etag')! };
    const changed = await admin.request('PATCH', `/keys/${body.id}`, { queue_priority: 0 }, ifMatch);
    expect(changed.body).toMatchObject({ name: 'usual', queue_priority: 0 });
    expect(changed.body.revision).toBeGreaterThan(body.revision);
    expect((await resourceOf(body.id))?.queuePriority).toBe(0);
    const later = { 'if-match': changed.headers.get('etag')! };
    const renamed = await admin.request('PATCH', `/keys/${body.id}`, { name: 'urgent' }, later);
    expect(renamed.body.queue_priority).toBe(0);
    const { text } = await admin.request('GET', '/audit?limit=2');
    expect(text).toContain('"queue_priority":0');
  });

  test('to an urgency beyond the scale is a problem that names it and says what would do', async () => {
    const { body } = await create();
    const ifMatch = { 'if-match': '*' };
    const answer = await admin.request('PATCH', `/keys/${body.id}`, { queue_priority: 12 }, ifMatch);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(answer.body.problems).toEqual([{ path: 'queue_priority', message: 'must be at most 9; got 12' }]);
    expect((await admin.request('GET', `/keys/${body.id}`)).body.queue_priority).toBe(5);
  });

  test('to what it already is makes no revision', async () => {
    const { body, headers } = await create({ name: 'same', metadata: { z: '1', a: '2' } });
    const etag = headers.get('etag')!;
    const patch = { name: 'same', metadata: { a: '2', z: '1' } };
    const answer = await admin.request('PATCH', `/keys/${body.id}`, patch, { 'if-match': etag });
    expect(answer.headers.get('etag')).toBe(etag);
  });

  test('needs the ETag', async () => {
    const { body } = await create();
    expect((await admin.request('PATCH', `/keys/${body.id}`, { name: 'x' })).status).toBe(428);
  });
});

describe('the list', () => {
  test('goes page by page, newest first, without repeating what arrives meanwhile', async () => {
    const names = ['p1', 'p2', 'p3', 'p4', 'p5'].map((name) => `paged-${name}`);
    for (const name of names) await create({ name });
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await admin.request(
        'GET',
        `/keys?search=paged-&limit=2${cursor && `&cursor=${cursor}`}`,
      );
      seen.push(...body.items.map((item: { name: string }) => item.name));
      cursor = body.next_cursor ?? '';
      await create({ name: 'paged-newcomer' });
    } while (cursor !== '');
    expect(seen).toEqual(names.toReversed());
  });

  test('can be narrowed to a status', async () => {
    const { body: active } = await create({ name: 'state' });
    const { body: revoked } = await create({ name: 'state' });
    await admin.request('DELETE', `/keys/${revoked.id}`);
    const ids = async (status: string) => {
      const { body } = await admin.request('GET', `/keys?search=state&status=${status}`);
      return body.items.map((item: { id: string }) => item.id);
    };
    expect(await ids('active')).toEqual([active.id]);
    expect(await ids('revoked')).toEqual([revoked.id]);
    expect(await ids('expired')).toEqual([]);
  });

  test('refuses a cursor that is not its own', async () => {
    for (const cursor of [
      'x',
      'W10',
      Buffer.from('["1"]').toString('base64url'),
      Buffer.from('["a","b"]').toString('base64url'),
    ]) {
      expect((await admin.request('GET', `/keys?cursor=${cursor}`)).status, cursor).toBe(400);
    }
  });
});
