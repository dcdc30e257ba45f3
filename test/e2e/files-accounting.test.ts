// What a batch used becomes one entry of the ledger: from whichever side it is learned, at whichever instance, however often.
// And how files behave at their limits.
import OpenAI, { toFile } from 'openai';
import { afterEach, expect, test } from 'vitest';
import { azure } from '#data-plane/providers/azure.ts';
import { compatible } from '#data-plane/providers/compatible.ts';
import { SignalboxError } from '#shared/errors.ts';
import {
  type FakeFiles,
  type FakeFilesOptions,
  startFakeFiles,
} from '#test/harness/fake-provider/file-answers.ts';
import { goodKey, startGateway, type TestGateway, type TestGatewayOptions } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';

let fake: FakeFiles;
const gateways: TestGateway[] = [];

const kind = compatible('openai', { files: true });

async function start(
  options: FakeFilesOptions = {},
  limits: TestGatewayOptions['limits'] = {},
): Promise<TestGateway> {
  fake ??= await startFakeFiles(options);
  const vendor = providerOf('vendor', { kind, baseUrl: fake.baseUrl });
  const deployments = [
    deploymentOf('small', vendor, { upstreamModel: 'vendor-small', tags: ['team'] }),
    deploymentOf('large', vendor),
  ];
  const keys = { [goodKey]: principalOf('key_good') };
  const gateway = await startGateway({ snapshot: snapshotOf({ deployments, keys }), limits });
  gateways.push(gateway);
  return gateway;
}

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()));
  await fake.stop();
  fake = undefined as unknown as FakeFiles;
});

function sdk({ url }: TestGateway): OpenAI {
  return new OpenAI({ apiKey: goodKey, baseURL: `${url}/v1`, maxRetries: 0 });
}

async function batchOf(client: OpenAI, models: readonly string[]) {
  const lines = models.map((model, index) => JSON.stringify({ custom_id: `r${index}`, body: { model } }));
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'a.jsonl'),
    purpose: 'batch',
  });
  return client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
}

/** Entries that say that something was used. */
function accounted({ ledger }: TestGateway) {
  return ledger.entries.filter(({ settlements }) =>
    settlements.some(({ usage }) => usage && usage.input > 0),
  );
}

const three = {
  input: 30,
  output: 15,
  inputCacheRead: 0,
  inputCacheWrite: 0,
  inputAudio: 0,
  outputReasoning: 0,
  outputAudio: 0,
};

test('a batch is entered once, when it is first seen to have ended', async () => {
  const gateway = await start();
  const client = sdk(gateway);
  const batch = await batchOf(client, ['small', 'small', 'small']);
  await client.batches.retrieve(batch.id);
  expect(accounted(gateway)).toEqual([]);
  fake.finish(fake.batches[0]!.id);
  for (let times = 0; times < 3; times++) await client.batches.retrieve(batch.id);
  await client.batches.list();
  const [entry, ...others] = accounted(gateway);
  expect(others).toEqual([]);
  expect(entry).toMatchObject({
    intent: {
      operation: 'batches',
      keyId: 'key_good',
      requestedModel: 'small',
      model: 'small',
      upstreamModel: 'vendor-small',
      deployment: 'vendor:small:vendor-small',
      tags: ['team', 'batch'],
      startedAtMs: batch.created_at * 1000,
    },
    settlements: [{ outcome: 'completed', usage: three, upstreamId: fake.batches[0]!.id }],
  });
});

test('where the batch does not say, its results do, and only when they have passed whole', async () => {
  const gateway = await start({ tellsUsage: false });
  const client = sdk(gateway);
  const batch = await batchOf(client, ['small', 'small', 'small']);
  fake.finish(fake.batches[0]!.id);
  const ended = await client.batches.retrieve(batch.id);
  fake.cutsContent = true;
  await expect(
    client.files.content(ended.output_file_id!).then((content) => content.text()),
  ).rejects.toThrow();
  expect(accounted(gateway)).toEqual([]);
  fake.cutsContent = false;
  for (let times = 0; times < 2; times++) await (await client.files.content(ended.output_file_id!)).text();
  await expect.poll(() => accounted(gateway).length).toBe(1);
  expect(accounted(gateway)[0]).toMatchObject({
    intent: { model: 'small' },
    settlements: [{ usage: three }],
  });
});

