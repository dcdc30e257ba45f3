// The whole way: ids sealed with the fleet's key, a batch at a provider, and one row in the real ledger however often anybody looks.
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AllInOne, startAllInOne } from '#test/harness/all-in-one.ts';
import { type FakeFiles, startFakeFiles } from '#test/harness/fake-provider/file-answers.ts';
import { type FakeRealtime, startFakeRealtime } from '#test/harness/fake-provider/realtime-server.ts';
import { openRealtime } from '#test/harness/realtime.ts';

let up: AllInOne;
let files: FakeFiles;
let voices: FakeRealtime;

beforeAll(async () => {
  [files, voices] = await Promise.all([startFakeFiles(), startFakeRealtime()]);
  up = await startAllInOne({
    configuration: [
      'providers:',
      `  - { name: vendor, type: openai, base_url: "${files.baseUrl}", allow_private_network: true, api_keys: [k] }`,
      `  - { name: voices, type: openai, base_url: "${voices.baseUrl}", allow_private_network: true, api_keys: [k] }`,
      'models:',
      '  - { name: small, provider: vendor, model: vendor-small }',
      '  - { name: voice, provider: voices, model: ok }',
      '',
    ].join('\n'),
  });
});

afterAll(async () => {
  await up?.remove();
  await Promise.all([files?.stop(), voices?.stop()]);
});

interface Summary {
  readonly totals: {
    readonly attempts: number;
    readonly tokens: { readonly input: number; readonly output: number };
  };
}

async function usageOf(model: string): Promise<Summary['totals']> {
  const response = await fetch(`${up.url}/api/v1/usage?model=${model}`, {
    headers: { authorization: `Bearer ${up.adminKey()}` },
  });
  return ((await response.json()) as Summary).totals;
}

test('a batch is one row with tokens', async () => {
  const client = new OpenAI({ apiKey: up.key(), baseURL: `${up.url}/v1`, maxRetries: 0 });
  const headers = { 'x-signalbox-provider': 'vendor' };
  const lines = ['a', 'b', 'c'].map((id) => JSON.stringify({ custom_id: id, body: { model: 'small' } }));
  const content = await toFile(Buffer.from(lines.join('\n')), 'a.jsonl');
  const file = await client.files.create({ file: content, purpose: 'batch' }, { headers });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  files.finish(files.batches[0]!.id);
  for (let times = 0; times < 3; times++) await client.batches.retrieve(batch.id);
  const ended = await client.batches.retrieve(batch.id);
  await (await client.files.content(ended.output_file_id!)).text();
  await expect
    .poll(() => usageOf('small'), { timeout: 20_000 })
    .toMatchObject({
      attempts: 1,
      tokens: { input: 30, output: 15 },
    });
});

test('each response of a session is a row', async () => {
  const session = await openRealtime(up.url, 'voice', { key: up.key() });
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  session.socket.close();
  // 16 of text and 40 of sound were not cached; text is what the meter `input` counts.
  await expect
    .poll(() => usageOf('voice'), { timeout: 20_000 })
    .toMatchObject({
      attempts: 2,
      tokens: { input: 16, output: 15 },
    });
});
