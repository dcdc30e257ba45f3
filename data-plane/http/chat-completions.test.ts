import { describe, expect, test, vi } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { ask, errorOf, goodKey, limitedKey, plainSnapshot, startGateway } from '#test/harness/gateway.ts';
import { deploymentOf, providerKeyOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';

const { provider, backup, gateway } = gatewayPerTest(({ provider }) => ({
  snapshot: plainSnapshot(provider),
}));

/** Routes `r` over scripts at the first provider and then the model `ok` at the second. */
function routeOver(...scripts: string[]): void {
  const first = providerOf('first', { baseUrl: provider.baseUrl });
  const second = providerOf('second', { baseUrl: backup.baseUrl });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [
      ...scripts.map((script, index) =>
        deploymentOf(`m${index}`, first, { id: `d${index}`, upstreamModel: script }),
      ),
      deploymentOf('good', second, { id: 'good', upstreamModel: 'ok' }),
    ],
    routes: [
      routeOf('r', [...scripts.map((_, index) => `m${index}`), 'good']),
      routeOf(
        'bare',
        scripts.map((_, index) => `m${index}`),
      ),
    ],
  });
}

describe('a request to an upstream of the same dialect', () => {
  const odd = `{ "model" :\t"renamed","messages":[{"role":"user","content":"\\u00e4 \u{1F600}"}] , "unknown_field": {"a":[1,2.50,-0]}, "temperature":0 ,"metadata":null }`;

  test('arrives byte by byte as it was sent, but for the model', async () => {
    const fake = providerOf('fake', { baseUrl: provider.baseUrl });
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [deploymentOf('renamed', fake, { upstreamModel: 'ok' })],
    });
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
      body: odd,
    });
    expect(response.status).toBe(200);
    expect(provider.requests()[0]!.body.toString()).toBe(odd.replace('"renamed"', '"ok"'));
  });

  test('carries the provider’s key and none of the client’s headers but the allowed', async () => {
    const fake = providerOf('fake', { baseUrl: provider.baseUrl, keys: [providerKeyOf('main')] });
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [deploymentOf('keyed', fake, { upstreamModel: 'ok' })],
    });
    await ask(gateway.url, {
      model: 'keyed',
      headers: {
        'openai-beta': 'assistants=v2',
        'openai-organization': 'org-mine',
        'x-forwarded-host': 'evil',
        cookie: 'a=b',
        'x-request-id': 'mine',
        'accept-encoding': 'gzip',
        te: 'trailers',
      },
    });
    const { headers } = provider.requests()[0]!;
    expect(headers).toMatchObject({
      authorization: 'Bearer provider-secret-main',
      'openai-beta': 'assistants=v2',
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'x-client-request-id': gateway.ledger.entries[0]!.intent.attemptId,
    });
    expect(headers['user-agent']).toMatch(/^signalbox\//);
    for (const name of ['openai-organization', 'x-forwarded-host', 'cookie', 'x-request-id', 'te']) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  test('is answered with the upstream’s bytes, its status and its type', async () => {
    const answer = await ask(gateway.url, { more: { n: 2 } });
    const direct = await fetch(`${provider.baseUrl}/chat/completions`, {
      method: 'POST',
      body: provider.requests()[0]!.body,
    });
    const stable = (text: string) => text.replaceAll(/fake-\d+/g, 'fake');
    expect(stable(await answer.text())).toBe(stable(await direct.text()));
    expect(answer.headers.get('content-type')).toBe(direct.headers.get('content-type'));
    expect(answer.headers.get('content-length')).toBe(direct.headers.get('content-length'));
  });

  test('says in headers what served it', async () => {
    gateway.snapshot = plainSnapshot(provider, { routes: [routeOf('smart', ['ok'])] });
    const { headers } = await ask(gateway.url, { model: 'smart' });
    expect(headers.get('x-signalbox-model')).toBe('ok');
    expect(headers.get('x-signalbox-provider')).toBe('fake');
    expect(headers.get('x-signalbox-route')).toBe('smart');
    expect(headers.get('x-signalbox-attempts')).toBe('1');
    expect(Number(headers.get('x-signalbox-overhead-ms'))).toBeGreaterThan(0);
  });

  test('is written down before it is sent and settled with the provider’s usage', async () => {
    provider.setBehaviour('chunks-7');
    await (await ask(gateway.url)).text();
    const [entry] = gateway.ledger.entries;
    expect(entry!.intent).toMatchObject({
      keyId: 'key_good',
      requestedModel: 'ok',
      model: 'ok',
      provider: 'fake',
      upstreamModel: 'ok',
      attemptNumber: 1,
      operation: 'openai-chat',
      streamed: false,
    });
    expect(entry!.settlements).toMatchObject(
      [
        {
          outcome: 'completed',
          upstreamStatus: 200,
          errorCode: '',
          usage: { output: 7 },
          upstreamId: /chatcmpl-fake/,
        },
      ].map(({ upstreamId: _, ...rest }) => rest),
    );
    expect(entry!.settlements[0]!.rawUsage).toContain('"completion_tokens":7');
  });

  test('of ten megabytes goes through', async () => {
    const text = 'x'.repeat(10 * 1024 * 1024);
    const response = await ask(gateway.url, { more: { padding: text } });
    expect(response.status).toBe(200);
    expect(provider.requests()[0]!.body.length).toBeGreaterThan(text.length);
  });

  test('is not sent when it cannot be written down', async () => {
    gateway.ledger.refusal = new SignalboxError('ledger_unavailable', 'The disk is full.', {
      retryAfterMs: 5000,
    });
    const response = await ask(gateway.url);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
    expect(provider.requests()).toEqual([]);
  });
});

