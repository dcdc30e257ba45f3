// What a client says to the gateway means the same wherever it is said: every row of the tables of operations, present and
// future, is asked with the same words, and whatever reaches the provider has none of them.
import { describe, expect, test, vi } from 'vitest';
import { goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';
import { compatible } from '../providers/compatible.ts';
import { operations } from './operations.ts';
import { serviceOperations } from './services.ts';

const all = compatible('openai', {
  services: [
    'embeddings',
    'images-generations',
    'images-edits',
    'images-variations',
    'audio-transcriptions',
    'audio-translations',
    'audio-speech',
    'moderations',
    'rerank',
  ],
});

const { provider, gateway } = gatewayPerFile(({ provider }) => {
  const openai = providerOf('openai', { baseUrl: provider.baseUrl, kind: all });
  return {
    snapshot: plainSnapshot(provider, {
      deployments: [
        deploymentOf('any', openai, { upstreamModel: 'ok' }),
        deploymentOf('silent', openai, { upstreamModel: 'never-head' }),
      ],
    }),
  };
});

/** Enough of everything for anything that can be asked; what an operation does not know is left out for it. */
const everything = {
  messages: [{ role: 'user', content: 'hi' }],
  contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
  content: { parts: [{ text: 'hi' }] },
  requests: [{ model: 'models/any', content: { parts: [{ text: 'hi' }] } }],
  input: 'hi',
  prompt: 'hi',
  query: 'hi',
  documents: ['a', 'b'],
  voice: 'alloy',
  max_tokens: 5,
};

const words = { metadata: { feature: 'secret-word' }, tags: ['other-secret'], drop_unsupported: true };
const headers = {
  'x-api-key': goodKey,
  'x-signalbox-metadata': JSON.stringify(words.metadata),
  'x-signalbox-tags': words.tags.join(','),
  'x-signalbox-drop-unsupported': 'true',
};

interface Row {
  readonly path: string;
  readonly isForm: boolean;
}

const rows: readonly Row[] = [
  ...operations.map(({ paths }) => ({ path: paths[0]!, isForm: false })),
  ...serviceOperations.map(({ paths, body }) => ({ path: paths[0]!, isForm: body !== 'json' })),
];

function send({ path, isForm }: Row, model: string, more: Record<string, string>, gatewaySays?: object) {
  const url =
    gateway.url + path.replace(/[:*]model/, `models/${model}`).replace('/models/models/', '/models/');
  if (isForm) {
    const form = new FormData();
    form.set('model', model);
    form.set('prompt', 'hi');
    for (const name of ['file', 'image']) form.set(name, new Blob(['bytes']), `${name}.png`);
    return fetch(url, { method: 'POST', headers: { 'x-api-key': goodKey, ...more }, body: form });
  }
  const own = gatewaySays === undefined ? {} : { 'x-gateway': gatewaySays };
  return fetch(url, {
    method: 'POST',
    headers: { 'x-api-key': goodKey, 'content-type': 'application/json', ...more },
    body: JSON.stringify({ model, ...own, ...everything }),
  });
}

describe.each(rows)('$path', (row) => {
  const ways = row.isForm ? (['headers'] as const) : (['headers', 'body'] as const);

  test.each(ways)('honours what is said in %s and keeps it to itself', async (way) => {
    const before = gateway.ledger.entries.length;
    const response = way === 'body' ? await send(row, 'any', {}, words) : await send(row, 'any', headers);
    expect(response.status, await response.clone().text()).toBe(200);
    await response.arrayBuffer();
    const [entry] = gateway.ledger.entries.slice(before);
    expect(entry!.intent).toMatchObject({ tags: ['other-secret'], metadata: { feature: 'secret-word' } });
    expect(provider.requests()).toHaveLength(1);
    const [request] = provider.requests();
    const seen = `${request!.path}${JSON.stringify(request!.headers)}${request!.body.toString('latin1')}`;
    expect(seen).not.toMatch(/x-gateway|x-signalbox|secret|drop_unsupported/);
  });

  test('ends when its time is up', async () => {
    const response = await send(row, 'silent', { ...headers, 'x-signalbox-timeout': '60ms' });
    expect(response.status, await response.clone().text()).toBe(504);
    expect(await response.text()).toContain('60 ms');
    expect(gateway.ledger.story.at(-1)).toBe('failed deadline_exceeded');
    await vi.waitFor(() => expect(provider.load().inFlight).toBe(0));
  });

  test('refuses what it does not know', async () => {
    const response = await send(row, 'any', { 'x-signalbox-tag': 'a' });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('x-signalbox-tag');
    if (row.isForm) return;
    const misspelt = await send(row, 'any', {}, { tgas: [] });
    expect(misspelt.status).toBe(400);
    expect(await misspelt.text()).toContain('x-gateway.tgas');
    expect(provider.requests()).toHaveLength(0);
  });
});
