// Files and batches through the real HTTP surface, with the official SDK, at a provider whose one account everybody shares: what a
// key makes it finds again, and nobody else does; what a batch used is entered once, however often anybody looks.
import OpenAI, { toFile } from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compatible } from '#data-plane/providers/compatible.ts';
import { type FakeFiles, startFakeFiles } from '#test/harness/fake-provider/file-answers.ts';
import { errorOf, goodKey, limitedKey, startGateway, type TestGateway } from '#test/harness/gateway.ts';
import { rulesOf } from '#test/harness/route-rules.ts';
import {
  deploymentOf,
  principalOf,
  providerKeyOf,
  providerOf,
  routeOf,
  type SnapshotSketch,
  snapshotOf,
} from '#test/harness/snapshots.ts';

let fake: FakeFiles;
let gateway: TestGateway;

const kind = compatible('openai', { files: true });
const otherKey = 'sb-other';

function sketch(more: SnapshotSketch = {}): SnapshotSketch {
  const vendor = providerOf('vendor', { kind, baseUrl: fake.baseUrl, keys: [providerKeyOf('one')] });
  const silent = providerOf('silent', { baseUrl: fake.baseUrl });
  return {
    providers: [vendor, silent],
    deployments: [
      deploymentOf('small', vendor, { upstreamModel: 'vendor-small-2', tags: ['team'] }),
      deploymentOf('large', vendor),
      deploymentOf('elsewhere', silent),
    ],
    keys: {
      [goodKey]: principalOf('key_good'),
      [otherKey]: principalOf('key_other'),
      [limitedKey]: principalOf('key_limited', { mayUse: (name) => name === 'small' }),
    },
    routes: [
      {
        ...routeOf('careful', ['large'], ['small']),
        rules: rulesOf({
          rules: [{ exclude: 'large' }, { when: { keys: 'key_other' }, only: { regions: 'eu' } }],
        }),
      },
    ],
    ...more,
  };
}

beforeEach(async () => {
  fake = await startFakeFiles({ requiredKeys: ['provider-secret-one', 'provider-secret-two'] });
  gateway = await startGateway({ snapshot: snapshotOf(sketch()) });
});

afterEach(async () => {
  await gateway.stop();
  await fake.stop();
});

function sdk(apiKey: string = goodKey): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
}

function requestLine(id: string, model: string): string {
  const body = { model, messages: [{ role: 'user', content: `Grüße, "${id}"` }] };
  return JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body });
}

async function upload(client: OpenAI, lines: readonly string[], purpose: 'batch' | 'user_data' = 'batch') {
  return client.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'requests.jsonl'),
    purpose,
  });
}

async function startBatch(client: OpenAI, models: readonly string[] = ['small', 'small']) {
  const file = await upload(
    client,
    models.map((model, index) => requestLine(`r${index}`, model)),
  );
  return client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { job: 'nightly' },
  });
}