describe('a model', () => {
  test('that does not exist is 404 in OpenAI’s shape', async () => {
    const response = await ask(gateway.url, { model: 'gpt-99' });
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  test('that the key may not use is 403, whether it exists or not', async () => {
    for (const model of ['fake/ok', 'gpt-99']) {
      const response = await ask(gateway.url, { model, key: limitedKey });
      expect(response.status).toBe(403);
      expect(await errorOf(response)).toMatchObject({ code: 'model_not_allowed' });
    }
    expect((await ask(gateway.url, { key: limitedKey })).status).toBe(200);
  });
});

describe('failing over before the first byte', () => {
  test.each([
    ['error-500', 'upstream_error'],
    ['error-503', 'upstream_overloaded'],
    ['error-429', 'upstream_rate_limited'],
    ['error-401', 'upstream_unauthorized'],
    ['error-404', 'upstream_model_missing'],
    ['cut-at-byte-0', 'upstream_unreachable'],
    ['cut-at-byte-20', 'upstream_truncated'],
    ['cut-at-byte-200.rst', 'upstream_truncated'],
    ['garbage', 'upstream_invalid'],
    ['wrong-content-type', 'upstream_invalid'],
  ])('%s at the first is answered by the second', async (script, code) => {
    for (const stream of [false, true]) {
      const before = gateway.ledger.entries.length;
      routeOver(script);
      const response = await ask(gateway.url, { model: 'r', stream });
      expect(response.status).toBe(200);
      expect(response.headers.get('x-signalbox-attempts')).toBe('2');
      expect(response.headers.get('x-signalbox-provider')).toBe('second');
      expect(await response.text()).toContain('word5');
      const [first, second] = gateway.ledger.story.slice(before);
      expect(first).toMatch(
        script.startsWith('cut') ? /^failed upstream_(unreachable|truncated)$/ : `failed ${code}`,
      );
      expect(second).toBe('completed');
    }
  });

  test('a stream that opens with an error has not begun', async () => {
    routeOver('error-in-stream-after-0');
    const response = await ask(gateway.url, { model: 'r', stream: true });
    expect(response.headers.get('x-signalbox-provider')).toBe('second');
    expect(await response.text()).not.toContain('"error"');
  });

  test('silence is a time-out', async () => {
    const slow = providerOf('first', { baseUrl: provider.baseUrl });
    const quick = providerOf('second', { baseUrl: backup.baseUrl });
    for (const script of ['never-head', 'slow-head-5000ms']) {
      gateway.snapshot = plainSnapshot(provider, {
        deployments: [
          deploymentOf('m', slow, { upstreamModel: script, timeoutMs: 150 }),
          deploymentOf('m', quick, { upstreamModel: 'ok', priority: 2 }),
        ],
      });
      const response = await ask(gateway.url, { model: 'm', stream: true });
      expect(response.headers.get('x-signalbox-provider')).toBe('second');
      expect(await response.text()).toContain('[DONE]');
    }
    const eachTime = ['failed upstream_timeout', 'completed'];
    expect(gateway.ledger.story).toEqual([...eachTime, ...eachTime]);
  });

  test('what the caller has to mend is passed on in the provider’s own words and tried nowhere else', async () => {
    routeOver('error-400');
    const response = await ask(gateway.url, { model: 'r' });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: 'The fake provider rejects this request.',
        type: 'invalid_request_error',
        param: null,
        code: null,
      },
    });
    expect(backup.requests()).toEqual([]);
    expect(gateway.ledger.story).toEqual(['failed upstream_rejected']);
  });

  test('when all fail, the answer is the most useful failure with its own status', async () => {
    routeOver('error-500', 'error-429-retry-7', 'error-401');
    const response = await ask(gateway.url, { model: 'bare' });
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('7');
    expect(response.headers.get('retry-after-ms')).toBe('7000');
    expect(response.headers.get('x-signalbox-attempts')).toBe('3');
    expect(await errorOf(response)).toMatchObject({
      code: 'upstream_rate_limited',
      type: 'rate_limit_error',
    });
  });

  test('a refusal of our own credentials shows nothing of them', async () => {
    const response = await ask(gateway.url, { model: 'fake/error-401' });
    expect(response.status).toBe(502);
    expect(await errorOf(response)).toMatchObject({ code: 'upstream_unauthorized' });
  });

  test('an upstream that is not there is 502', async () => {
    const gone = providerOf('gone', { baseUrl: 'http://127.0.0.1:1/v1' });
    gateway.snapshot = plainSnapshot(provider, { deployments: [deploymentOf('m', gone)] });
    const response = await ask(gateway.url, { model: 'm' });
    expect(response.status).toBe(502);
    expect(await errorOf(response)).toMatchObject({ code: 'upstream_unreachable' });
  });

  test('each target is tried once, and never more targets than the limit', async () => {
    const many = Array.from({ length: 12 }, () => 'error-500');
    routeOver(...many);
    expect((await ask(gateway.url, { model: 'bare' })).status).toBe(502);
    expect(provider.requests()).toHaveLength(8);
    expect(new Set(gateway.ledger.entries.map(({ intent }) => intent.deployment)).size).toBe(8);
    expect(gateway.ledger.entries.map(({ intent }) => intent.attemptNumber)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  });

  test('a route that leads nowhere is 404', async () => {
    gateway.snapshot = plainSnapshot(provider, { routes: [routeOf('empty', ['gone'])] });
    expect((await ask(gateway.url, { model: 'empty' })).status).toBe(404);
  });
});

