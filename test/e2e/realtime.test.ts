// Realtime sessions through the real HTTP surface, with the official SDK, against a WebSocket server that keeps a bill: what is
// said arrives, what is used is accounted once, and every end is told.
import { connect } from 'node:net';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { azure } from '#data-plane/providers/azure.ts';
import { endpointPath } from '#data-plane/providers/provider.ts';
import { systemClock } from '#shared/clock.ts';
import { type FakeRealtime, startFakeRealtime } from '#test/harness/fake-provider/realtime-server.ts';
import { errorOf, goodKey, limitedKey, type TestGateway } from '#test/harness/gateway.ts';
import { openSession, realtimeGateway, refusalOf } from '#test/harness/realtime.ts';

let fake: FakeRealtime;
let gateway: TestGateway;

beforeAll(async () => {
  fake = await startFakeRealtime({ requiredKey: 'provider-secret-one' });
  gateway = await realtimeGateway(fake);
});

/** With the snapshot the gateway forgets who failed before. */
beforeEach(() => {
  const { snapshot } = gateway;
  gateway.snapshot = snapshot;
});

afterAll(async () => {
  await gateway.stop();
  await fake.stop();
});

function sdk(model: string, apiKey: string = goodKey): OpenAIRealtimeWS {
  const client = new OpenAI({ apiKey, baseURL: `${gateway.url}/v1` });
  // The SDK insists on TLS, which is not what is tested here.
  return new OpenAIRealtimeWS({ model, options: { createConnection: () => connect(gateway.port) } }, client);
}

test('the official SDK holds a conversation', async () => {
  const session = sdk('ok');
  const said: string[] = [];
  const audio: string[] = [];
  session.on('error', (error) => said.push(error.message));
  session.on('response.output_text.delta', (event) => said.push(event.delta));
  session.on('response.output_audio.delta', (event) => audio.push(event.delta));
  const done = new Promise<number | undefined>((resolve) => {
    session.on('response.done', (event) => resolve(event.response.usage?.total_tokens));
  });
  session.on('session.created', () => {
    session.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Be short.' } });
    session.send({ type: 'response.create' });
  });
  expect(await done).toBe(175);
  expect(said).toEqual(['word1 ', 'word2 ', 'word3 ']);
  expect(audio.map((piece) => Buffer.from(piece, 'base64').length)).toEqual([24, 24, 24]);
  session.close();
});

test('what was used is in the ledger, each response once', async () => {
  const before = gateway.ledger.entries.length;
  const billedBefore = fake.bill().length;
  const session = await openSession(gateway, 'renamed');
  expect(session.headers['x-signalbox-model']).toBe('renamed');
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  session.say({ type: 'response.create' });
  await expect.poll(() => fake.bill().length - billedBefore).toBe(2);
  session.socket.close(1000);
  await expect
    .poll(() => gateway.ledger.entries.slice(before).every(({ settlements }) => settlements.length === 1))
    .toBe(true);
  const entries = gateway.ledger.entries.slice(before);
  expect(
    entries.map(({ intent }) => [intent.attemptNumber, intent.operation, intent.model, intent.upstreamModel]),
  ).toEqual([
    [1, 'realtime', 'renamed', 'chunks-1'],
    [2, 'realtime', 'renamed', 'chunks-1'],
    [3, 'realtime', 'renamed', 'chunks-1'],
  ]);
  const used = entries.slice(1).map(({ settlements }) => settlements[0]!);
  for (const { outcome, usage } of used) {
    expect(outcome).toBe('completed');
    expect(usage).toEqual({
      input: 16,
      inputCacheRead: 64,
      inputCacheWrite: 0,
      inputAudio: 40,
      output: 15,
      outputReasoning: 0,
      outputAudio: 40,
    });
  }
  expect(used.map(({ upstreamId }) => upstreamId)).toEqual(
    fake
      .bill()
      .slice(billedBefore)
      .map(({ id }) => id),
  );
  expect(new Set(entries.map(({ intent }) => intent.requestId)).size).toBe(1);
});

test('a response is settled before the client hears of its end', async () => {
  const before = gateway.ledger.entries.length;
  const session = await openSession(gateway, 'ok');
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  expect(gateway.ledger.entries[before + 1]!.settlements).toHaveLength(1);
  session.socket.close();
});

test('a response that the provider fails is entered as failed, with what it used', async () => {
  const before = gateway.ledger.entries.length;
  const session = await openSession(gateway, 'fails-inside');
  session.say({ type: 'response.create' });
  await session.hear('response.done');
  session.socket.close();
  expect(gateway.ledger.entries[before + 1]!.settlements[0]).toMatchObject({
    outcome: 'failed',
    errorCode: 'upstream_overloaded',
    usage: { outputAudio: 40 },
  });
});

test('a transcription is an attempt of the model that made it', async () => {
  const before = gateway.ledger.entries.length;
  const session = await openSession(gateway, 'ok');
  const transcription = { model: 'scribe', language: 'en' };
  session.say({ type: 'session.update', session: { audio: { input: { transcription } } } });
  session.say({ type: 'input_audio_buffer.commit' });
  await session.hear('conversation.item.input_audio_transcription.completed');
  expect(gateway.ledger.entries[before + 1]).toMatchObject({
    intent: { requestedModel: 'scribe', model: 'scribe', upstreamModel: 'scribe-upstream' },
    settlements: [{ outcome: 'completed', usage: { input: 0, inputAudio: 13, output: 9 } }],
  });
  expect(fake.received().some((event) => event.includes('"model":"scribe-upstream"'))).toBe(true);
  session.socket.close();
});

