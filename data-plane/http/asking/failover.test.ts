import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Ask,
  ask,
  errorOf,
  type FakeProvider,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { answerOf, type RawServer, startRawServer } from '#test/harness/raw-server.ts';
import { deploymentOf, providerKeyOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import type { Route } from '../../snapshot/snapshot.ts';

let provider: FakeProvider;
/** Refuses every prompt, with the code that is the model's name. */
let refusing: RawServer;
let gateway: TestGateway;

beforeAll(async () => {
  provider = await startFakeProvider();
  refusing = await startRawServer({
    onData: (connection) => {
      const code = /"model":"([a-z_]+)"/.exec(connection.received())?.[1];
      const body = JSON.stringify({ error: { message: 'own words', type: 'invalid_request_error', code } });
      connection.socket.write(answerOf(body, 'HTTP/1.1 400 Bad Request'));
    },
  });
});

beforeEach(async () => {
  provider.reset();
  gateway = await startGateway();
});

afterEach(async () => {
  await gateway.stop();
});

afterAll(async () => {
  await Promise.all([provider.stop(), refusing.stop()]);
});

const refusals = ['context_length_exceeded', 'content_filter'];

/** A route over models that are scripts, each at a provider of its own; further models are there without being members. */
function offer(members: readonly string[], route: Partial<Route> = {}, others: readonly string[] = []): void {
  const deployments = [...members, ...others].map((script, index) => {
    const baseUrl = refusals.includes(script) ? `http://127.0.0.1:${refusing.port}/v1` : provider.baseUrl;
    return deploymentOf(script, providerOf(`p${index}`, { baseUrl }), { id: script });
  });
  gateway.snapshot = plainSnapshot(provider, {
    deployments,
    routes: [{ ...routeOf('smart', members), ...route }],
  });
}

const smart = (options: Ask = {}) => ask(gateway.url, { model: 'smart', ...options });

describe('the time of a route', () => {
  test('is the time of the whole request', async () => {
    offer(['never-head', 'never-head.fin'], { timeoutMs: 60 });
    const response = await smart();
    expect([response.status, (await errorOf(response)).code]).toEqual([504, 'deadline_exceeded']);
  });

  test('is shared by attempts: who takes more than its part is not waited for', async () => {
    offer(['never-head', 'ok'], { timeoutMs: 60_000, failoverTimeoutMultiple: 0.001 });
    expect((await smart()).status).toBe(200);
    expect(gateway.ledger.story).toEqual(['failed upstream_timeout', 'completed']);
  });

  test('of the caller is shared too, and nobody is to blame for needing more', async () => {
    offer(['never-head', 'ok'], { failoverTimeoutMultiple: 0.001 });
    for (let request = 0; request < 8; request += 1) {
      const response = await smart({ headers: { 'x-signalbox-timeout': '20s' } });
      expect(response.status).toBe(200);
      await response.text();
    }
    expect(gateway.ledger.story.filter((end) => end === 'failed upstream_timeout')).toHaveLength(8);
  });

  test('or of the caller, whichever is shorter', async () => {
    offer(['never-head'], { timeoutMs: 60_000 });
    const error = await errorOf(await smart({ headers: { 'x-signalbox-timeout': '40ms' } }));
    expect(error.message).toContain('40 ms');
  });
});

describe.each([
  ['too long', 'context_length_exceeded', 'contextWindowFallbacks', 'context_length_exceeded'],
  ['filtered', 'content_filter', 'contentPolicyFallbacks', 'content_filtered'],
])('a prompt that is %s', (_what, refusal, list, code) => {
  test('goes to the models that the route names for that, none of them twice', async () => {
    offer([refusal, 'ok.chunks-2'], { [list]: [refusal, 'ok.chunks-9'] }, ['ok.chunks-9']);
    const response = await smart({ stream: true });
    expect([response.status, response.headers.get('x-signalbox-model')]).toEqual([200, 'ok.chunks-9']);
    await response.text();
    expect(gateway.ledger.story).toEqual([`failed ${code}`, 'completed']);
    expect(gateway.ledger.entries.at(-1)!.intent.trail).toBe(`after ${code} at p0`);
  });

  test('is the caller’s to mend where the route names nobody, in the provider’s words', async () => {
    offer([refusal, 'ok.chunks-2']);
    const response = await smart();
    expect([response.status, (await errorOf(response)).message]).toEqual([400, 'own words']);
    expect(gateway.ledger.story).toEqual([`failed ${code}`]);
  });

  test('is what the caller hears when the others are out of reach for good', async () => {
    offer([refusal], { [list]: ['error-401'] }, ['error-401']);
    const response = await smart();
    expect([response.status, (await errorOf(response)).code]).toEqual([400, code]);
    expect(gateway.ledger.story).toEqual([`failed ${code}`, 'failed upstream_unauthorized']);
  });
});

test('a conversation is cheapest where its prompt is warm, and only that one', async () => {
  const priced = (name: string, inputCacheRead: number, input: number) =>
    deploymentOf('ok', providerOf(name, { baseUrl: provider.baseUrl }), {
      id: name,
      model: name,
      price: { input, inputCacheRead, output: 0 },
    });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [priced('cheap', 90, 90), priced('warm', 10, 100)],
    routes: [{ ...routeOf('smart', ['cheap', 'warm']), strategy: 'lowest-cost' }],
  });
  const answeredBy = async (content: string, headers?: Record<string, string>): Promise<string | null> => {
    const more = { messages: [{ role: 'user', content }] };
    const response = await smart({ more, ...(headers && { headers }) });
    await response.text();
    return response.headers.get('x-signalbox-provider');
  };
  expect(await answeredBy('one story')).toBe('cheap');
  expect(await answeredBy('one story', { 'x-signalbox-provider': 'warm' })).toBe('warm');
  expect(await answeredBy('one story')).toBe('warm');
  expect(await answeredBy('another story')).toBe('cheap');
});

