// One behaviour suite for every kind of configuration object, run over HTTP against a real database.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { kinds, type ObjectKind } from '../domain/kinds.ts';

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

type Fields = Record<string, unknown>;
interface Example {
  /** A complete object of this name. */
  readonly make: (name: string) => Fields;
  /** A change that is allowed, and one that is not. */
  readonly change: Fields;
  readonly invalid: Fields;
  readonly invalidPath: string;
}

/** Everything refers to the provider `base` and the model `base-model`, which always exist. */
const examples: Record<ObjectKind, Example> = {
  provider: {
    make: (name) => ({ name, type: 'openai', api_keys: ['sk-0123456789abcdefghij'] }),
    change: { model_patterns: ['special-*'] },
    invalid: { base_url: 'ftp://somewhere' },
    invalidPath: 'base_url',
  },
  model: {
    make: (id) => ({
      id,
      name: 'public',
      provider: 'base',
      model: 'upstream',
      timeout: '5s',
      tags: ['chat'],
    }),
    change: { weight: 7 },
    invalid: { weight: -1 },
    invalidPath: 'weight',
  },
  alias: {
    make: (name) => ({ name, target: 'base-model' }),
    change: { target: 'base/anything' },
    invalid: { target: 42 },
    invalidPath: 'target',
  },
  route: {
    make: (slug) => ({ slug, name: 'A route', models: [{ model: 'base-model', weight: 3 }], fallbacks: [] }),
    change: { enabled: false },
    invalid: { strategy: 'psychic' },
    invalidPath: 'strategy',
  },
};

let count = 0;
const newName = () => `object-${++count}`;

beforeAll(async () => {
  await admin.request('POST', '/providers', {
    name: 'base',
    type: 'openai',
    api_keys: ['sk-base-base-base-base'],
  });
  await admin.request('POST', '/models', { id: 'base-model', name: 'base-model', provider: 'base' });
});

