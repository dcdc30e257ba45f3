import { describe, expect, test, vi } from 'vitest';
import {
  ask,
  errorOf,
  expiredKey,
  goodKey,
  limitedKey,
  plainSnapshot,
  startGateway,
} from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerFile } from '#test/harness/stage.ts';

const KIB = 1024;
const json = { 'content-type': 'application/json', authorization: `Bearer ${goodKey}` };

const { provider, gateway } = gatewayPerFile(({ provider }) => ({
  snapshot: plainSnapshot(provider, {
    deployments: [deploymentOf('other', providerOf('elsewhere'))],
    aliases: { fast: 'ok' },
    routes: [routeOf('smart', ['ok'])],
  }),
  limits: {
    requestBodyBytesMax: 256 * KIB,
    requestHeaderBytesMax: 8 * KIB,
    requestHeadersMsMax: 400,
    requestBodyMsMax: 300,
    lingerMs: 100,
  },
}));

function get(path: string, key?: string, method = 'GET') {
  return fetch(gateway.url + path, {
    method,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  });
}

describe('who may see anything below /v1', () => {
  test.each([
    ['GET', '/v1/models'],
    ['GET', '/v1/models/ok'],
    ['GET', '/v1/nothing/here'],
    ['GET', '/v1'],
    ['DELETE', '/v1/chat/completions'],
    ['OPTIONS', '/v1/chat/completions'],
    ['POST', '/v1/chat/completions'],
    ['POST', '/chat/completions'],
  ])('%s %s says nothing to a stranger but 401', async (method, path) => {
    const response = await get(path, undefined, method);
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await errorOf(response)).toMatchObject({ code: 'missing_api_key', type: 'authentication_error' });
  });

  test('an unknown key and an expired key are told apart and never repeated', async () => {
    const unknown = await errorOf(await get('/v1/models', 'sb-whoever'));
    const expired = await errorOf(await get('/v1/models', expiredKey));
    expect([unknown.code, expired.code]).toEqual(['invalid_api_key', 'expired_api_key']);
    expect(unknown.message + expired.message).not.toMatch(/sb-whoever|sb-expired/);
  });

  test('without a configuration the answer is 503, never 401', async () => {
    const empty = await startGateway();
    const response = await ask(empty.url, { key: 'sb-whoever' });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await errorOf(response)).toMatchObject({ code: 'not_ready' });
    await empty.stop();
  });

  test('a key may come as x-api-key', async () => {
    const response = await fetch(`${gateway.url}/v1/models`, { headers: { 'x-api-key': goodKey } });
    expect(response.status).toBe(200);
  });
});

