import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ask,
  type FakeProvider,
  goodKey,
  plainSnapshot,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { openRaw, rawRequest } from '#test/harness/raw-http.ts';
import { corsPolicy, mayConnect } from './cors.ts';

const app = 'https://app.example.com';
const stranger = 'https://evil.example.com';

let provider: FakeProvider;
let closed: TestGateway;
let listed: TestGateway;
let open: TestGateway;

beforeAll(async () => {
  provider = await startFakeProvider();
  const snapshot = plainSnapshot(provider);
  closed = await startGateway({ snapshot });
  listed = await startGateway({ snapshot, corsOrigins: [app, 'http://localhost:3000'] });
  open = await startGateway({ snapshot, corsOrigins: ['*'] });
});

afterAll(async () => {
  for (const gateway of [closed, listed, open]) await gateway.stop();
  await provider.stop();
});

function corsOf({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));
}

function varied({ headers }: Response): string[] {
  return (headers.get('vary') ?? '').split(', ').filter((name) => name !== '');
}

function preflight(
  gateway: TestGateway,
  origin: string,
  more: Record<string, string> = {},
  path = '/v1/models',
) {
  return fetch(gateway.url + path, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', ...more },
  });
}

describe('without a list of origins', () => {
  test('nothing is said about them, and OPTIONS needs a key as everything does', async () => {
    const response = await ask(closed.url, { headers: { origin: app } });
    expect([corsOf(response), varied(response)]).toEqual([{}, []]);
    expect((await preflight(closed, app)).status).toBe(401);
  });
});

describe('with a list of origins', () => {
  test('pages of those may read answers, streams and errors', async () => {
    const answers = [
      await ask(listed.url, { headers: { origin: app } }),
      await ask(listed.url, { headers: { origin: app }, stream: true }),
      await ask(listed.url, { headers: { origin: app }, key: 'sb-nobody' }),
      await fetch(`${listed.url}/livez`, { headers: { origin: app } }),
      await fetch(`${listed.url}/nothing`, { headers: { origin: app } }),
    ];
    for (const response of answers) {
      expect(response.headers.get('access-control-allow-origin')).toBe(app);
      expect(varied(response)).toContain('origin');
      expect(response.headers.has('access-control-allow-credentials')).toBe(false);
      await response.text();
    }
  });

  test('every header of ours can be read by them', async () => {
    const response = await ask(listed.url, {
      headers: { origin: app, 'x-request-id': 'mine' },
      model: 'fake/error-429-retry-7',
    });
    const exposed = response.headers.get('access-control-expose-headers')!.split(', ');
    const ours = [...response.headers.keys()].filter((name) => /^(x-|retry-)/.test(name));
    expect(ours.length).toBeGreaterThan(5);
    for (const name of ours) expect(exposed).toContain(name);
    expect(exposed).toContain('x-signalbox-dropped');
  });

  test.each([
    stranger,
    'https://app.example.com.evil.com',
    'http://app.example.com',
    `${app}:8443`,
    'null',
    '',
  ])('pages of %j may not', async (origin) => {
    const response = await ask(listed.url, { headers: { origin } });
    expect(response.status).toBe(200);
    expect(corsOf(response)).toEqual({});
    expect(varied(response)).toContain('origin');
    expect((await preflight(listed, origin)).status).toBe(401);
  });

  test('programs that name no origin are answered as ever', async () => {
    const response = await ask(listed.url);
    expect([response.status, corsOf(response), varied(response)]).toEqual([200, {}, ['origin']]);
  });

  test('a browser that asks first is answered without a key, the same for every path', async () => {
    const wanted = { 'access-control-request-headers': 'authorization,content-type,x-stainless-lang' };
    for (const path of ['/v1/chat/completions', '/v1/nothing/here', '/livez', '/nothing']) {
      const response = await preflight(listed, app, wanted, path);
      expect(response.status).toBe(204);
      expect(corsOf(response)).toMatchObject({
        'access-control-allow-origin': app,
        'access-control-allow-methods': 'GET, HEAD, POST, DELETE, OPTIONS',
        'access-control-allow-headers': wanted['access-control-request-headers'],
        'access-control-max-age': '7200',
      });
      expect(response.headers.has('allow')).toBe(false);
    }
  });

  test('names of headers that are none are not repeated', async () => {
    for (const names of ['a b', 'x'.repeat(5000), ',', 'a;b']) {
      const response = await preflight(listed, app, { 'access-control-request-headers': names });
      expect(response.status).toBe(204);
      expect(corsOf(response)).not.toHaveProperty('access-control-allow-headers');
    }
  });

  test('OPTIONS that asks for no permission is what it was', async () => {
    const headers = { origin: app };
    expect((await fetch(`${listed.url}/v1/models`, { method: 'OPTIONS', headers })).status).toBe(401);
    const known = { ...headers, 'x-api-key': goodKey };
    const response = await fetch(`${listed.url}/v1/models`, { method: 'OPTIONS', headers: known });
    expect([response.status, response.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
  });
});

describe('with all origins', () => {
  test('every page may read, told to everybody alike and without credentials', async () => {
    for (const headers of [{ origin: stranger }, {}] as Record<string, string>[]) {
      const response = await ask(open.url, { headers });
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(response.headers.has('access-control-allow-credentials')).toBe(false);
      expect(varied(response)).not.toContain('origin');
    }
    expect((await preflight(open, stranger)).status).toBe(204);
  });
});

describe('a connection that is no request', () => {
  const policy = corsPolicy([app]);

  test('is kept from pages of other origins where there is a list', () => {
    expect(mayConnect(undefined, stranger)).toBe(true);
    expect(mayConnect(policy, undefined)).toBe(true);
    expect(mayConnect(policy, app)).toBe(true);
    expect(mayConnect(policy, stranger)).toBe(false);
    expect(mayConnect(corsPolicy(['*']), stranger)).toBe(true);
  });

  test('is refused before anything else', async () => {
    const client = await openRaw(listed.port);
    const handshake = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    client.send(rawRequest('GET', '/v1/realtime?model=ok', { ...handshake, origin: stranger }));
    const answer = await client.end();
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain('origin_not_allowed');
  });
});