describe('several keys of one provider', () => {
  test('another key of the same deployment is tried where the key was at fault', async () => {
    provider.setBehaviour('error-401', { times: 1 });
    const fake = providerOf('keyed', {
      baseUrl: provider.baseUrl,
      keys: [providerKeyOf('a'), providerKeyOf('b')],
    });
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [deploymentOf('m', fake, { upstreamModel: 'ok' })],
    });
    const response = await ask(gateway.url, { model: 'm' });
    expect(response.status).toBe(200);
    const used = gateway.ledger.entries.map(({ intent }) => intent.providerKey);
    expect(new Set(used)).toEqual(new Set(['a', 'b']));
  });

  test('a key at its limit is not used, and when all are, the answer says when one is free', async () => {
    const keys = [providerKeyOf('a', { rpm: 1 }), providerKeyOf('b', { rpm: 1 })];
    const fake = providerOf('keyed', { baseUrl: provider.baseUrl, keys });
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [deploymentOf('m', fake, { upstreamModel: 'ok' })],
    });
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(200);
    expect((await ask(gateway.url, { model: 'm' })).status).toBe(200);
    const refused = await ask(gateway.url, { model: 'm' });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(provider.requests()).toHaveLength(2);
    expect(await errorOf(refused)).toMatchObject({ code: 'upstream_rate_limited' });
  });

  test('a key at its limit makes room for the next deployment', async () => {
    const keys = [providerKeyOf('a', { tpm: 3 })];
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [
        deploymentOf('m', providerOf('keyed', { baseUrl: provider.baseUrl, keys }), { upstreamModel: 'ok' }),
        deploymentOf('m', providerOf('second', { baseUrl: backup.baseUrl }), {
          upstreamModel: 'ok',
          priority: 2,
        }),
      ],
    });
    expect((await ask(gateway.url, { model: 'm' })).headers.get('x-signalbox-provider')).toBe('keyed');
    expect((await ask(gateway.url, { model: 'm' })).headers.get('x-signalbox-provider')).toBe('second');
  });
});

describe('a client that leaves', () => {
  test('before the upstream has answered stops the upstream', async () => {
    const leaving = new AbortController();
    const asked = ask(gateway.url, { model: 'fake/never-head', signal: leaving.signal });
    await vi.waitFor(() => expect(provider.requests()).toHaveLength(1));
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await vi.waitFor(() => expect(provider.bill()).toMatchObject([{ aborted: true, finished: false }]));
    await vi.waitFor(() => expect(gateway.ledger.story).toEqual(['cancelled client_closed']));
    expect(gateway.gateway.inFlight).toBe(0);
  });

  test('is not followed to another target', async () => {
    routeOver('never-head');
    const leaving = new AbortController();
    const asked = ask(gateway.url, { model: 'r', signal: leaving.signal });
    await vi.waitFor(() => expect(provider.requests()).toHaveLength(1));
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await vi.waitFor(() => expect(gateway.gateway.inFlight).toBe(0));
    expect(backup.requests()).toEqual([]);
  });
});

describe('an answer that is too large', () => {
  test('to be held is refused instead of filling memory', async () => {
    const small = await startGateway({
      snapshot: plainSnapshot(provider),
      limits: { responseBodyBytesMax: 1024 * 1024 },
    });
    const response = await ask(small.url, { model: 'fake/big-4mb' });
    expect(response.status).toBe(502);
    expect(await errorOf(response)).toMatchObject({ code: 'upstream_invalid' });
    await small.stop();
  });
});