describe('files', () => {
  test('what was uploaded is found, read and deleted under one id', async () => {
    const client = sdk();
    const content = 'any bytes\r\nat all\n';
    const made = await client.files.create({
      file: await toFile(Buffer.from(content), 'a.txt'),
      purpose: 'user_data',
    });
    expect(made).toMatchObject({ object: 'file', purpose: 'user_data', bytes: content.length });
    expect(made.id).toMatch(/^file-sb[\w-]+$/);
    expect(fake.files.map((file) => file.content)).toEqual([content]);
    expect(await client.files.retrieve(made.id)).toEqual(made);
    expect((await client.files.list()).data).toEqual([made]);
    expect(await (await client.files.content(made.id)).text()).toBe(content);
    expect(await client.files.delete(made.id)).toEqual({ id: made.id, object: 'file', deleted: true });
    expect((await client.files.list()).data).toEqual([]);
    await expect(client.files.retrieve(made.id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  test('nobody sees the files of another key, whatever they send', async () => {
    const made = await upload(sdk(), ['x'], 'user_data');
    const stranger = sdk(otherKey);
    const upstreamId = fake.files[0]!.id;
    const before = fake.seen.length;
    for (const id of [made.id, upstreamId, `file-sb${upstreamId}`, made.id.slice(0, -2), 'file-sb']) {
      await expect(stranger.files.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
      await expect(stranger.files.delete(id)).rejects.toThrow(OpenAI.NotFoundError);
      await expect(stranger.files.content(id)).rejects.toThrow(OpenAI.NotFoundError);
    }
    expect((await stranger.files.list()).data).toEqual([]);
    expect(fake.seen.length, 'the provider was not even asked').toBe(before);
  });

  test('ids of the provider are not told, in answers or in errors', async () => {
    const made = await upload(sdk(), ['x'], 'user_data');
    const upstreamId = fake.files[0]!.id;
    expect(JSON.stringify(made)).not.toContain(upstreamId);
    fake.failure = { status: 404, message: `No such File object: ${upstreamId}` };
    const response = await fetch(`${gateway.url}/v1/files/${made.id}`, {
      headers: { authorization: `Bearer ${goodKey}` },
    });
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({
      code: 'not_found',
      message: expect.not.stringContaining(upstreamId),
    });
  });

  test('an object stays with the provider’s key that made it', async () => {
    const keys = [providerKeyOf('one', { weight: 0 }), providerKeyOf('two')];
    const vendor = providerOf('vendor', { kind, baseUrl: fake.baseUrl, keys });
    gateway.snapshot = snapshotOf(sketch({ providers: [vendor], deployments: [] }));
    const made = await upload(sdk(), ['x'], 'user_data');
    const flipped = { ...vendor, keys: [providerKeyOf('one'), providerKeyOf('two', { weight: 0 })] };
    gateway.snapshot = snapshotOf(sketch({ providers: [flipped], deployments: [] }));
    await sdk().files.retrieve(made.id);
    expect(fake.seen.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer provider-secret-two',
      'Bearer provider-secret-two',
    ]);
    gateway.snapshot = snapshotOf(
      sketch({ providers: [{ ...vendor, keys: [providerKeyOf('one')] }], deployments: [] }),
    );
    await expect(sdk().files.retrieve(made.id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  test('a key that the provider refuses is passed over for the next', async () => {
    const keys = [providerKeyOf('bad'), providerKeyOf('one', { weight: 0 })];
    const vendor = providerOf('vendor', { kind, baseUrl: fake.baseUrl, keys });
    gateway.snapshot = snapshotOf(sketch({ providers: [vendor], deployments: [] }));
    const made = await upload(sdk(), ['x'], 'user_data');
    expect((await sdk().files.retrieve(made.id)).id).toBe(made.id);
    expect(gateway.ledger.story).toEqual(['failed upstream_unauthorized', 'completed']);
  });

  test('what changes something is journaled, looking is not', async () => {
    const made = await upload(sdk(), ['x'], 'user_data');
    await sdk().files.retrieve(made.id);
    await sdk().files.content(made.id);
    await sdk().files.delete(made.id);
    expect(
      gateway.ledger.entries.map(({ intent, settlements }) => [
        intent.operation,
        intent.provider,
        intent.keyId,
        settlements[0]!.outcome,
      ]),
    ).toEqual([
      ['files', 'vendor', 'key_good', 'completed'],
      ['files', 'vendor', 'key_good', 'completed'],
    ]);
  });

  test('nothing of the client reaches the provider but the form', async () => {
    await fetch(`${gateway.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${goodKey}`, cookie: 'a=b', 'x-signalbox-provider': 'vendor' },
      body: formOf({ purpose: 'user_data', provider: 'vendor' }),
    });
    const { headers, body } = fake.seen[0]!;
    expect(headers.authorization).toBe('Bearer provider-secret-one');
    expect(headers.cookie).toBeUndefined();
    expect(JSON.stringify(headers) + body).not.toContain(goodKey);
    expect(body).not.toContain('name="provider"');
    expect(fake.files).toMatchObject([{ purpose: 'user_data', content: 'hello' }]);
  });

  test.each([
    ['one that keeps none', { provider: 'silent' }, 400, 'unsupported_by_provider'],
    ['one that is not there', { provider: 'nobody' }, 400, 'unsupported_by_provider'],
  ])('a provider can be named: %s', async (_what, fields, status, code) => {
    const response = await postForm(formOf({ purpose: 'user_data', ...fields }));
    expect([response.status, await errorOf(response)]).toMatchObject([
      status,
      { code, message: expect.stringContaining('vendor') },
    ]);
  });

  test('where several keep files, one has to be named', async () => {
    const vendors = ['vendor', 'other'].map((name) =>
      providerOf(name, { kind, baseUrl: fake.baseUrl, keys: [providerKeyOf('one')] }),
    );
    gateway.snapshot = snapshotOf(sketch({ providers: vendors, deployments: [] }));
    const response = await postForm(formOf({ purpose: 'user_data' }));
    expect([response.status, (await errorOf(response)).message]).toEqual([
      400,
      expect.stringContaining('vendor, other'),
    ]);
    expect((await postForm(formOf({ purpose: 'user_data', provider: 'other' }))).status).toBe(200);
  });

  test.each([
    ['no purpose', {}, 'purpose'],
    ['no file', { purpose: 'user_data', file: undefined }, 'file'],
  ])('a form with %s is refused', async (_what, fields, param) => {
    const response = await postForm(formOf(fields));
    expect([response.status, (await errorOf(response)).param]).toEqual([400, param]);
  });
});

describe('batches', () => {
  test('the models of a batch are named as everywhere, and reach the provider under its own names', async () => {
    const batch = await startBatch(sdk(), ['small', 'vendor/small']);
    expect(batch.id).toMatch(/^batch_sb/);
    expect(batch.metadata).toEqual({ job: 'nightly' });
    const lines = fake.files[0]!.content.split('\n');
    expect(lines).toEqual([requestLine('r0', 'vendor-small-2'), requestLine('r1', 'vendor-small-2')]);
    expect(fake.batches[0]).toMatchObject({
      input_file_id: fake.files[0]!.id,
      endpoint: '/v1/chat/completions',
    });
  });

  test('the model of a request in a batch is one that the rules of its route allow', async () => {
    await upload(sdk(), [requestLine('r0', 'careful')]);
    expect(fake.files[0]!.content).toBe(requestLine('r0', 'vendor-small-2'));
  });

  test.each([
    ['that the key may not use', limitedKey, 'large', 403, 'model_not_allowed'],
    ['that does not exist', goodKey, 'nothing', 404, 'model_not_found'],
    ['of another provider', goodKey, 'elsewhere', 404, 'model_not_found'],
    ['that the rules of its route leave nobody for', otherKey, 'careful', 403, 'excluded_by_rules'],
  ])('a file with a model %s is refused, with its line', async (_what, key, model, status, code) => {
    const refused = upload(sdk(key), [requestLine('a', 'small'), requestLine('b', model)]);
    await expect(refused).rejects.toMatchObject({ status, code, message: expect.stringContaining('Line 2') });
    expect(fake.files).toEqual([]);
  });

  test.each([
    ['no JSON', 'nonsense'],
    ['no model', '{"custom_id":"a","body":{}}'],
    ['two models', '{"body":{"model":"small","model":"large"}}'],
    ['two bodies', '{"body":{"model":"large"},"body":{"model":"small"}}'],
    ['a model in other letters', '{"body":{"model":"small","MODEL":"large"}}'],
    ['nothing', '\n \n'],
  ])('a file with %s is refused', async (_what, line) => {
    await expect(upload(sdk(), [line])).rejects.toMatchObject({ status: 400 });
    expect(fake.files).toEqual([]);
  });

  test('a file that was not read as a batch cannot become one', async () => {
    const file = await upload(sdk(limitedKey), [requestLine('a', 'large')], 'user_data');
    const batch = {
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    } as const;
    await expect(sdk(limitedKey).batches.create(batch)).rejects.toMatchObject({
      status: 400,
      param: 'input_file_id',
    });
    await expect(sdk(otherKey).batches.create(batch)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(sdk().batches.create({ ...batch, input_file_id: fake.files[0]!.id })).rejects.toThrow(
      OpenAI.NotFoundError,
    );
    expect(fake.batches).toEqual([]);
  });

  test('a key that has lost its model cannot start the batch it prepared', async () => {
    const file = await upload(sdk(), [requestLine('a', 'large')]);
    gateway.snapshot = snapshotOf(
      sketch({ keys: { [goodKey]: principalOf('key_good', { mayUse: (name) => name === 'small' }) } }),
    );
    const batch = {
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    } as const;
    await expect(sdk().batches.create(batch)).rejects.toMatchObject({
      status: 403,
      code: 'model_not_allowed',
    });
  });

  test('from the upload to the results', async () => {
    const client = sdk();
    const batch = await startBatch(client);
    expect((await client.batches.retrieve(batch.id)).status).toBe('in_progress');
    fake.finish(fake.batches[0]!.id);
    const ended = await client.batches.retrieve(batch.id);
    expect(ended).toMatchObject({ id: batch.id, input_file_id: batch.input_file_id, status: 'completed' });
    const results = await (await client.files.content(ended.output_file_id!)).text();
    expect(
      results
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).custom_id),
    ).toEqual(['r0', 'r1']);
    expect(await client.files.retrieve(ended.output_file_id!)).toMatchObject({
      id: ended.output_file_id,
      purpose: 'batch_output',
    });
    expect(JSON.stringify(ended)).not.toContain('-upstream');
    await expect(sdk(otherKey).files.content(ended.output_file_id!)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(sdk(otherKey).batches.retrieve(batch.id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  test('lists show what this key made, as it is now', async () => {
    const first = await startBatch(sdk());
    const second = await startBatch(sdk());
    await startBatch(sdk(otherKey));
    fake.finish(fake.batches[0]!.id);
    const listed = await sdk().batches.list();
    expect(listed.data.map(({ id, status }) => [id, status])).toEqual([
      [second.id, 'in_progress'],
      [first.id, 'completed'],
    ]);
    const pages: string[] = [];
    for await (const { id } of sdk().batches.list({ limit: 1 })) pages.push(id);
    expect(pages).toEqual([second.id, first.id]);
    fake.failure = { status: 500, message: 'down' };
    expect((await sdk().batches.list()).data).toHaveLength(2);
  });

  test('cancelling', async () => {
    const batch = await startBatch(sdk());
    await expect(sdk(otherKey).batches.cancel(batch.id)).rejects.toThrow(OpenAI.NotFoundError);
    expect((await sdk().batches.cancel(batch.id)).status).toBe('cancelling');
  });
});

function formOf(fields: Readonly<Record<string, string | undefined>>): FormData {
  const form = new FormData();
  if (!('file' in fields)) form.append('file', new Blob(['hello']), 'hello.txt');
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.append(name, value);
  return form;
}

function postForm(body: FormData): Promise<Response> {
  return fetch(`${gateway.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}` },
    body,
  });
}