describe('who may come in', () => {
  test.each([
    ['a stranger', 'ok', 'sb-wrong', 401, 'invalid_api_key'],
    ['nobody', 'ok', '', 401, 'missing_api_key'],
    ['a key that may not use the model', 'loud', limitedKey, 403, 'model_not_allowed'],
    ['a model that does not exist', 'nothing', goodKey, 404, 'model_not_found'],
    ['no model', '', goodKey, 400, 'invalid_request'],
    ['a provider without sessions', 'written', goodKey, 400, 'unsupported_by_provider'],
    ['a provider that says no', 'rejects', goodKey, 400, 'upstream_rejected'],
    ['a provider that fails', 'broken', goodKey, 502, 'upstream_error'],
    ['a provider that never answers', 'deaf', goodKey, 504, 'upstream_timeout'],
    ['a provider that lets in and says nothing', 'mute', goodKey, 504, 'upstream_timeout'],
    ['a provider that refuses in its first message', 'inside', goodKey, 502, 'upstream_model_missing'],
  ])('%s is answered as every request', async (_what, model, key, status, code) => {
    const refusal = await refusalOf(openSession(gateway, model, { key }));
    expect({ status: refusal.status, code: JSON.parse(refusal.body).error.code }).toEqual({ status, code });
    expect(refusal.headers['x-request-id']).toBeDefined();
    expect(refusal.body).not.toContain('provider-secret');
  });

  test('a browser brings its key among the subprotocols, and never sees it again', async () => {
    const session = await openSession(gateway, 'ok', {
      key: '',
      protocols: ['realtime', `openai-insecure-api-key.${goodKey}`, 'openai-beta.realtime-v1'],
    });
    expect(session.socket.protocol).toBe('realtime');
    expect(JSON.stringify(session.headers)).not.toContain(goodKey);
    const { headers } = fake.handshakes().at(-1)!;
    expect(headers['openai-beta']).toBe('realtime=v1');
    expect(headers['sec-websocket-protocol']).toBeUndefined();
    session.socket.close();
  });

  test('a plain request is told to ask for a WebSocket', async () => {
    const headers = { authorization: `Bearer ${goodKey}` };
    const response = await fetch(`${gateway.url}/v1/realtime?model=ok`, { headers });
    expect([response.status, (await errorOf(response)).code]).toEqual([426, 'upgrade_required']);
  });

  test('elsewhere a wish for a WebSocket is passed over', async () => {
    const socket = connect(gateway.port);
    socket.write(
      `GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: Bearer ${goodKey}\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (bytes) => resolve(bytes.toString())),
    );
    expect(answer).toContain('HTTP/1.1 200 OK');
    socket.destroy();
  });
});

test('what fails before the session is open is mended by the next deployment', async () => {
  const before = gateway.ledger.entries.length;
  const session = await openSession(gateway, 'patient');
  expect(session.headers['x-signalbox-model']).toBe('ok');
  expect(session.headers['x-signalbox-route']).toBe('patient');
  expect(session.headers['x-signalbox-attempts']).toBe('5');
  await session.hear('session.created');
  const tried = gateway.ledger.entries.slice(before);
  expect(tried.map(({ intent, settlements }) => [intent.model, settlements[0]?.errorCode])).toEqual([
    ['broken', 'upstream_error'],
    ['inside', 'upstream_model_missing'],
    ['deaf', 'upstream_timeout'],
    ['mute', 'upstream_timeout'],
    ['ok', undefined],
  ]);
  session.socket.close();
});

test('what reaches the provider: its own credentials and model, nothing of the client', async () => {
  const session = await openSession(gateway, 'renamed', {
    headers: {
      'openai-beta': 'realtime=v1',
      'openai-organization': 'org-theirs',
      cookie: 'a=b',
      origin: 'https://app',
    },
  });
  const { path, headers } = fake.handshakes().at(-1)!;
  expect(path).toBe('/v1/realtime?model=chunks-1');
  expect(headers.authorization).toBe('Bearer provider-secret-one');
  expect(headers['openai-beta']).toBe('realtime=v1');
  for (const name of ['openai-organization', 'cookie', 'origin', 'x-api-key'])
    expect(headers[name]).toBeUndefined();
  expect(JSON.stringify(headers)).not.toContain(goodKey);
  session.socket.close();
});

test.each([
  [{}, '/openai/v1/realtime?model=my%20voice'],
  [
    { api_version: '2025-04-01-preview' },
    '/openai/realtime?api-version=2025-04-01-preview&deployment=my%20voice',
  ],
])('Azure has sessions elsewhere: with the settings %o', (settings, path) => {
  const tools = { upstream: gateway.upstream, clock: systemClock, environment: {} };
  const { realtime } = azure('azure', { family: 'azure', needsKey: true, modelPatterns: [] }, tools);
  expect(endpointPath(realtime!, { model: 'my voice', stream: true, settings })).toBe(path);
});
