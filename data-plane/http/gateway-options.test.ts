// What a client says to the gateway is honoured, told back, written down, and never reaches a provider.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger, type Logger } from '#shared/log.ts';
import {
  errorOf,
  type FakeProvider,
  goodKey,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { type RawServer, startRawServer } from '#test/harness/raw-server.ts';
import { deploymentOf, principalOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { anthropic } from '../providers/anthropic.ts';
import { demoProvider } from '../providers/demo.ts';
import type { Provider } from '../providers/provider.ts';

const droppingKey = 'sb-dropping';
const json = { 'x-api-key': goodKey, 'content-type': 'application/json' };

/** Answers here, and never does. */
const stuck: Provider = {
  ...demoProvider,
  async *answer(_request, { signal }) {
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
    yield* [];
  },
};

let provider: FakeProvider;
let backup: FakeProvider;
let silence: RawServer;
let gateway: TestGateway;
const logged: string[] = [];

beforeAll(async () => {
  provider = await startFakeProvider();
  backup = await startFakeProvider();
  const chat = providerOf('chat', { baseUrl: provider.baseUrl });
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  silence = await startRawServer({});
  const mute = providerOf('mute', {
    baseUrl: `http://127.0.0.1:${silence.port}/v1`,
    kind: anthropic('anthropic'),
  });
  const spare = providerOf('spare', { baseUrl: backup.baseUrl });
  gateway = await startGateway({
    log: Object.assign(Object.create(createLogger('silent')) as Logger, {
      debug: (line: object) => void logged.push(JSON.stringify(line)),
    }),
    snapshot: plainSnapshot(provider, {
      providers: [claude, mute, providerOf('stuck', { kind: stuck })],
      deployments: [
        deploymentOf('slow', chat, { upstreamModel: 'never-head', tags: ['eu'] }),
        deploymentOf('backup', spare, { upstreamModel: 'ok' }),
        deploymentOf('claude-model', claude, { upstreamModel: 'ok' }),
      ],
      routes: [
        routeOf('broken-then-backup', ['slow', 'backup']),
        routeOf('claude-then-chat', ['claude-model', 'ok']),
      ],
      keys: { [droppingKey]: principalOf('key_dropping', { dropsUnsupported: true }) },
    }),
  });
});

beforeEach(() => {
  provider.reset();
  backup.reset();
  logged.length = 0;
});

afterAll(async () => {
  await gateway.stop();
  await provider.stop();
  await backup.stop();
  await silence.stop();
});

const paths = { chat: '/v1/chat/completions', messages: '/v1/messages' } as const;
type Client = keyof typeof paths;

interface Sent {
  readonly client?: Client;
  readonly model?: string;
  readonly key?: string;
  readonly gateway?: unknown;
  readonly headers?: Record<string, string>;
  readonly more?: object;
}

function send({ client = 'chat', model = 'ok', key = goodKey, headers = {}, more = {}, ...rest }: Sent) {
  return fetch(gateway.url + paths[client], {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model,
      max_tokens: 100,
      messages: [{ role: 'user', content: 'hello' }],
      ...more,
      ...('gateway' in rest && { 'x-gateway': rest.gateway }),
    }),
  });
}

function latest() {
  return gateway.ledger.entries.at(-1)!;
}