describe('models', () => {
  test('are listed by name: models, routes and aliases', async () => {
    const list = (await (await get('/v1/models', goodKey)).json()) as {
      object: string;
      data: { id: string }[];
    };
    expect(list.object).toBe('list');
    expect(list.data).toMatchObject([
      { id: 'fast', object: 'model', owned_by: 'signalbox' },
      { id: 'ok', object: 'model', owned_by: 'fake' },
      { id: 'other', object: 'model', owned_by: 'elsewhere' },
      { id: 'smart', object: 'model', owned_by: 'signalbox' },
    ]);
    expect(await (await get('/v1/models', goodKey)).json()).toEqual(list);
  });

  test('that a key may not use are neither listed nor shown', async () => {
    expect(await (await get('/v1/models', limitedKey)).json()).toMatchObject({ data: [{ id: 'ok' }] });
    const response = await get('/v1/models/other', limitedKey);
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  test('are shown one by one, percent-encoded or not', async () => {
    for (const path of ['/v1/models/ok', '/v1/models/o%6B', '/v1/models/ok?x=1']) {
      expect(await (await get(path, goodKey)).json()).toMatchObject({ id: 'ok', object: 'model' });
    }
    expect((await get('/v1/models/%zz', goodKey)).status).toBe(400);
    expect((await get('/v1/models/no/such/model', goodKey)).status).toBe(404);
  });
});

describe('methods and paths', () => {
  test('an unknown path is 404 in the shape of every error', async () => {
    for (const [path, key] of [
      ['/nothing', undefined],
      ['/v1/nothing', goodKey],
      ['/apis', undefined],
    ] as const) {
      const response = await get(path, key);
      expect(response.status).toBe(404);
      expect(await errorOf(response)).toMatchObject({
        code: 'not_found',
        type: 'invalid_request_error',
        param: null,
      });
    }
  });

  test('a wrong method is 405 and names the right ones', async () => {
    const response = await get('/v1/chat/completions', goodKey);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST, OPTIONS');
    expect((await get('/v1/models', goodKey, 'POST')).headers.get('allow')).toBe('GET, HEAD, OPTIONS');
  });

  test('OPTIONS names the methods and HEAD answers like GET without a body', async () => {
    const options = await get('/v1/models', goodKey, 'OPTIONS');
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
    const head = await get('/v1/models', goodKey, 'HEAD');
    const full = await get('/v1/models', goodKey);
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(full.headers.get('content-length'));
    expect(await head.text()).toBe('');
  });

  test('a target in absolute form, as proxies send it, is understood', async () => {
    const client = await openRaw(gateway.port);
    client.send(rawRequest('GET', 'http://test/livez?now', { connection: 'close' }));
    expect(await client.end()).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('a visitor finds out what this is', async () => {
    expect(await (await get('/')).json()).toMatchObject({ name: 'Signalbox' });
  });
});

describe('health', () => {
  test.each(['/health', '/health/ready', '/ready', '/readyz', '/health/live', '/livez'])(
    '%s is 200',
    async (path) => {
      const response = await get(path);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ status: 'ok' });
    },
  );

  test('readiness means having a configuration, not being connected', async () => {
    const alone = await startGateway({
      health: () => ({
        nodeId: 'node_a',
        syncConnected: false,
        bus: 'connecting',
        journal: { writable: true, bytes: 7 },
      }),
    });
    const before = await fetch(`${alone.url}/ready`);
    expect([before.status, await before.json()]).toMatchObject([
      503,
      { status: 'not_ready', revision: null },
    ]);
    expect((await fetch(`${alone.url}/livez`)).status).toBe(200);
    alone.snapshot = plainSnapshot(provider);
    const after = await fetch(`${alone.url}/ready`);
    expect([after.status, await after.json()]).toMatchObject([
      200,
      {
        status: 'degraded',
        node: 'node_a',
        revision: 1,
        sync: { connected: false },
        bus: { state: 'connecting' },
      },
    ]);
    await alone.stop();
  });

  test('an instance that cannot write its journal is not ready', async () => {
    const full = await startGateway({
      snapshot: plainSnapshot(provider),
      health: () => ({
        nodeId: 'n',
        syncConnected: true,
        bus: 'connected',
        journal: { writable: false, bytes: 9 },
      }),
    });
    expect((await fetch(`${full.url}/readyz`)).status).toBe(503);
    await full.stop();
  });
});

describe('the administration of an all-in-one instance', () => {
  test('is handed its own paths and no others', async () => {
    const one = await startGateway({
      snapshot: plainSnapshot(provider),
      adminHandler: (request, response) => void response.end(`admin ${request.url}`),
    });
    for (const path of ['/api/v1/keys?x=1', '/swagger/index.html', '/docs']) {
      expect(await (await fetch(one.url + path)).text()).toBe(`admin ${path}`);
    }
    expect((await fetch(`${one.url}/apis`)).status).toBe(404);
    expect((await fetch(`${one.url}/v1/models`)).status).toBe(401);
    await one.stop();
  });
});

describe('request ids', () => {
  test('are ours unless the client brings a sane one, and ours is told beside it', async () => {
    const plain = await get('/livez');
    expect(plain.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(plain.headers.has('x-signalbox-request-id')).toBe(false);
    const own = await fetch(`${gateway.url}/livez`, { headers: { 'x-request-id': 'trace-7/ä'.slice(0, 8) } });
    expect(own.headers.get('x-request-id')).toBe('trace-7/');
    expect(own.headers.get('x-signalbox-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each(['x'.repeat(129), 'two words', '\u00e4'])('that are not sane are replaced (%#)', async (id) => {
    const response = await fetch(`${gateway.url}/livez`, { headers: { 'x-request-id': id } });
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('of the client never name an attempt', async () => {
    const before = gateway.ledger.entries.length;
    for (let turn = 0; turn < 2; turn++)
      await (await ask(gateway.url, { headers: { 'x-request-id': 'same' } })).text();
    const ids = gateway.ledger.entries
      .slice(before)
      .flatMap(({ intent }) => [intent.requestId, intent.attemptId]);
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain('same');
  });
});

describe('bodies', () => {
  const send = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body, headers: { ...json, ...headers } });

  test.each([
    ['{"model":', 400, 'invalid_json'],
    ['', 400, 'invalid_json'],
    ['[]', 400, 'invalid_json'],
    ['{"messages":[]}', 400, 'invalid_request'],
    ['{"model":7}', 400, 'invalid_request'],
    ['{"model":"ok","messages":[],"stream":"yes"}', 400, 'invalid_request'],
  ])('%j is refused with %i %s', async (body, status, code) => {
    const response = await send(body);
    expect(response.status).toBe(status);
    expect(await errorOf(response)).toMatchObject({ code, type: 'invalid_request_error' });
  });

  test('of another kind are 415 and say what to send', async () => {
    for (const headers of [{ 'content-type': 'text/plain' }, { 'content-encoding': 'compress' }]) {
      const response = await send('{"model":"ok"}', headers);
      expect(response.status).toBe(415);
      expect(await errorOf(response)).toMatchObject({ code: 'unsupported_media_type' });
    }
  });

  test('declared as JSON in any spelling are read', async () => {
    const body = JSON.stringify({ model: 'ok', messages: [] });
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.x+json']) {
      expect((await send(body, { 'content-type': type })).status).toBe(200);
    }
  });

  test('declared too large are refused before they are sent', async () => {
    const client = await openRaw(gateway.port);
    const headers = { ...json, 'content-length': String(1024 * KIB), expect: '100-continue' };
    client.send(rawRequest('POST', '/v1/chat/completions', headers));
    const answer = await client.end();
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"request_too_large"');
    expect(answer).toMatch(/connection: close/i);
  });

  test('that turn out too large are refused with an answer that arrives', async () => {
    const client = await openRaw(gateway.port);
    client.send(rawRequest('POST', '/v1/chat/completions', { ...json, 'transfer-encoding': 'chunked' }));
    const chunk = `4000\r\n${'x'.repeat(16 * KIB)}\r\n`;
    for (let turn = 0; turn < 40; turn++) client.send(chunk);
    const answer = await client.until((received) => received.includes('request_too_large'));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    await client.end();
  });

  test('of a stranger are not read', async () => {
    const client = await openRaw(gateway.port);
    client.send(
      rawRequest('POST', '/v1/chat/completions', { 'content-length': '50000', expect: '100-continue' }),
    );
    const answer = await client.until((received) => received.includes('missing_api_key'));
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer).not.toContain('100 Continue');
    client.destroy();
  });

  test('announced with 100-continue are asked for and read', async () => {
    const client = await openRaw(gateway.port);
    const body = JSON.stringify({ model: 'ok', messages: [] });
    const headers = {
      ...json,
      'content-length': String(body.length),
      expect: '100-continue',
      connection: 'close',
    };
    client.send(rawRequest('POST', '/v1/chat/completions', headers));
    await client.until((received) => received.includes('100 Continue'));
    client.send(body);
    expect(await client.end()).toContain('HTTP/1.1 200 OK');
  });

  test('that do not arrive in time are 408', async () => {
    const client = await openRaw(gateway.port);
    client.send(rawRequest('POST', '/v1/chat/completions', { ...json, 'content-length': '100' }));
    client.send('{"model":');
    const answer = await client.end();
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"code":"request_timeout"');
  });
});

describe('bytes that are no request', () => {
  test('headers that come too slowly end with 408', async () => {
    const client = await openRaw(gateway.port);
    client.send('GET /livez HTTP/1.1\r\nhost: test\r\nx-slow:');
    const answer = await client.end();
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"code":"request_timeout"');
  });

  test('headers that are too large end with 431', async () => {
    const client = await openRaw(gateway.port);
    client.send(rawRequest('GET', '/livez', { 'x-large': 'x'.repeat(9 * KIB) }));
    const answer = await client.end();
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"code":"headers_too_large"');
  });

  test.each([
    ['no HTTP at all', 'hello there\r\n\r\n'],
    ['two lengths', rawRequest('POST', '/', { 'Content-Length': '1', 'content-length': '2' })],
    [
      'a length and a transfer coding',
      rawRequest('POST', '/', { 'content-length': '3', 'transfer-encoding': 'chunked' }),
    ],
    ['a header with a line break in it', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n'],
  ])('%s ends with 400', async (_what, bytes) => {
    const client = await openRaw(gateway.port);
    client.send(bytes);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('connections', () => {
  test('carry requests sent ahead, answered in order', async () => {
    const client = await openRaw(gateway.port);
    const body = JSON.stringify({ model: 'fake/ok.slow-head-60ms', messages: [] });
    const quick = JSON.stringify({ model: 'ok', messages: [], stream: true });
    client.send(
      rawRequest('POST', '/v1/chat/completions', { ...json, 'x-request-id': 'one' }, body) +
        rawRequest('POST', '/v1/chat/completions', { ...json, 'x-request-id': 'two' }, quick) +
        rawRequest('GET', '/livez', { 'x-request-id': 'three', connection: 'close' }),
    );
    const answer = await client.end();
    expect([...answer.matchAll(/\nx-request-id: (\w+)/g)].map(([, id]) => id)).toEqual([
      'one',
      'two',
      'three',
    ]);
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    expect(answer).toContain('data: [DONE]');
  });

  test('are kept after answers without a body to read and after refusals', async () => {
    const client = await openRaw(gateway.port);
    client.send(
      rawRequest('GET', '/livez') +
        rawRequest('POST', '/v1/chat/completions', {}, '{"model":"ok"}') +
        rawRequest('GET', '/nothing') +
        rawRequest('GET', '/livez', { connection: 'close' }),
    );
    const answer = await client.end();
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      '200',
      '401',
      '404',
      '200',
    ]);
    expect(answer.match(/connection: close/gi)).toHaveLength(1);
  });

  test('of HTTP/1.0 get streams without chunks, ended by closing', async () => {
    const client = await openRaw(gateway.port);
    const body = JSON.stringify({ model: 'ok', messages: [], stream: true });
    client.send(rawRequest('POST', '/v1/chat/completions', json, body).replace('HTTP/1.1', 'HTTP/1.0'));
    const answer = await client.end();
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer).toMatch(/data: \[DONE\]\n\n$/);
  });
});

describe('an instance with more requests than it can answer', () => {
  test('refuses the next at once and still answers health', async () => {
    const busy = await startGateway({
      snapshot: plainSnapshot(provider),
      limits: { requestsInFlightMax: 1 },
    });
    const leaving = new AbortController();
    const waiting = ask(busy.url, { model: 'fake/never-head', signal: leaving.signal });
    await vi.waitFor(() => expect(busy.gateway.inFlight).toBe(1));
    const refused = await ask(busy.url);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await errorOf(refused)).toMatchObject({ code: 'overloaded', type: 'overloaded_error' });
    expect((await fetch(`${busy.url}/livez`)).status).toBe(200);
    leaving.abort();
    await expect(waiting).rejects.toThrow();
    await vi.waitFor(() => expect(busy.gateway.inFlight).toBe(0));
    expect((await ask(busy.url)).status).toBe(200);
    await busy.stop();
  });
});

describe('metrics', () => {
  test('count requests, attempts and tokens', async () => {
    await (await ask(gateway.url)).text();
    const text = await (await get('/metrics')).text();
    expect(text).toMatch(/signalbox_requests_total\{operation="chat",status="200"\} \d+/);
    expect(text).toMatch(/signalbox_attempts_total\{provider="fake",outcome="completed"\} \d+/);
    expect(text).toMatch(/signalbox_tokens_total\{provider="fake",meter="output"\} \d+/);
    expect(text).toMatch(/signalbox_overhead_seconds_count\{operation="chat"\} \d+/);
    expect(text).toContain('signalbox_requests_in_flight 1');
  });
});
