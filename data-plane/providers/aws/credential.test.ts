import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeAws, startFakeAws } from '#test/harness/fake-aws.ts';
import { createUpstreamClient, type UpstreamClient } from '../../upstream/client.ts';
import type { AuthorisedRequest, Credential, CredentialTools } from '../credential.ts';
import { awsCredentials } from './credential.ts';
import { signRequest } from './signature.ts';

const request: AuthorisedRequest = {
  method: 'POST',
  host: 'bedrock-runtime.eu-west-1.amazonaws.com',
  path: '/model/m/converse',
  headers: { 'content-type': 'application/json' },
  body: [Buffer.from('{}')],
};
const settings = { region: 'eu-west-1' };
const scope = { region: 'eu-west-1', service: 'bedrock' };
const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';

let aws: FakeAws;
let upstream: UpstreamClient;
let folder: string;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 10, 20);
  aws = await startFakeAws(() => nowMs);
  upstream = createUpstreamClient();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-aws-'));
});
afterEach(async () => {
  upstream.close();
  await aws.stop();
  await rm(folder, { recursive: true });
});

function toolsWith(environment: CredentialTools['environment'] = {}): CredentialTools {
  return {
    upstream,
    environment: { HOME: folder, ...environment },
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
  };
}

function credential(environment: CredentialTools['environment'] = {}, secret?: string): Credential {
  return awsCredentials(toolsWith(environment), aws.hosts)(secret, settings);
}

async function authorise(used: Credential): Promise<Readonly<Record<string, string>>> {
  return { ...used.headers, ...(await used.authorise?.(request)) };
}

