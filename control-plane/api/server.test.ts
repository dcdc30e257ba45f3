// The frame around every resource: authentication, problem details, limits, health, documentation.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { errorTable, SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { Secret } from '#shared/secret.ts';
import type { HealthReport } from './health.ts';
import { type Api, createApi } from './server.ts';

const ADMIN_KEY = 'the-admin-key-of-this-test';
const authorized = { authorization: `Bearer ${ADMIN_KEY}` };
const metrics = new Metrics();
let health: HealthReport = { status: 'ready', revision: 7, database: 'up' };
let api: Api;
let port: number;

beforeAll(async () => {
  api = await createApi({
    adminKey: new Secret(ADMIN_KEY),
    health: () => health,
    metrics,
    log: createLogger('silent'),
    plugins: [
      async (app) => {
        app.post(
          '/echo',
          { schema: { body: z.strictObject({ word: z.string(), times: z.int().optional() }) } },
          (request) => ({
            ...request.body,
            actor: request.actor.name,
          }),
        );
        app.get('/fail/:code', (request) => {
          const { code } = request.params as { code: 'internal' };
          if (code === 'internal') throw new Error('postgres://user:password@host broke');
          throw new SignalboxError(code, 'On purpose.', { retryAfterMs: 1500 });
        });
      },
    ],
  });
  ({ port } = await api.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(() => api.close());

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual', ...init });
}

async function statusOf(path: string): Promise<number> {
  const response = await ask(path);
  await response.arrayBuffer();
  return response.status;
}

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  const problem = (await response.json()) as Record<string, unknown>;
  expect(problem).toMatchObject({
    status: response.status,
    type: `/docs/errors#${problem.code}`,
    instance: response.headers.get('x-request-id'),
  });
  return problem;
}

describe('authentication', () => {
  test.each([
    ['no key', {}, 'missing_api_key'],
    ['another scheme', { authorization: `Basic ${ADMIN_KEY}` }, 'invalid_api_key'],
    ['a wrong key', { authorization: 'Bearer nope' }, 'invalid_api_key'],
    ['a prefix of the key', { authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` }, 'invalid_api_key'],
  ])('%s is answered 401 and told how to authenticate', async (_what, headers, code) => {
    const response = await ask('/api/v1/fail/not_found', { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(await problemOf(response)).toMatchObject({ code });
  });

  test('comes before the body is looked at and before a path is said not to exist', async () => {
    const body = 'x'.repeat(limits.apiBodyBytesMax + 1);
    expect((await ask('/api/v1/echo', { method: 'POST', body })).status).toBe(401);
    expect((await ask('/api/v1/nothing-here')).status).toBe(401);
    expect((await ask('/api/v1/echo', { method: 'PUT' })).status).toBe(401);
  });

  test('cannot be walked around by writing the path differently', async () => {
    for (const path of [
      '/api/%761/fail/not_found',
      '//api/v1/fail/not_found',
      '/api/v1//fail/not_found',
      '/API/V1/echo',
    ]) {
      expect([401, 404], path).toContain((await ask(path)).status);
    }
  });

  test('is not needed for health, metrics and documentation, and only there', async () => {
    const open = ['/livez', '/readyz', '/metrics', '/docs', '/docs/errors', '/swagger', '/api/openapi.json'];
    for (const path of open) expect(await statusOf(path), path).toBe(200);
    const closed = api
      .routes()
      .filter((route) => route.includes('/api/') && !route.endsWith('/api/openapi.json'));
    expect(closed.length).toBeGreaterThan(2);
    for (const route of closed) {
      const [method, path] = route.split(' ') as [string, string];
      expect((await ask(path, { method })).status, route).toBe(401);
    }
  });
});

describe('errors', () => {
  test.each(Object.keys(errorTable))('%s has its status and the shape of problem details', async (code) => {
    const response = await ask(`/api/v1/fail/${code}`, { headers: authorized });
    const { status, title } = errorTable[code as keyof typeof errorTable];
    expect(response.status).toBe(status);
    expect(await problemOf(response)).toMatchObject({ code, title });
    if (code !== 'internal') expect(response.headers.get('retry-after')).toBe('2');
  });

  test('an unexpected error says nothing about the inside', async () => {
    const response = await ask('/api/v1/fail/internal', { headers: authorized });
    expect(await response.text()).not.toContain('postgres');
  });

  const json = { ...authorized, 'content-type': 'application/json' };
  test.each([
    ['malformed JSON', json, '{"word":', 400, 'invalid_json'],
    ['an empty body', json, '', 400, 'invalid_json'],
    [
      'another content type',
      { ...authorized, 'content-type': 'text/csv' },
      'a,b',
      415,
      'unsupported_media_type',
    ],
    ['an unknown field', json, '{"word":"a","wrod":1}', 400, 'invalid_request'],
    ['a __proto__ member', json, '{"word":"a","__proto__":{}}', 400, 'invalid_json'],
    [
      'too large a body',
      json,
      JSON.stringify({ word: 'x'.repeat(limits.apiBodyBytesMax) }),
      413,
      'request_too_large',
    ],
  ])('%s is refused', async (_what, headers, body, status, code) => {
    const response = await ask('/api/v1/echo', { method: 'POST', headers, body });
    expect(response.status).toBe(status);
    expect(await problemOf(response)).toMatchObject({ code });
  });

  test('validation names every field at fault', async () => {
    const response = await ask('/api/v1/echo', {
      method: 'POST',
      headers: json,
      body: '{"word":1,"times":1.5}',
    });
    const { problems } = await problemOf(response);
    expect((problems as { path: string }[]).map((problem) => problem.path)).toEqual(['word', 'times']);
  });

  test('a wrong method is told from a wrong path', async () => {
    expect(await problemOf(await ask('/api/v1/echo', { headers: authorized }))).toMatchObject({
      status: 405,
    });
    expect(await problemOf(await ask('/api/v1/eggo', { headers: authorized }))).toMatchObject({
      status: 404,
    });
    expect(await problemOf(await ask('/elsewhere'))).toMatchObject({ status: 404 });
    expect(await problemOf(await ask('/%E0%A4%A'))).toMatchObject({ status: 400 });
  });

  test.each([
    [
      'too large headers',
      `GET /livez HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(limits.requestHeaderBytesMax)}\r\n\r\n`,
      431,
    ],
    ['something that is not HTTP', 'hello there\r\n\r\n', 400],
  ])('%s are answered with a problem too', async (_what, bytes, status) => {
    const answer = await raw(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('application/problem+json');
  });
});

test('a request id of the caller is kept if it is harmless, and made otherwise', async () => {
  const given = await ask('/livez', { headers: { 'x-request-id': 'trace-42' } });
  expect(given.headers.get('x-request-id')).toBe('trace-42');
  const odd = await ask('/livez', { headers: { 'x-request-id': '<script>' } });
  expect(odd.headers.get('x-request-id')).toMatch(/^req_/);
});

test('alive and ready are different questions', async () => {
  for (const status of ['starting', 'stopping'] as const) {
    health = { status, revision: null, database: 'down' };
    for (const path of ['/livez', '/health/live']) expect((await ask(path)).status, path).toBe(200);
    for (const path of ['/health', '/health/ready', '/ready', '/readyz']) {
      expect((await ask(path)).status, path).toBe(503);
    }
  }
  health = { status: 'ready', revision: 9, database: 'down' };
  const ready = await ask('/readyz');
  expect([ready.status, await ready.json()]).toEqual([200, health]);
});

test('requests are counted by route and status, never by what callers made up', async () => {
  await ask('/made-up-by-a-caller');
  await ask('/api/v1/fail/not_found', { headers: authorized });
  const text = await metrics.render();
  expect(text).toMatch(/signalbox_api_requests_total\{route="\/api\/v1\/fail\/:code",status="404"\} [1-9]/);
  expect(text).toMatch(/signalbox_api_requests_total\{route="unknown",status="404"\} [1-9]/);
  expect(text).not.toContain('made-up');
});

test('Swagger UI works without any outside host', async () => {
  const page = await (await ask('/swagger')).text();
  const references = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
  expect(references.length).toBeGreaterThan(2);
  for (const reference of references) {
    expect(reference).toMatch(/^\//);
    expect(await statusOf(reference), reference).toBe(200);
  }
});

test('the address in a problem leads to a page about it', async () => {
  const page = await (await ask('/docs/errors')).text();
  for (const code of Object.keys(errorTable)) expect(page).toContain(`id="${code}"`);
});

function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