describe('a time limit', () => {
  test.each<[string, Sent]>([
    ['in the body', { gateway: { timeout: '80ms' } }],
    ['as a number', { gateway: { timeout: 80 } }],
    ['in a header', { headers: { 'x-signalbox-timeout': '80ms' } }],
  ])('%s ends a request that has no answer yet with 504', async (_where, sent) => {
    const response = await send({ model: 'fake/never-head', ...sent });
    expect(response.status).toBe(504);
    expect(response.headers.get('x-should-retry')).toBe('false');
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'deadline_exceeded', type: 'timeout_error' });
    expect(error.message).toContain('80 ms');
    expect(latest().settlements).toMatchObject([{ outcome: 'failed', errorCode: 'deadline_exceeded' }]);
    await vi.waitFor(() => expect(provider.bill()[0]?.aborted).toBe(true));
  });

  test('is told to clients of messages in their words', async () => {
    const sent: Sent = { client: 'messages', model: 'claude/never-head', gateway: { timeout: 60 } };
    const response = await send(sent);
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'timeout_error' } });
  });

  test.each<[Client, string]>([
    ['chat', 'fake'],
    ['chat', 'claude'],
    ['messages', 'fake'],
    ['messages', 'claude'],
  ])('ends a stream of %s from %s that has begun with an error', async (client, upstream) => {
    const response = await send({
      client,
      model: `${upstream}/stall-after-2`,
      gateway: { timeout: 150 },
      more: { stream: true },
    });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain('word2');
    expect(text).toContain('150 ms');
    expect(text).not.toMatch(/\[DONE\]|message_stop/);
    expect(latest().settlements).toMatchObject([{ outcome: 'failed', errorCode: 'deadline_exceeded' }]);
    await vi.waitFor(() => expect(provider.load().inFlight).toBe(0));
  });

  test('ends a body that does not become whole', async () => {
    const response = await send({ model: 'fake/stall-after-2', gateway: { timeout: 100 } });
    expect([response.status, (await errorOf(response)).code]).toEqual([504, 'deadline_exceeded']);
  });

  test('ends an answer that is made here', async () => {
    for (const stream of [false, true]) {
      const response = await send({ model: 'stuck/any', gateway: { timeout: 60 }, more: { stream } });
      expect([response.status, (await errorOf(response)).code]).toEqual([504, 'deadline_exceeded']);
      expect(latest().settlements).toMatchObject([{ outcome: 'failed', errorCode: 'deadline_exceeded' }]);
    }
  });

  test('ends what no attempt is made for', async () => {
    const response = await fetch(`${gateway.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: { ...json, 'x-signalbox-timeout': '60ms' },
      body: JSON.stringify({ model: 'mute/any', messages: [{ role: 'user', content: 'hello' }] }),
    });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'timeout_error' } });
  });

  test('holds over all targets: no other is tried once it has passed', async () => {
    const response = await send({ model: 'broken-then-backup', gateway: { timeout: 80 } });
    expect(response.status).toBe(504);
    expect(response.headers.get('x-signalbox-attempts')).toBe('1');
    expect(backup.requests()).toHaveLength(0);
  });

  test('does not touch what is faster', async () => {
    const response = await send({ gateway: { timeout: '30s' } });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ object: 'chat.completion' });
  });

  test('is counted from the arrival of the request', async () => {
    const body = JSON.stringify({ model: 'ok', messages: [], 'x-gateway': { timeout: 20 } });
    const client = await openRaw(gateway.port);
    const headers = { authorization: `Bearer ${goodKey}`, 'content-length': String(body.length) };
    client.send(rawRequest('POST', paths.chat, headers));
    await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(1));
    const before = performance.now();
    await vi.waitFor(() => expect(performance.now() - before).toBeGreaterThan(40));
    client.send(body);
    expect(await client.until((text) => text.includes('deadline_exceeded'))).toMatch(/^HTTP\/1\.1 504 /);
    expect(provider.requests()).toHaveLength(0);
    client.destroy();
  });
});

describe('a provider', () => {
  test('that is asked for is the only one that is called', async () => {
    const response = await send({ model: 'claude-then-chat', gateway: { provider: 'fake' } });
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'fake']);
    expect(provider.requests().map(({ path }) => path)).toEqual(['/v1/chat/completions']);
  });

  test('is not left when it fails', async () => {
    provider.setBehaviour('error-500');
    const headers = { 'x-signalbox-provider': 'claude' };
    const response = await send({ model: 'claude-then-chat', headers });
    expect(response.status).toBe(502);
    expect(response.headers.get('x-signalbox-attempts')).toBe('1');
  });

  test.each(['elsewhere', 'spare'])('%j that does not answer the model is refused', async (name) => {
    const response = await send({ model: 'claude-then-chat', gateway: { provider: name } });
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({ code: 'invalid_request', param: 'x-gateway.provider' });
    expect(error.message).toContain('claude, fake');
    expect(provider.requests()).toHaveLength(0);
  });
});

describe('metadata and tags', () => {
  test.each<[string, Sent]>([
    ['the body', { gateway: { metadata: { feature: 'search', user_id: '7' }, tags: ['nightly'] } }],
    [
      'headers',
      {
        headers: {
          'x-signalbox-metadata': '{"feature":"search","user_id":"7"}',
          'x-signalbox-tags': 'nightly',
        },
      },
    ],
  ])('of %s are written down with every attempt, behind the tags of the deployment', async (_where, sent) => {
    provider.setBehaviour('error-503', { model: 'never-head' });
    const before = gateway.ledger.entries.length;
    await (await send({ model: 'broken-then-backup', ...sent })).text();
    const intents = gateway.ledger.entries.slice(before).map(({ intent }) => intent);
    expect(intents.map(({ tags }) => tags)).toEqual([['eu', 'nightly'], ['nightly']]);
    for (const { metadata } of intents) expect(metadata).toEqual({ feature: 'search', user_id: '7' });
  });
});

describe('leaving out what a provider cannot be asked', () => {
  const picky = { seed: 7, logit_bias: { 5: 1 } };

  test('is refused unless it is asked for', async () => {
    const response = await send({ model: 'claude/ok', more: picky });
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'unsupported_field']);
  });

  test.each<[string, Sent]>([
    ['in the body', { gateway: { drop_unsupported: true } }],
    ['in a header', { headers: { 'x-signalbox-drop-unsupported': 'true' } }],
    ['for the key', { key: droppingKey }],
  ])('is done where it is allowed %s, and told', async (_where, sent) => {
    for (const stream of [false, true]) {
      const response = await send({ model: 'claude/ok', more: { ...picky, stream }, ...sent });
      expect(response.status).toBe(200);
      const dropped = response.headers.get('x-signalbox-dropped')!.split(', ');
      expect(dropped.toSorted()).toEqual(['logit_bias', 'seed']);
      await response.text();
    }
    await vi.waitFor(() => expect(logged.filter((line) => line.includes('logit_bias'))).toHaveLength(2));
    const sentBodies = provider.requests().map(({ body }) => body.toString());
    for (const body of sentBodies) expect(body).not.toMatch(/seed|logit_bias/);
  });

  test('is not done where the request says no, whatever its key says', async () => {
    const response = await send({
      model: 'claude/ok',
      key: droppingKey,
      gateway: { drop_unsupported: false },
      more: picky,
    });
    expect(response.status).toBe(400);
  });

  test('is not told of a target that was left', async () => {
    provider.setBehaviour('error-500', { model: 'ok', times: 1 });
    const response = await send({
      model: 'claude-then-chat',
      gateway: { drop_unsupported: true },
      more: picky,
    });
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'fake']);
    expect(response.headers.has('x-signalbox-dropped')).toBe(false);
  });

  test('is told in a header that any client can take, however many fields there were', async () => {
    const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`field_${at}`, 1]));
    const odd = { 'é,\r\n': 1, '\ud800': 1, __proto_: 1, constructor: 1, 'a b': 1 };
    const response = await send({
      model: 'claude/ok',
      gateway: { drop_unsupported: true },
      more: { ...odd, ...fields },
    });
    expect(response.status).toBe(200);
    const header = response.headers.get('x-signalbox-dropped')!;
    expect(header.length).toBeLessThan(2200);
    const names = header.split(', ');
    expect(names.slice(0, 3)).toEqual(['%C3%A9%2C%0D%0A', '%EF%BF%BD', '__proto_']);
    expect(Number(names.at(-1)!.slice(1)) + names.length - 1).toBe(5005);
  });
});

describe('keeping answers', () => {
  test('is not done, so that asking for it is refused and doing without is accepted', async () => {
    expect((await send({ gateway: { cache: false } })).status).toBe(200);
    expect((await send({ headers: { 'x-signalbox-cache': 'false' } })).status).toBe(200);
    const response = await send({ gateway: { cache: true } });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: 'invalid_request', param: 'x-gateway.cache' });
  });
});

describe('what is said to the gateway', () => {
  const all = '{"timeout":"30s","tags":["t"],"metadata":{"feature":"secret-word"},"cache":false}';
  const places: readonly (readonly [string, (member: string) => string, string])[] = [
    [
      'first',
      (member) => `{${member}, "model" : "ok","messages":[ ],"seed":1}`,
      '{ "model" : "ok","messages":[ ],"seed":1}',
    ],
    [
      'in the middle',
      (member) => `{"model":"ok" , ${member} , "messages":[],"é":"\\u00e9"}`,
      '{"model":"ok" ,  "messages":[],"é":"\\u00e9"}',
    ],
    ['last', (member) => `{"model":"ok","messages":[] ,${member} }`, '{"model":"ok","messages":[]  }'],
    [
      'beside stream options',
      (member) =>
        `{"stream":true,"stream_options":{"include_usage":true},${member},"model":"ok","messages":[]}`,
      '{"stream":true,"stream_options":{"include_usage":true},"model":"ok","messages":[]}',
    ],
  ];

  test.each(places)(
    '%s in the body is cut out of it and nothing else changes',
    async (_where, write, rest) => {
      const response = await fetch(gateway.url + paths.chat, {
        method: 'POST',
        headers: { ...json, 'x-signalbox-provider': 'fake' },
        body: write(`"x-gateway": ${all}`),
      });
      expect(response.status).toBe(200);
      await response.text();
      const [request] = provider.requests();
      expect(request!.body.toString()).toBe(rest);
      expect(JSON.stringify(request!.headers)).not.toMatch(/x-signalbox|secret-word/);
      expect(latest().intent).toMatchObject({ tags: ['t'], metadata: { feature: 'secret-word' } });
    },
  );

  test('alone is no request', async () => {
    const response = await fetch(gateway.url + paths.chat, {
      method: 'POST',
      headers: json,
      body: `{"x-gateway":${all}}`,
    });
    expect([response.status, (await errorOf(response)).param]).toEqual([400, 'model']);
  });

  test('does not reach a provider of another dialect either', async () => {
    const gatewayMember = { metadata: { feature: 'secret-word' }, tags: ['secret-word'] };
    for (const [client, model] of [
      ['chat', 'claude/ok'],
      ['messages', 'fake/ok'],
      ['messages', 'claude/ok'],
    ] as const) {
      expect((await send({ client, model, gateway: gatewayMember })).status).toBe(200);
    }
    expect(JSON.stringify(provider.requests().map(({ body }) => body.toString()))).not.toMatch(
      /secret-word|x-gateway/,
    );
  });

  test.each([
    ['{"model":"ok","messages":[],"x-gateway":{"tags":["a"],"tags" "b"}}', 'invalid_json'],
    ['{"model":"ok","messages":[],"x-gateway":{a:1}}', 'invalid_json'],
    ['{"model":"ok","messages":[],"x-gateway":{},"x-gateway":{}}', 'invalid_request'],
    ['{"model":"ok","messages":[],"X-Gateway":{}}', 'invalid_request'],
    ['{"model":"ok","messages":[],"x-gateway":{"tgas":[]}}', 'invalid_request'],
  ])('is read strictly: %s', async (body, code) => {
    const response = await fetch(gateway.url + paths.chat, { method: 'POST', headers: json, body });
    expect([response.status, (await errorOf(response)).code]).toEqual([400, code]);
    expect(provider.requests()).toHaveLength(0);
  });
});
