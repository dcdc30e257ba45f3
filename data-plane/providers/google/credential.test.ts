import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startTokenServer, type TokenServer } from '#test/harness/token-server.ts';
import { createUpstreamClient } from '../../upstream/client.ts';
import type { Credential, CredentialTools } from '../credential.ts';
import { googleCredential } from './credential.ts';
import { googleHosts } from './token.ts';

const upstream = createUpstreamClient();
const time = { nowMs: Date.UTC(2026, 2, 14, 15, 9, 26) };
const folder = mkdtempSync(join(tmpdir(), 'signalbox-google-'));
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const account = {
  type: 'service_account',
  project_id: 'example',
  private_key_id: 'key-7',
  private_key: pem,
  client_email: 'gateway@example.iam.gserviceaccount.com',
  token_uri: 'https://evil.example/token',
};
const user = {
  type: 'authorized_user',
  client_id: 'client',
  client_secret: 'user-secret',
  refresh_token: 'refresh',
  quota_project_id: 'pays',
};
const request = { method: 'POST', host: 'example', path: '/', headers: {}, body: [] };

let server: TokenServer;

beforeAll(async () => {
  server = await startTokenServer();
});
afterAll(async () => {
  await server.stop();
  upstream.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  (server.requests as unknown[]).length = 0;
});

function credential(
  secret: string | undefined,
  environment: CredentialTools['environment'] = {},
): Credential {
  const clock = { wallMs: () => time.nowMs, monotonicMs: () => performance.now() };
  const hosts = { token: server.origin, metadata: server.origin };
  return googleCredential(secret, { upstream, clock, environment }, hosts);
}

async function headersOf(made: Credential): Promise<Readonly<Record<string, string>>> {
  return { ...made.headers, ...(await made.authorise?.(request)) };
}

function file(name: string, content: object): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

test('an API key is sent as it is, and nothing is fetched', async () => {
  expect(await headersOf(credential('AIza-express'))).toEqual({ 'x-goog-api-key': 'AIza-express' });
  expect(server.requests).toEqual([]);
});

describe('a service account', () => {
  test('signs a statement about itself and gets a token for it', async () => {
    expect(await headersOf(credential(JSON.stringify(account)))).toEqual({ authorization: 'Bearer token-1' });
    const [{ form, path, method } = expect.fail()] = server.requests;
    expect({ method, path }).toEqual({ method: 'POST', path: '/token' });
    expect(form.grant_type).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [header = '', claims = '', signature = ''] = form.assertion!.split('.');
    const signed = Buffer.from(`${header}.${claims}`);
    const proof = Buffer.from(signature, 'base64url');
    expect(verify('sha256', signed, createPublicKey(pem), proof)).toBe(true);
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      alg: 'RS256',
      typ: 'JWT',
      kid: 'key-7',
    });
    const issuedAt = time.nowMs / 1000;
    // Never what the file names as the place for tokens: it could be anybody's.
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toEqual({
      iss: account.client_email,
      scope: 'https://www.googleapis.com/auth/cloud-platform',
      aud: 'https://oauth2.googleapis.com/token',
      iat: issuedAt,
      exp: issuedAt + 3600,
    });
  });

  test('asks once for many requests at once, and again when the token runs out', async () => {
    const made = credential(JSON.stringify(account));
    const answers = await Promise.all([headersOf(made), headersOf(made), headersOf(made)]);
    expect(new Set(answers.map(({ authorization }) => authorization)).size).toBe(1);
    expect(server.requests).toHaveLength(1);
    // There without a promise: a request with a token at hand does not wait.
    expect(made.authorise!(request)).not.toBeInstanceOf(Promise);
    time.nowMs += 3_600_000;
    await headersOf(made);
    expect(server.requests).toHaveLength(2);
  });

  test('that is refused is a problem of its key, which is told without what Google said about it', async () => {
    const before = server.answer;
    server.answer = () => ({
      status: 400,
      body: { error: 'invalid_grant', error_description: 'account gateway@example not found' },
    });
    try {
      const refused = headersOf(credential(JSON.stringify(account)));
      await expect(refused).rejects.toMatchObject({ code: 'upstream_unauthorized' });
      await expect(refused).rejects.toThrow('invalid_grant');
      await expect(refused).rejects.not.toThrow('gateway@example');
    } finally {
      server.answer = before;
    }
  });

  test.each([
    [503, {}, 'upstream_error'],
    [429, {}, 'upstream_error'],
    [200, {}, 'upstream_invalid'],
    [200, 'no JSON', 'upstream_invalid'],
    [200, { access_token: 'bad\r\nx: y', expires_in: 3600 }, 'upstream_invalid'],
    [302, {}, 'upstream_unauthorized'],
  ] as const)('whose token server answers %i %j fails with its reason', async (status, body, code) => {
    const before = server.answer;
    server.answer = () => ({ status, body });
    try {
      await expect(headersOf(credential(JSON.stringify(account)))).rejects.toMatchObject({ code });
    } finally {
      server.answer = before;
    }
  });

  test.each([
    ['{', 'is not JSON'],
    ['{}', 'has the type "undefined"'],
    [JSON.stringify({ ...account, type: 'external_account' }), 'has the type "external_account"'],
    [JSON.stringify({ ...account, private_key: 'no PEM' }), 'no PEM'],
    [JSON.stringify({ ...account, client_email: undefined }), '"client_email"'],
    [JSON.stringify({ ...account, universe_domain: 'other.example' }), 'other.example'],
  ])('of the form %s is refused when it is configured', (text, reason) => {
    expect(() => credential(text)).toThrow(reason);
    expect(() => credential(text)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
  });
});