/** Whose keys a request was signed with. */
async function keyIdOf(used: Credential): Promise<string | undefined> {
  return /Credential=([^/]+)\//.exec((await authorise(used)).authorization ?? '')?.[1];
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('a key of the configuration', () => {
  test('is an API key and sent as it is', async () => {
    const used = credential({}, 'ABSKQmVkcm9jaw==');
    expect(used.authorise).toBeUndefined();
    expect(used.headers).toEqual({ authorization: 'Bearer ABSKQmVkcm9jaw==' });
  });

  test.each([undefined, 'token+/='])(
    'is an access key and signs at once, with the session token %s',
    (sessionToken) => {
      const secret = [accessKeyId, secretAccessKey, ...(sessionToken ? [sessionToken] : [])].join(':');
      const added = credential({}, secret).authorise?.(request);
      expect(added).toEqual(
        signRequest(request, { accessKeyId, secretAccessKey, sessionToken }, scope, nowMs),
      );
      expect(added).toHaveProperty('authorization');
    },
  );

  test.each(['akia:secret', `${accessKeyId}:`, `${accessKeyId}:a:b:c`])('like "%s" is refused', (secret) => {
    expect(() => credential({}, secret)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
  });

  test('comes before everything in the environment', async () => {
    const environment = {
      AWS_BEARER_TOKEN_BEDROCK: 'ABSKother',
      AWS_ACCESS_KEY_ID: 'AKIAOTHEROTHEROTHER',
      AWS_SECRET_ACCESS_KEY: 'x',
    };
    expect(await keyIdOf(credential(environment, `${accessKeyId}:${secretAccessKey}`))).toBe(accessKeyId);
  });
});

describe('without one', () => {
  const environmentKeys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };

  test('an API key in the environment comes first, unless it is empty', async () => {
    const used = credential({ ...environmentKeys, AWS_BEARER_TOKEN_BEDROCK: 'ABSKx' });
    expect(used.headers).toEqual({ authorization: 'Bearer ABSKx' });
    expect(await keyIdOf(credential({ ...environmentKeys, AWS_BEARER_TOKEN_BEDROCK: ' ' }))).toBe(
      accessKeyId,
    );
  });

  test('keys in the environment sign at once', async () => {
    const used = credential({ ...environmentKeys, AWS_SESSION_TOKEN: 'token' });
    expect(used.authorise?.(request)).toMatchObject({ 'x-amz-security-token': 'token' });
    expect(used.authorise?.(request)).not.toBeInstanceOf(Promise);
    expect(aws.asked).toEqual([]);
  });

  test('a profile of the shared files is used', async () => {
    const credentials = await file(
      'credentials',
      [
        '# mine',
        '[default]',
        'aws_access_key_id = AKIADEFAULTDEFAULT00',
        'aws_secret_access_key=s',
        '',
        '[ work ]',
        'aws_access_key_id=AKIAWORKWORKWORK0000',
        'aws_secret_access_key = a=b',
        'aws_session_token = t',
      ].join('\r\n'),
    );
    const config = await file(
      'config',
      '[profile other]\naws_access_key_id = AKIAOTHEROTHEROTHER0\naws_secret_access_key = s\n',
    );
    const files = { AWS_SHARED_CREDENTIALS_FILE: credentials, AWS_CONFIG_FILE: config };
    expect(await keyIdOf(credential(files))).toBe('AKIADEFAULTDEFAULT00');
    expect(await keyIdOf(credential({ ...files, AWS_PROFILE: 'other' }))).toBe('AKIAOTHEROTHEROTHER0');
    const work = credential({ ...files, AWS_PROFILE: 'work' });
    expect(await authorise(work)).toMatchObject({ 'x-amz-security-token': 't' });
    expect(work.authorise?.(request)).not.toBeInstanceOf(Promise);
  });

  test.each([
    ['missing', '', /in neither/],
    ['far', '[profile far]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n', /role_arn/],
    ['sso', '[profile sso]\nsso_session = s\n', /sso_session/],
  ])('the profile "%s" that cannot be used is not replaced by another account', async (name, text, said) => {
    const config = await file('config', text);
    const used = credential({ AWS_PROFILE: name, AWS_CONFIG_FILE: config });
    await expect(authorise(used)).rejects.toMatchObject({
      code: 'upstream_unauthorized',
      message: expect.stringMatching(said),
    });
    expect(aws.asked).toEqual([]);
  });

  test('the token of a workload is exchanged', async () => {
    const token = await file('token', 'ey.web.token\n');
    const used = credential({
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ROLE_ARN: 'arn:aws:iam::1:role/r',
      AWS_ROLE_SESSION_NAME: 'me',
    });
    expect(await authorise(used)).toMatchObject({ 'x-amz-security-token': 'token+/1=' });
    expect(aws.asked).toEqual(['POST /']);
    expect(Object.fromEntries(new URLSearchParams(aws.seen[0]?.body))).toEqual({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: 'arn:aws:iam::1:role/r',
      RoleSessionName: 'me',
      WebIdentityToken: 'ey.web.token',
    });
  });

  test.each(['relative', 'full'])('the agent of a container is asked at a %s address', async (kind) => {
    const address = {
      relative: { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/1?a=b' },
      full: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${aws.url}/v2/credentials/1?a=b` },
    }[kind];
    const token = await file('token', 'from-file\n');
    const used = credential({
      ...address,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'plain',
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token,
    });
    expect(await keyIdOf(used)).toBe('ASIATEMPORARY0001');
    expect(aws.seen[0]?.headers.authorization).toBe('from-file');
  });

  test.each(['http://10.0.0.1/x', 'http://169.254.169.254/x', 'ftp://127.0.0.1/x'])(
    'an agent at %s is not asked',
    async (uri) => {
      const used = credential({ AWS_CONTAINER_CREDENTIALS_FULL_URI: uri });
      await expect(authorise(used)).rejects.toMatchObject({
        code: 'upstream_unauthorized',
        message: expect.stringContaining('AWS_CONTAINER_CREDENTIALS_FULL_URI'),
      });
    },
  );

  test.each([{}, { AWS_EC2_METADATA_SERVICE_ENDPOINT: true }])(
    'the metadata of the instance is asked last: %j',
    async (named) => {
      const endpoint =
        'AWS_EC2_METADATA_SERVICE_ENDPOINT' in named ? { AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url } : {};
      expect(await keyIdOf(credential(endpoint))).toBe('ASIATEMPORARY0001');
      expect(aws.asked).toHaveLength(3);
      expect(aws.seen[1]?.headers['x-aws-ec2-metadata-token']).toBe('instance-token');
    },
  );

  test('and with nothing anywhere, every place that was looked at is named', async () => {
    const used = credential({ AWS_EC2_METADATA_DISABLED: 'true' });
    await expect(authorise(used)).rejects.toMatchObject({
      code: 'upstream_unauthorized',
      message: expect.stringMatching(
        /api_keys.*AWS_ACCESS_KEY_ID.*shared.*WEB_IDENTITY.*CONTAINER.*instance/,
      ),
    });
    expect(aws.asked).toEqual([]);
  });

  test('a source that is set up and refuses is named, and what it says stays here', async () => {
    aws.failsWith = 403;
    const used = credential({ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/1?a=b' });
    const refusal = authorise(used).catch((error: Error) => error.message);
    expect(await refusal).toMatch(/AWS_CONTAINER_CREDENTIALS_\* is set up.*403/);
    expect(await refusal).not.toContain('arn:');
  });
});

describe('temporary keys', () => {
  const container = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/1?a=b' };

  test('are fetched once for all who wait, and used at once after that', async () => {
    const used = credential(container);
    await Promise.all(Array.from({ length: 20 }, () => authorise(used)));
    expect(aws.asked).toHaveLength(1);
    expect(used.authorise?.(request)).not.toBeInstanceOf(Promise);
  });

  test('are shared by providers of one region, and outlive them', async () => {
    const make = awsCredentials(toolsWith(container), aws.hosts);
    for (let snapshot = 0; snapshot < 3; snapshot += 1) await authorise(make(undefined, settings));
    expect(aws.asked).toHaveLength(1);
    await authorise(make(undefined, { region: 'us-east-1' }));
    expect(aws.asked).toHaveLength(2);
  });

  test('are renewed before they run out, while the old ones still sign', async () => {
    const used = credential(container);
    await authorise(used);
    nowMs += aws.lifeMs - 60_000;
    const meanwhile = used.authorise?.(request);
    expect(meanwhile).not.toBeInstanceOf(Promise);
    expect(meanwhile).toMatchObject({ 'x-amz-security-token': 'token+/1=' });
    await expect.poll(() => used.authorise?.(request)).toMatchObject({ 'x-amz-security-token': 'token+/2=' });
    expect(aws.asked).toHaveLength(2);
  });

  test('that have run out are never used', async () => {
    const used = credential(container);
    await authorise(used);
    nowMs += aws.lifeMs;
    expect(await keyIdOf(used)).toBe('ASIATEMPORARY0002');
  });
});
