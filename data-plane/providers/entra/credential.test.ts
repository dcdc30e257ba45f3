import { afterAll, beforeAll, expect, test } from 'vitest';
import { goodToken, startTokenServer, type TokenServer } from '#test/harness/token-server.ts';
import { createUpstreamClient } from '../../upstream/client.ts';
import { entraCredential, entraHost } from './credential.ts';

const upstream = createUpstreamClient();
const time = { nowMs: Date.UTC(2026, 2, 14) };
const clock = { wallMs: () => time.nowMs, monotonicMs: () => performance.now() };
const tools = { upstream, clock, environment: {} };
const application = { tenantId: 'contoso.example', clientId: 'app-1', clientSecret: 's3cret+/&=' };
const request = { method: 'POST', host: 'example', path: '/', headers: {}, body: [] };

let server: TokenServer;

beforeAll(async () => {
  server = await startTokenServer();
});
afterAll(async () => {
  await server.stop();
  upstream.close();
});

test("the application's secret is exchanged for a token, once until it runs out", async () => {
  const credential = entraCredential(application, tools, server.origin);
  const [first, second] = await Promise.all([credential.authorise!(request), credential.authorise!(request)]);
  expect(first).toEqual({ authorization: 'Bearer token-1' });
  expect(second).toEqual(first);
  expect(server.requests).toHaveLength(1);
  expect(server.requests[0]).toMatchObject({
    method: 'POST',
    path: '/contoso.example/oauth2/v2.0/token',
    form: {
      grant_type: 'client_credentials',
      client_id: 'app-1',
      client_secret: 's3cret+/&=',
      scope: 'https://cognitiveservices.azure.com/.default',
    },
  });
  time.nowMs += 3_600_000;
  expect(await credential.authorise!(request)).toEqual({ authorization: 'Bearer token-2' });
});

test('a refusal is told with its number, and without the rest of what Entra said', async () => {
  server.answer = () => ({
    status: 401,
    body: { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid secret for app app-1.' },
  });
  const refused = entraCredential(application, tools, server.origin).authorise!(request);
  await expect(refused).rejects.toMatchObject({ code: 'upstream_unauthorized' });
  await expect(refused).rejects.toThrow('invalid_client, AADSTS7000215');
  await expect(refused).rejects.not.toThrow('app-1');
  server.answer = goodToken;
});

test.each(['../common', 'a/b', 'a?b', ''])(
  'a tenant like "%s" is refused when it is configured',
  (tenantId) => {
    expect(() => entraCredential({ ...application, tenantId }, tools, server.origin)).toThrow('tenant_id');
  },
);

test("tokens come from Microsoft's own host unless a test says otherwise", () => {
  expect(entraHost).toEqual({
    secure: true,
    host: 'login.microsoftonline.com',
    port: 443,
    allowPrivateNetwork: false,
  });
});
