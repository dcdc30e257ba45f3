// Copies of requests, as the client, the target and the ledger see them.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Ask, ask, goodKey } from '#test/harness/gateway.ts';
import { MirrorStage } from '#test/harness/mirror-stage.ts';
import { rulesOf } from '#test/harness/route-rules.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { anthropic } from '../../providers/anthropic.ts';
import { compatible } from '../../providers/compatible.ts';

let stage: MirrorStage;

beforeAll(async () => {
  stage = await MirrorStage.open();
});

beforeEach(() => stage.reset());

afterAll(() => stage.close());

/** Everything that a client can see, but what differs from request to request. */
async function seen(options: Ask = {}): Promise<unknown> {
  const response = await ask(stage.gateway.url, { model: 'smart', ...options });
  const headers = Object.fromEntries(response.headers);
  for (const name of ['date', 'x-request-id', 'x-signalbox-overhead-ms']) headers[name] &&= 'some';
  const body = (await response.text()).replaceAll(/"(id|created)":("[^"]*"|\d+)/g, '"$1":0');
  return { status: response.status, headers, body };
}

function post(path: string, body: object): Promise<Response> {
  return fetch(stage.gateway.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const bodySent = (index: number) =>
  JSON.parse(stage.provider.requests()[index]!.body.toString()) as Record<string, unknown>;

describe('a client cannot tell that its request was copied', () => {
  test.each([
    ['is answered', 'ok', 'completed'],
    ['is refused', 'error-500', 'failed upstream_error'],
    ['is limited', 'error-429-retry-60', 'failed upstream_rate_limited'],
    ['is cut off', 'cut-after-1', 'failed upstream_truncated'],
    ['is reset', 'cut-at-byte-30.rst', /^failed upstream_/],
    ['is nonsense', 'garbage', 'failed upstream_invalid'],
    ['never begins', 'never-head', 'open'],
    ['never ends', 'stall-after-1', 'open'],
  ])('that %s', async (_what, shadow, end) => {
    for (const stream of [false, true]) {
      await stage.reset();
      stage.offer({ mirrors: [] });
      const plain = await seen({ stream });
      stage.offer({ shadow });
      expect(await seen({ stream })).toEqual(plain);
      const expected = typeof end === 'string' ? end : expect.stringMatching(end);
      await expect.poll(() => stage.story).toEqual(['completed', 'completed', expected]);
    }
  });

  test('nor when its own request fails', async () => {
    stage.offer({ big: 'error-400', mirrors: [] });
    const plain = await seen();
    stage.offer({ big: 'error-400' });
    expect(await seen()).toEqual(plain);
    await expect.poll(() => stage.copies.length).toBe(1);
  });

  test('whose answer is there while that of the copy is not', async () => {
    stage.offer({ shadow: 'never-head' });
    await seen();
    await expect.poll(() => stage.provider.load().inFlight).toBe(1);
    expect(stage.story).toEqual(['completed', 'open']);
  });
});

describe('a copy', () => {
  test('is asked what the client asked, after it was, and the provider bills it', async () => {
    stage.offer();
    await seen({ more: { temperature: 0.5 } });
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    expect(stage.provider.bill()).toMatchObject([
      { model: 'ok.chunks-3', completionTokens: 3 },
      { model: 'ok.chunks-2', completionTokens: 2, finished: true },
    ]);
    expect({ ...bodySent(1), model: '' }).toEqual({ ...bodySent(0), model: '' });
  });

  test('is asked for a stream where the client was', async () => {
    stage.offer();
    await seen({ stream: true });
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    expect(stage.provider.bill()[1]).toMatchObject({ streamed: true, finished: true });
  });

  test('stands in the ledger as what it is, with its usage', async () => {
    stage.offer();
    await seen({ headers: { 'x-signalbox-tags': 'nightly' } });
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    const [own, copy] = stage.gateway.ledger.entries;
    const { requestId, keyId } = own!.intent;
    expect(own!.intent).toMatchObject({ shadow: false, model: 'big' });
    expect(copy!.intent).toMatchObject({
      ...{ shadow: true, requestId, keyId, attemptNumber: 1, requestedModel: 'smart', route: 'smart' },
      ...{ model: 'shadow', provider: 'elsewhere', tags: ['nightly'], trail: 'copy, the only deployment' },
    });
    expect(copy!.settlements).toMatchObject([{ outcome: 'completed', usage: { output: 2 } }]);
    expect(await stage.counted('answered')).toBe(1);
  });

  test('is asked of one target, whatever becomes of it', async () => {
    stage.offer({
      mirrors: [{ to: 'pair' }],
      target: { upstreamModel: 'error-500' },
      routes: [routeOf('pair', ['shadow', 'ok'])],
    });
    await seen();
    await expect.poll(() => stage.counted('failed')).toBe(1);
    expect(stage.copies.map(({ intent }) => intent.model)).toEqual(['shadow']);
  });

  test('goes to each mirror', async () => {
    stage.offer({ mirrors: [{ to: 'shadow' }, { to: 'ok' }] });
    await seen();
    await expect.poll(() => stage.counted('answered')).toBe(2);
    expect(stage.copies.map(({ intent }) => intent.model)).toEqual(['shadow', 'ok']);
  });

  test('has no copies of its own', async () => {
    const looping = { ...routeOf('loop', ['shadow']), rules: rulesOf({ mirrors: [{ to: 'ok' }] }) };
    stage.offer({ mirrors: [{ to: 'loop' }], routes: [looping] });
    await seen();
    await expect.poll(() => stage.counted('answered')).toBe(1);
    expect(stage.story).toHaveLength(2);
  });

  test('is made of what services do too', async () => {
    stage.offer();
    const response = await post('/v1/embeddings', { model: 'smart', input: 'hello' });
    expect(response.status).toBe(200);
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    expect(stage.copies).toMatchObject([{ intent: { operation: 'embeddings' } }]);
  });
});

describe('what rules forbid', () => {
  const residency = { name: 'residency', only: { regions: 'eu' } };

  test('is not done with a copy', async () => {
    stage.offer({ rules: [residency], target: { region: 'us' } });
    await seen();
    await expect.poll(() => stage.counted('impossible')).toBe(1);
    expect(stage.story).toEqual(['completed']);
    stage.offer({ rules: [residency], target: { region: 'eu' } });
    await seen();
    await expect.poll(() => stage.counted('answered')).toBe(1);
  });

  test('is not done by the name of a route either', async () => {
    const routes = [routeOf('us-pair', ['shadow'])];
    stage.offer({ mirrors: [{ to: 'us-pair' }], rules: [{ exclude: 'us-*' }], routes });
    await seen();
    await expect.poll(() => stage.counted('impossible')).toBe(1);
    expect(stage.copies).toEqual([]);
  });

  test('is not copied where nobody is asked for it', async () => {
    stage.offer({ rules: [{ exclude: 'big' }] });
    const response = await ask(stage.gateway.url, { model: 'smart' });
    expect(response.status).toBe(403);
    stage.offer();
    await seen();
    await expect.poll(() => stage.counted('answered')).toBe(1);
    expect(stage.story).toHaveLength(2);
  });
});

describe('a target that speaks otherwise', () => {
  test('is asked without the fields it does not know', async () => {
    stage.offer({ at: { kind: anthropic('anthropic') } });
    expect(await seen({ more: { logit_bias: { 50256: -100 } } })).toMatchObject({ status: 200 });
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    expect(bodySent(0)).toHaveProperty('logit_bias');
    expect(bodySent(1)).not.toHaveProperty('logit_bias');
  });

  test('is not asked for what it cannot do at all', async () => {
    stage.offer({ at: { kind: anthropic('anthropic') } });
    expect((await post('/v1/embeddings', { model: 'smart', input: 'hello' })).status).toBe(200);
    await expect.poll(() => stage.counted('impossible')).toBe(1);
    expect(stage.story).toEqual(['completed']);
  });
});

describe('a copy of a request for a response', () => {
  const keeping = compatible('openai', { responses: 'kept' });

  test('is kept by nobody', async () => {
    stage.offer({ at: { kind: keeping } });
    const answer = await post('/v1/responses', { model: 'smart', input: 'hello' });
    const { id } = (await answer.json()) as { id: string };
    await expect.poll(() => stage.story).toEqual(['completed', 'completed']);
    expect(bodySent(1)).toMatchObject({ input: 'hello', store: false });
    const kept = (name: string) =>
      fetch(`${stage.gateway.url}/v1/responses/${name}`, { headers: { authorization: `Bearer ${goodKey}` } });
    expect((await kept(id)).status).toBe(200);
    expect((await kept(stage.copies[0]!.settlements[0]!.upstreamId)).status).toBe(404);
  });

  test.each(['chat', 'responses'])('knows the whole conversation where it goes on (%s)', async (form) => {
    const kind = form === 'chat' ? {} : { kind: keeping };
    stage.offer({ at: kind });
    const first = await post('/v1/responses', { model: 'smart', input: 'My name is Alice.' });
    const { id } = (await first.json()) as { id: string };
    await expect.poll(() => stage.story).toHaveLength(2);
    await post('/v1/responses', { model: 'smart', input: 'My name?', previous_response_id: id });
    await expect.poll(() => stage.copies.at(-1)?.settlements.length).toBe(1);
    const sent = JSON.stringify(bodySent(3));
    expect(sent).toContain('My name is Alice.');
    expect(sent).toContain('My name?');
    expect(sent).not.toContain('previous_response_id');
  });
});

test('a client that asks for one provider does not keep copies from the others', async () => {
  stage.offer({ deployments: [deploymentOf('third', providerOf('third'))] });
  await seen({ more: { 'x-gateway': { provider: 'here' } } });
  await expect.poll(() => stage.counted('answered')).toBe(1);
});