describe('the account of the machine', () => {
  test('is that of the file which GOOGLE_APPLICATION_CREDENTIALS names', async () => {
    const path = file('user.json', user);
    const made = credential(undefined, { GOOGLE_APPLICATION_CREDENTIALS: path });
    expect(await headersOf(made)).toEqual({
      authorization: 'Bearer token-1',
      'x-goog-user-project': 'pays',
    });
    expect(server.requests[0]!.form).toEqual({
      grant_type: 'refresh_token',
      client_id: 'client',
      client_secret: 'user-secret',
      refresh_token: 'refresh',
    });
  });

  test('is that of the login of gcloud', async () => {
    mkdirSync(join(folder, '.config', 'gcloud'), { recursive: true });
    file('.config/gcloud/application_default_credentials.json', user);
    await headersOf(credential(undefined, { HOME: folder, GOOGLE_APPLICATION_CREDENTIALS: '' }));
    expect(server.requests[0]!.form.refresh_token).toBe('refresh');
  });

  test('is asked of the metadata server, which only answers who says so', async () => {
    expect(await headersOf(credential(undefined))).toEqual({ authorization: 'Bearer token-1' });
    expect(server.requests[0]).toMatchObject({
      method: 'GET',
      path: '/computeMetadata/v1/instance/service-accounts/default/token',
      headers: { 'metadata-flavor': 'Google' },
    });
  });

  test('is asked of another server where the environment says so, and nowhere else', async () => {
    const hosts = { token: server.origin, metadata: googleHosts.metadata };
    const clock = { wallMs: () => time.nowMs, monotonicMs: () => performance.now() };
    const environment = { GCE_METADATA_HOST: `127.0.0.1:${server.port}` };
    const made = googleCredential(undefined, { upstream, clock, environment }, hosts);
    expect(await headersOf(made)).toEqual({ authorization: 'Bearer token-1' });
    const odd = { GCE_METADATA_HOST: 'evil.example/path' };
    const wrong = googleCredential(undefined, { upstream, clock, environment: odd }, hosts);
    await expect(headersOf(wrong)).rejects.toMatchObject({ code: 'upstream_unauthorized' });
  });

  test('that is nowhere to be found is said to be missing', async () => {
    const before = server.answer;
    server.answer = () => ({ status: 404, body: {} });
    try {
      await expect(headersOf(credential(undefined))).rejects.toMatchObject({
        code: 'upstream_unauthorized',
        message: expect.stringContaining('no credentials for Google'),
      });
    } finally {
      server.answer = before;
    }
  });

  test('in a file that cannot be read is a mistake, not a reason to look elsewhere', async () => {
    const made = credential(undefined, { GOOGLE_APPLICATION_CREDENTIALS: join(folder, 'missing.json') });
    await expect(headersOf(made)).rejects.toMatchObject({
      code: 'upstream_unauthorized',
      message: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS'),
    });
    expect(server.requests).toEqual([]);
  });
});

test("tokens come from Google's own hosts unless a test says otherwise", () => {
  expect(googleHosts.token).toMatchObject({ secure: true, host: 'oauth2.googleapis.com', port: 443 });
  expect(googleHosts.metadata).toMatchObject({
    host: '169.254.169.254',
    metadataAddress: '169.254.169.254',
    allowPrivateNetwork: false,
  });
});
