// The configuration file, the environment and the built-ins as sources of configuration, beside the API.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type AdminApi, startAdminApi } from '#test/harness/admin-api.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';

let postgres: TestPostgres;
let databaseUrl: string;
let directory: string;
let file: string;
let admin: AdminApi | undefined;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.removeAll());

beforeEach(async () => {
  databaseUrl = await postgres.createDatabase();
  directory = mkdtempSync(join(tmpdir(), 'signalbox-test-file-'));
  file = join(directory, 'signalbox.yaml');
});
afterEach(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startAdminApi>[1] = {}): Promise<AdminApi> {
  admin = await startAdminApi(databaseUrl, options);
  return admin;
}

async function stop(): Promise<void> {
  await admin?.close();
  admin = undefined;
}

function write(text: string): void {
  writeFileSync(file, text);
}

const yaml = (models: string) => `
providers:
  - { name: openai, api_keys: [sk-from-the-file-0123456789], model_patterns: [] }
models:
${models}
`;
const oneModel = yaml('  - { name: gpt-4o, provider: openai }');
const otherModel = yaml('  - { name: gpt-5, provider: openai }');

async function names(collection: string): Promise<Record<string, string>> {
  const { body } = await admin!.request('GET', `/${collection}`);
  return Object.fromEntries(
    body.items.map((item: { id?: string; name: string; source: string }) => [
      item.id ?? item.name,
      item.source,
    ]),
  );
}

async function revision(): Promise<number> {
  const { body } = await admin!.request('GET', '/revisions?limit=1');
  return body.items[0].revision;
}

describe('a configuration file', () => {
  test('is applied at the start, and its objects say where they come from', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    expect(await names('providers')).toEqual({ openai: 'file' });
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'file' });
    const { body } = await admin!.request('GET', '/configuration/file');
    expect(body).toMatchObject({ file, status: 'applied', revision: await revision(), error: null });
    const { body: audit } = await admin!.request('GET', '/audit?actor=file');
    expect(audit.items.map((entry: { kind: string }) => entry.kind).toSorted()).toEqual([
      'model',
      'provider',
    ]);
  });

  test('applied again, by a restart or by hand, changes nothing', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    const before = await revision();
    await admin!.request('POST', '/configuration/file');
    await stop();
    await start({ configurationFile: file });
    expect(await revision()).toBe(before);
  });

  test('that changes is applied as it changes, and what left it is gone', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    write(otherModel);
    await expect.poll(() => names('models'), { timeout: 10_000 }).toEqual({ 'gpt-5:openai:gpt-5': 'file' });
  });

  test('with a mistake changes nothing, says why with the line, and works again once mended', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    const before = await revision();
    write(otherModel.replace('provider:', 'provider_:'));
    const status = async () => (await admin!.request('GET', '/configuration/file')).body;
    await vi.waitFor(async () => expect((await status()).status).toBe('rejected'), { timeout: 10_000 });
    expect((await status()).error).toMatchObject({
      code: 'invalid_configuration',
      problems: expect.arrayContaining([expect.objectContaining({ line: 5 })]),
    });
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'file' });
    expect(await revision()).toBe(before);
    write(otherModel);
    await vi.waitFor(async () => expect((await status()).status).toBe('applied'), { timeout: 10_000 });
  });

  test.each([
    ['with a mistake', 'providers: [{ nam: openai }]'],
    ['that is not YAML', 'providers: [}'],
    ['that is missing', undefined],
  ])('%s keeps the control plane from starting', async (_what, text) => {
    if (text !== undefined) write(text);
    await expect(start({ configurationFile: file })).rejects.toMatchObject({
      code: 'invalid_configuration',
      message: expect.stringContaining(file),
    });
  });

  test('keeps the id of a credential that is given again, and replaces one that is not', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    const keyIds = async () => {
      const { body } = await admin!.request('GET', '/providers/openai');
      return body.api_keys.map((key: { id: string }) => key.id);
    };
    const [first] = await keyIds();
    write(oneModel.replace('[sk-from', '[sk-second-key-0123456789, sk-from'));
    await admin!.request('POST', '/configuration/file');
    const both = await keyIds();
    expect(both[1]).toBe(first);
    write(oneModel.replace('sk-from-the-file-0123456789', 'sk-second-key-0123456789'));
    await admin!.request('POST', '/configuration/file');
    expect(await keyIds()).toEqual([both[0]]);
    const rows = await admin!.core.db.selectFrom('provider_secrets').select('id').execute();
    expect(rows.map((row) => row.id)).toEqual([both[0]]);
  });
});