describe.each(Object.values(kinds))('$collection', ({ kind, collection, nameField }) => {
  const example = examples[kind];
  const path = `/${collection}`;
  let name: string;
  let etag: string;
  const change = (method: string, body?: Fields, headers: Record<string, string> = { 'if-match': etag }) =>
    admin.request(method, `${path}/${name}`, body, headers);

  beforeEach(async () => {
    name = newName();
    const created = await admin.request('POST', path, example.make(name));
    expect(created.status, created.text).toBe(201);
    etag = created.headers.get('etag')!;
  });

  test('a created object is read back as it was written, with its source and revision', async () => {
    const { status, body, headers } = await admin.request('GET', `${path}/${name}`);
    expect(status).toBe(200);
    const { api_keys, ...written } = example.make(name);
    expect(body).toMatchObject({ ...written, source: 'api' });
    expect(headers.get('etag')).toBe(etag);
    expect(etag).toBe(`"${body.revision}"`);
    expect(Date.parse(body.created_at)).not.toBeNaN();
  });

  test('creating says where the object is, and creating it again is a conflict', async () => {
    const other = newName();
    const created = await admin.request('POST', path, example.make(other));
    expect(created.headers.get('location')).toBe(`/api/v1${path}/${other}`);
    const again = await admin.request('POST', path, example.make(other));
    expect([again.status, again.body.code]).toEqual([409, 'conflict']);
  });

  test('what is read can be written back unchanged, and that is not a change', async () => {
    const { body } = await admin.request('GET', `${path}/${name}`);
    const written = await change('PUT', body);
    expect(written.status, written.text).toBe(200);
    expect(written.headers.get('etag')).toBe(etag);
  });

  test('PUT replaces, PATCH merges, and both give a new ETag', async () => {
    const patched = await change('PATCH', example.change);
    expect(patched.status, patched.text).toBe(200);
    expect(patched.body).toMatchObject(example.change);
    const { api_keys, ...kept } = example.make(name);
    expect(patched.body).toMatchObject({ ...kept, ...example.change });
    const second = patched.headers.get('etag')!;
    expect(second).not.toBe(etag);

    const replaced = await change('PUT', example.make(name), { 'if-match': second });
    expect(replaced.status, replaced.text).toBe(200);
    for (const [field, value] of Object.entries(example.change))
      expect(replaced.body[field]).not.toEqual(value);
  });

  test('PATCH removes a field that is set to null', async () => {
    await change('PATCH', example.change);
    const nothing = Object.fromEntries(Object.keys(example.change).map((field) => [field, null]));
    const patched = await change('PATCH', nothing, { 'if-match': '*' });
    if (kind === 'alias') expect([patched.status, patched.body.code]).toEqual([400, 'invalid_request']);
    else expect(patched.status, patched.text).toBe(200);
  });

  test('PUT under a new name creates, without repeating the name in the body', async () => {
    const fresh = newName();
    const { [nameField]: _, ...body } = example.make(fresh);
    const created = await admin.request('PUT', `${path}/${fresh}`, body);
    expect(created.status, created.text).toBe(201);
    expect(created.body[nameField]).toBe(fresh);
  });

  test('the name in the body may not differ from the one in the path', async () => {
    const answer = await change('PUT', example.make('another-name'));
    expect([answer.status, answer.body.problems[0].path]).toEqual([400, nameField]);
  });

  test('changing an existing object needs its ETag', async () => {
    for (const [method, body] of [
      ['PUT', example.make(name)],
      ['PATCH', example.change],
    ] as const) {
      const without = await change(method, body, {});
      expect([without.status, without.body.code]).toEqual([428, 'precondition_required']);
    }
  });

  test('an outdated ETag is refused for every way to change, and the object stays', async () => {
    await change('PATCH', example.change);
    for (const [method, body] of [
      ['PUT', example.make(name)],
      ['PATCH', {}],
      ['DELETE', undefined],
    ] as const) {
      const late = await change(method, body);
      expect([late.status, late.body.code]).toEqual([412, 'precondition_failed']);
    }
    expect((await admin.request('GET', `${path}/${name}`)).body).toMatchObject(example.change);
  });

  test('If-Match on an object that is not there is refused; nonsense in it too', async () => {
    const { [nameField]: _, ...body } = example.make(name);
    const missing = await admin.request('PUT', `${path}/never-made`, body, { 'if-match': '*' });
    expect(missing.status).toBe(412);
    expect((await change('PATCH', {}, { 'if-match': 'yesterday' })).status).toBe(400);
  });

  test('of two changes made from the same reading, exactly one wins', async () => {
    const answers = await Promise.all([change('PATCH', example.change), change('DELETE')]);
    expect(answers.map((answer) => answer.status).toSorted()).toSatisfy(
      (statuses: number[]) => statuses.includes(412) !== statuses.includes(404),
    );
  });

  test('DELETE removes it; there is nothing to read, change or delete after that', async () => {
    expect((await change('DELETE')).status).toBe(204);
    for (const method of ['GET', 'DELETE']) {
      const gone = await admin.request(method, `${path}/${name}`);
      expect([gone.status, gone.body.code]).toEqual([404, 'not_found']);
    }
    expect((await change('PATCH', {})).status).toBe(404);
  });

  test('a value that is not allowed is refused with its field', async () => {
    const post = await admin.request('POST', path, { ...example.make(newName()), ...example.invalid });
    expect([post.status, post.body.problems[0].path]).toEqual([400, example.invalidPath]);
    const patch = await change('PATCH', example.invalid);
    expect([patch.status, patch.body.problems[0].path]).toEqual([400, example.invalidPath]);
  });

  test('an unknown field is refused, with the one that was probably meant', async () => {
    const [field] = Object.keys(example.change) as [string];
    const answer = await admin.request('POST', path, { ...example.make(newName()), [`${field}x`]: 1 });
    expect(answer.status).toBe(400);
    expect(answer.body.problems[0]).toMatchObject({
      path: `${field}x`,
      message: expect.stringContaining(`"${field}"`),
    });
  });

  test('lists go page by page in the order of names, and can be searched', async () => {
    const group = `page-${kind}-`;
    for (const letter of ['c', 'a', 'e', 'b', 'd']) {
      await admin.request('POST', path, example.make(group + letter));
    }
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query = `search=${group}&limit=2${cursor && `&cursor=${cursor}`}`;
      const { body } = await admin.request('GET', `${path}?${query}`);
      expect(body.items.length).toBeLessThanOrEqual(2);
      seen.push(...body.items.map((item: Fields) => item[nameField]));
      cursor = body.next_cursor;
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e'].map((letter) => group + letter));
    expect((await admin.request('GET', `${path}?source=file`)).body.items).toEqual([]);
    expect((await admin.request('GET', `${path}?search=100%25_`)).body.items).toEqual([]);
    expect((await admin.request('GET', `${path}?limit=501`)).status).toBe(400);
  });

  test('every change is in the audit log with the state before and after', async () => {
    await change('PATCH', example.change);
    await change('DELETE', undefined, { 'x-request-id': 'the-deletion' });
    const { body } = await admin.request('GET', `/audit?kind=${kind}&name=${name}`);
    const [deleted, updated, created] = body.items;
    expect(body.items).toHaveLength(3);
    expect(created).toMatchObject({ action: 'create', actor: 'admin', before: null, address: '127.0.0.1' });
    expect(updated).toMatchObject({ action: 'update', before: created.after });
    expect(updated.after).toMatchObject(example.change);
    expect(deleted).toMatchObject({
      action: 'delete',
      before: updated.after,
      after: null,
      request_id: 'the-deletion',
    });
    const { items } = (await admin.request('GET', '/revisions?limit=3')).body;
    expect(items.map((item: Fields) => item.revision)).toEqual(
      [deleted, updated, created].map((entry) => entry.revision),
    );
  });
});

