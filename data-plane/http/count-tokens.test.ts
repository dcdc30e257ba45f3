import { expect, test } from 'vitest';
import { goodKey, limitedKey, plainSnapshot } from '#test/harness/gateway.ts';
import { providerKeyOf, providerOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropic } from '../providers/anthropic.ts';
import { fixedCredential } from '../providers/credential.ts';
import { gemini } from '../providers/gemini.ts';

const { provider, gateway } = gatewayPerTest(({ provider }) => {
  const keys = [
    providerKeyOf('one', { credential: fixedCredential({ 'x-goog-api-key': 'secret' }), rpm: 1 }),
  ];
  const google = providerOf('google', { baseUrl: provider.baseUrl, kind: gemini('gemini'), keys });
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  return { snapshot: plainSnapshot(provider, { providers: [google, claude] }) };
});

const ask = {
  messages: (model: string, more: object = {}, key = goodKey) =>
    post(
      '/v1/messages/count_tokens',
      { model, messages: [{ role: 'user', content: 'x'.repeat(35) }], ...more },
      key,
    ),
  contents: (
    model: string,
    body: object = { contents: [{ parts: [{ text: 'x'.repeat(35) }] }] },
    key = goodKey,
  ) => post(`/v1beta/models/${model}:countTokens`, body, key),
};

function post(path: string, body: object, key: string) {
  return fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'x-goog-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const lastBody = (): Record<string, unknown> => JSON.parse(provider.requests().at(-1)!.body.toString());

test.each([
  ['claude/ok', 'messages', 'input_tokens'],
  ['google/ok', 'messages', 'input_tokens'],
  ['claude/ok', 'contents', 'totalTokens'],
  ['google/ok', 'contents', 'totalTokens'],
] as const)('%s counts for clients of %s, at no cost', async (model, client, field) => {
  const response = await ask[client](model);
  expect(response.status).toBe(200);
  expect(response.headers.get('x-signalbox-estimated')).toBeNull();
  const count = ((await response.json()) as Record<string, number>)[field];
  const { messages, contents, generateContentRequest } = lastBody() as Record<string, { contents?: unknown }>;
  expect(count).toBe(
    Math.ceil(JSON.stringify(messages ?? contents ?? generateContentRequest!.contents).length / 4),
  );
  expect(provider.bill()).toEqual([]);
  expect(gateway.ledger.entries).toEqual([]);
});

test('a count draws nothing from a key’s limits', async () => {
  for (const _ of [1, 2, 3]) {
    expect((await ask.contents('google/ok')).headers.get('x-signalbox-estimated')).toBeNull();
  }
  expect(provider.requests().map(({ headers }) => headers['x-goog-api-key'])).toEqual([
    'secret',
    'secret',
    'secret',
  ]);
});

test('what the client wrote in the upstream’s own words passes as it is', async () => {
  await ask.messages('claude/ok', { system: 'Be brief.', something_new: 1 });
  expect(lastBody()).toEqual({
    model: 'ok',
    messages: [{ role: 'user', content: 'x'.repeat(35) }],
    system: 'Be brief.',
    something_new: 1,
  });
  const contents = [{ parts: [{ text: 'hi' }] }];
  await ask.contents('google/ok', { contents });
  expect(lastBody()).toEqual({ contents });
  await ask.contents('google/ok', {
    generateContentRequest: { model: 'models/google/ok', contents, cachedContent: 'c' },
  });
  expect(lastBody()).toEqual({
    generateContentRequest: { model: 'models/ok', contents, cachedContent: 'c' },
  });
});

test('a translated question has what is counted and nothing else', async () => {
  const generateContentRequest = {
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
    contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
    tools: [{ functionDeclarations: [{ name: 'f' }] }, { googleSearch: {} }],
    generationConfig: { maxOutputTokens: 7, seed: 1 },
  };
  expect(
    (await ask.contents('claude/ok', { generateContentRequest })).headers.get('x-signalbox-estimated'),
  ).toBeNull();
  expect(Object.keys(lastBody()).toSorted()).toEqual(['messages', 'model', 'system', 'tools']);
  await ask.messages('google/ok', { system: 'Be brief.' });
  expect(lastBody()).toMatchObject({
    generateContentRequest: {
      model: 'models/ok',
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [{ role: 'user', parts: [{ text: 'x'.repeat(35) }] }],
    },
  });
});

test.each(['ok', 'claude/error-500', 'claude/error-429', 'google/error-401'])(
  'there is an estimate where %s cannot tell, and it says so',
  async (model) => {
    for (const [client, count] of [
      ['messages', { input_tokens: 10 }],
      ['contents', { totalTokens: 10 }],
    ] as const) {
      const response = await ask[client](model);
      expect(response.headers.get('x-signalbox-estimated')).toBe('true');
      expect(await response.json()).toEqual(count);
    }
  },
);

test('what the caller wrote wrong is told by the provider it was written for', async () => {
  const response = await ask.messages('claude/ok', { max_tokens: 7 });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'invalid_request_error' } });
  expect((await ask.contents('google/error-400')).status).toBe(400);
  expect((await ask.messages('google/error-400')).headers.get('x-signalbox-estimated')).toBe('true');
});

test('a key may count for its own models only', async () => {
  expect((await ask.messages('claude/ok', {}, limitedKey)).status).toBe(403);
  expect((await ask.contents('google/ok', undefined, limitedKey)).status).toBe(403);
  expect((await ask.contents('google/ok', undefined, 'sb-wrong')).status).toBe(401);
  expect((await ask.contents('nobody')).status).toBe(404);
  expect(provider.requests()).toEqual([]);
});