describe('two sources', () => {
  const elsewhere = { status: 409, body: { code: 'managed_elsewhere' } };

  test('the API does not change what the file manages, and says how to take it over', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    const path = '/models/gpt-4o:openai:gpt-4o';
    for (const [method, body] of [
      ['PATCH', { weight: 2 }],
      ['DELETE', undefined],
    ] as const) {
      const answer = await admin!.request(method, path, body, { 'if-match': '*' });
      expect(answer).toMatchObject(elsewhere);
      expect(answer.body.detail).toContain('take_over=true');
    }
    const taken = await admin!.request('PATCH', `${path}?take_over=true`, { weight: 2 }, { 'if-match': '*' });
    expect(taken.body).toMatchObject({ weight: 2, source: 'api' });
  });

  test('the file does not change what the API manages, until it is told to take it over', async () => {
    await start();
    const spec = { id: 'gpt-4o:openai:gpt-4o', name: 'gpt-4o', provider: 'openai', weight: 9 };
    await admin!.request('POST', '/providers', { name: 'openai', api_keys: ['sk-from-the-api-0123456789'] });
    await admin!.request('POST', '/models', spec);
    await stop();

    write(oneModel);
    await start({ configurationFile: file });
    const { body: status } = await admin!.request('GET', '/configuration/file');
    expect(status).toMatchObject({ status: 'rejected', error: { code: 'managed_elsewhere' } });
    expect(status.error.problems.map((problem: { path: string }) => problem.path).toSorted()).toEqual([
      'model/gpt-4o:openai:gpt-4o',
      'provider/openai',
    ]);
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'api' });
    expect(await admin!.request('POST', '/configuration/file')).toMatchObject(elsewhere);

    const taken = await admin!.request('POST', '/configuration/file?take_over=true');
    expect(taken.body).toMatchObject({ status: 'applied', error: null });
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'file' });
    expect((await admin!.request('GET', '/models/gpt-4o:openai:gpt-4o')).body.weight).toBe(1);
  });

  test('an object of the file that the API still needs does not leave with the file', async () => {
    write(oneModel);
    await start({ configurationFile: file });
    await admin!.request('POST', '/aliases', { name: 'fast', target: 'gpt-4o' });
    write(otherModel);
    const answer = await admin!.request('POST', '/configuration/file');
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_configuration']);
    expect(answer.body.problems[0].path).toBe('aliases/fast');
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'file' });
  });

  test('without a file there is nothing to apply', async () => {
    await start();
    expect((await admin!.request('GET', '/configuration/file')).body).toMatchObject({
      file: null,
      status: 'none',
    });
    expect((await admin!.request('POST', '/configuration/file')).status).toBe(404);
  });
});

describe('the environment', () => {
  const environment = { OPENAI_API_KEY: 'sk-from-the-environment-0123456789' };

  test('a vendor key found there makes a provider whose models need no configuration', async () => {
    await start({ environment });
    const { body } = await admin!.request('GET', '/providers/openai');
    expect(body).toMatchObject({ source: 'environment', api_keys: [{ hint: '…6789' }] });
    expect(body.model_patterns).toContain('gpt-*');
  });

  test('a file may use it, and a provider of the same name in the file comes first', async () => {
    write('routes: [{ slug: smart, models: [{ model: gpt-4o }] }]');
    await start({ environment, configurationFile: file });
    expect(await names('providers')).toEqual({ openai: 'environment' });
    write(oneModel);
    await admin!.request('POST', '/configuration/file');
    expect(await names('providers')).toEqual({ openai: 'file' });
    write('routes: [{ slug: smart, models: [{ model: gpt-4o }] }]');
    const back = await admin!.request('POST', '/configuration/file');
    expect(back.status, back.text).toBe(200);
    expect(await names('providers')).toEqual({ openai: 'environment' });
  });

  test('does not touch a provider that was made through the API', async () => {
    await start();
    await admin!.request('POST', '/providers', { name: 'openai', api_keys: ['sk-from-the-api-0123456789'] });
    await stop();
    await start({ environment });
    expect((await admin!.request('GET', '/providers/openai')).body.api_keys[0].hint).toBe('…6789');
    expect(await names('providers')).toEqual({ openai: 'api' });
  });

  test('a variable that is gone takes its provider along, unless something still uses it', async () => {
    await start({ environment: { ...environment, GROQ_API_KEY: 'gsk_0123456789abcdef' } });
    await stop();
    await start({ environment });
    expect(await names('providers')).toEqual({ openai: 'environment' });
    await admin!.request('POST', '/aliases', { name: 'fast', target: 'gpt-4o-mini' });
    await stop();
    await start({ environment: {} });
    expect(await names('providers')).toEqual({ openai: 'environment' });
  });
});

describe('built-ins', () => {
  const demo = { demo: true };

  test('are there after the first start, and once deleted stay deleted', async () => {
    await start(demo);
    expect(Object.keys(await names('models'))).toContain('demo:demo:demo');
    expect(new Set(Object.values(await names('models')))).toEqual(new Set(['built-in']));
    for (const id of Object.keys(await names('models'))) {
      expect((await admin!.request('DELETE', `/models/${id}`)).status).toBe(204);
    }
    expect((await admin!.request('DELETE', '/providers/demo')).status).toBe(204);
    await stop();
    await start(demo);
    expect(await names('providers')).toEqual({});
  });

  test('make way for a file that gives their names to something else', async () => {
    write(`${oneModel}\naliases: { demo: gpt-4o }\n`);
    await start({ ...demo, configurationFile: file });
    expect((await admin!.request('GET', '/configuration/file')).body.status).toBe('applied');
    expect(await names('aliases')).toEqual({ demo: 'file' });
    expect(await names('models')).toEqual({ 'gpt-4o:openai:gpt-4o': 'file' });
  });

  test('are not added to an installation that began without them', async () => {
    await start();
    await stop();
    await start(demo);
    expect(await names('providers')).toEqual({});
  });
});