test('a name with characters that mean something in a URL is one name', async () => {
  const id = 'meta/llama-3:base:meta/llama-3 70b';
  const made = await admin.request('POST', '/models', {
    id: id.replace(' ', '-'),
    name: 'meta/llama-3',
    provider: 'base',
  });
  expect(made.status, made.text).toBe(201);
  const { status, body } = await admin.request('GET', made.headers.get('location')!.replace('/api/v1', ''));
  expect([status, body.name]).toEqual([200, 'meta/llama-3']);
});

describe('references', () => {
  test('an object that others use cannot be deleted, and the answer lists the users', async () => {
    const answer = await admin.request('DELETE', '/providers/base');
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict']);
    expect(answer.body.detail).toContain('models/base-model');
    expect((await admin.request('GET', '/providers/base')).status).toBe(200);
  });

  test('an object cannot name what does not exist', async () => {
    const answer = await admin.request('POST', '/models', { id: 'm', name: 'm', provider: 'bsae' });
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_configuration']);
    expect(answer.body.problems).toEqual([
      { path: 'models/m.provider', message: expect.stringContaining('did you mean "base"') },
    ]);
    expect((await admin.request('GET', '/models/m')).status).toBe(404);
  });

  test('aliases cannot go round in circles', async () => {
    await admin.request('POST', '/aliases', { name: 'round', target: 'base-model' });
    await admin.request('POST', '/aliases', { name: 'about', target: 'round' });
    const answer = await admin.request('PATCH', '/aliases/round', { target: 'about' }, { 'if-match': '*' });
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_configuration']);
  });

  test('a provider that could never answer is refused', async () => {
    const answer = await admin.request('POST', '/providers', { name: 'keyless', type: 'openai' });
    expect([answer.status, answer.body.problems[0].path]).toEqual([422, 'api_keys']);
  });
});