test('two instances, and both ways of learning it, write the same entry', async () => {
  const one = await start();
  const other = await start();
  const batch = await batchOf(sdk(one), ['small', 'small', 'small']);
  fake.finish(fake.batches[0]!.id);
  await sdk(one).batches.retrieve(batch.id);
  const { output_file_id } = await sdk(one).batches.retrieve(batch.id);
  await (await sdk(other).files.content(output_file_id!)).text();
  await expect.poll(() => accounted(other).length).toBe(1);
  const [mine, theirs] = [accounted(one)[0]!, accounted(other)[0]!];
  // Only who asked differs; day and id, which the ledger goes by, do not.
  expect({ ...theirs.intent, requestId: '' }).toEqual({ ...mine.intent, requestId: '' });
  expect(theirs.settlements).toEqual(mine.settlements);
});

test('a batch with several models is entered without one', async () => {
  const gateway = await start();
  const batch = await batchOf(sdk(gateway), ['small', 'large']);
  fake.finish(fake.batches[0]!.id);
  await sdk(gateway).batches.retrieve(batch.id);
  expect(accounted(gateway)[0]!.intent).toMatchObject({
    requestedModel: 'small large',
    model: '',
    upstreamModel: '',
  });
});

test('an entry that cannot be written is written by the next to ask', async () => {
  const gateway = await start();
  const client = sdk(gateway);
  const batch = await batchOf(client, ['small']);
  fake.finish(fake.batches[0]!.id);
  gateway.ledger.refusal = new SignalboxError('ledger_unavailable', 'The journal is full.');
  await expect(client.batches.retrieve(batch.id)).rejects.toMatchObject({
    status: 503,
    code: 'ledger_unavailable',
  });
  gateway.ledger.refusal = undefined;
  await client.batches.retrieve(batch.id);
  expect(accounted(gateway)).toHaveLength(1);
});

test('a file that is too large is refused', async () => {
  const gateway = await start({}, { fileUploadBytesMax: 10_000 });
  const file = await toFile(Buffer.alloc(20_000, 'x'), 'a.txt');
  await expect(sdk(gateway).files.create({ file, purpose: 'user_data' })).rejects.toMatchObject({
    status: 413,
  });
  expect(fake.seen).toEqual([]);
});

test('only so many files are taken in at a time', async () => {
  const gateway = await start({}, { fileUploadsAtOnceMax: 0 });
  const file = await toFile(Buffer.from('x'), 'a.txt');
  await expect(sdk(gateway).files.create({ file, purpose: 'user_data' })).rejects.toMatchObject({
    status: 503,
    code: 'overloaded',
  });
});

test('a batch with more requests or models than may be is refused', async () => {
  const gateway = await start({}, { batchLinesMax: 2, batchModelsMax: 1 });
  await expect(batchOf(sdk(gateway), ['small', 'small', 'small'])).rejects.toMatchObject({ status: 413 });
  await expect(batchOf(sdk(gateway), ['small', 'large'])).rejects.toMatchObject({ status: 413 });
  expect(fake.seen).toEqual([]);
});

test('what is no file object is no answer', async () => {
  const gateway = await start();
  fake.failure = { status: 200, message: 'all is well' };
  await expect(
    sdk(gateway).files.create({ file: await toFile(Buffer.from('x'), 'a'), purpose: 'user_data' }),
  ).rejects.toMatchObject({
    status: 502,
    code: 'upstream_invalid',
  });
});

test.each([
  ['v1 paths', {}, '/openai/v1', ''],
  ['versioned paths', { api_version: '2024-10-21' }, '/openai', '?api-version=2024-10-21'],
])('Azure: %s', async (_what, settings, prefix, query) => {
  const gateway = await start({ prefix });
  const tools = {
    upstream: gateway.upstream,
    clock: { wallMs: () => 0, monotonicMs: () => 0 },
    environment: {},
  };
  const provider = azure('azure', { family: 'azure', needsKey: true, modelPatterns: [] }, tools);
  const vendor = providerOf('azure', { kind: provider, baseUrl: fake.baseUrl.replace('/v1', '/'), settings });
  const account = { ...vendor, basePath: '' };
  gateway.snapshot = snapshotOf({
    deployments: [deploymentOf('small', account)],
    keys: { [goodKey]: principalOf('key_good') },
  });
  const batch = await batchOf(sdk(gateway), ['small']);
  expect((await sdk(gateway).batches.retrieve(batch.id)).id).toBe(batch.id);
  expect(fake.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `POST ${prefix}/files${query}`,
    `POST ${prefix}/batches${query}`,
    `GET ${prefix}/batches/${fake.batches[0]!.id}${query}`,
  ]);
});