test('a client that leaves while a busy provider is given a moment is not asked for any more', async () => {
  const busy = providerOf('busy', {
    baseUrl: provider.baseUrl,
    keys: [providerKeyOf('one'), providerKeyOf('two')],
  });
  await gateway.stop();
  // The longest moment there is.
  gateway = await startGateway({ random: () => 0.999 });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [deploymentOf('error-429', busy)],
    routes: [routeOf('smart', ['error-429'])],
  });
  const leaving = new AbortController();
  const asked = smart({ signal: leaving.signal });
  await expect.poll(() => gateway.ledger.story).toEqual(['failed upstream_rate_limited']);
  leaving.abort();
  await expect(asked).rejects.toThrow();
  await expect.poll(() => gateway.gateway.inFlight).toBe(0);
  expect(gateway.ledger.story).toHaveLength(1);
});

describe('where a request went', () => {
  test('is told to whoever asks', async () => {
    offer(['error-503', 'ok.chunks-2']);
    const response = await smart({ headers: { 'x-signalbox-debug': 'true' } });
    expect(response.headers.get('x-signalbox-trail')).toMatch(
      /^error-503 at \d+ ms, [^;]+: upstream_overloaded after \d+ ms; ok.chunks-2 at \d+ ms, after upstream_overloaded at p0: asked$/,
    );
  });

  test('is told with an error as well', async () => {
    offer(['error-503', 'error-500']);
    const response = await smart({ more: { 'x-gateway': { debug: true } } });
    expect(response.headers.get('x-signalbox-trail')).toMatch(/upstream_error after \d+ ms$/);
  });

  test('is told to nobody else', async () => {
    offer(['error-503', 'ok']);
    expect((await smart()).headers.has('x-signalbox-trail')).toBe(false);
  });

  test('is written down with every attempt', async () => {
    offer(['error-503', 'ok']);
    await smart();
    expect(gateway.ledger.entries.map(({ intent }) => intent.trail)).toEqual([
      'the only deployment',
      'after upstream_overloaded at p0',
    ]);
  });
});

test('when everyone is shut off, one is tried for a part of its time, and the error says what is the matter', async () => {
  offer(['never-head', 'never-head.fin']);
  const short = providerOf('short', { baseUrl: provider.baseUrl });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [deploymentOf('never-head', short, { timeoutMs: 200 })],
    routes: [routeOf('smart', ['never-head'])],
  });
  for (let request = 0; request < 5; request += 1) await (await smart()).text();
  const response = await smart({ headers: { 'x-signalbox-debug': 'true' } });
  const error = await errorOf(response);
  expect([response.status, error.code]).toEqual([504, 'upstream_timeout']);
  expect(error.message).toContain('50 ms');
  expect(response.headers.get('x-signalbox-trail')).toContain('passed over: shut off');
});

test('however many have just died, the one that is left answers, with no retry left to spend', async () => {
  const gone = await startRawServer({ onData: () => {} });
  await gone.stop();
  const dead = Array.from({ length: 4 }, (_, index) =>
    deploymentOf('m', providerOf(`dead-${index}`, { baseUrl: `http://127.0.0.1:${gone.port}/v1` }), {
      id: `dead-${index}`,
      priority: 1,
    }),
  );
  const left = deploymentOf('m', providerOf('left', { baseUrl: provider.baseUrl }), {
    id: 'left',
    upstreamModel: 'ok',
    priority: 2,
  });
  gateway.snapshot = plainSnapshot(provider, { deployments: [...dead, left] });
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(gateway.url, { model: 'm' })));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
});
