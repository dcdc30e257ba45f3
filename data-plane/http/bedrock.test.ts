import { AwsV4Signer } from 'aws4fetch';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { providerTypes } from '#shared/provider-types.ts';
import { type FakeAws, startFakeAws } from '#test/harness/fake-aws.ts';
import type { RecordedRequest } from '#test/harness/fake-provider/index.ts';
import {
  ask,
  errorOf,
  type FakeProvider,
  goodKey,
  startFakeProvider,
  startGateway,
  type TestGateway,
} from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerKeyOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { bedrock } from '../providers/bedrock.ts';
import type { Credential } from '../providers/credential.ts';
import { createUpstreamClient } from '../upstream/client.ts';

const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const settings = { region: 'eu-west-1' };

let provider: FakeProvider;
let aws: FakeAws;
let gateway: TestGateway;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.now();
  provider = await startFakeProvider();
  aws = await startFakeAws(() => nowMs);
  gateway = await startGateway();
});
afterEach(async () => {
  await gateway.stop();
  await provider.stop();
  await aws.stop();
});

/** Models by their scripts, at Bedrock: with a key of the configuration, or with what the environment gives. */
function serve(models: readonly string[], secret?: string, environment: Record<string, string> = {}): void {
  const tools = {
    upstream: createUpstreamClient(),
    environment,
    clock: { wallMs: () => nowMs, monotonicMs: () => performance.now() },
  };
  const kind = bedrock('bedrock', providerTypes.bedrock, tools, aws.hosts);
  const credential = (given: string | undefined): Credential => kind.credential(given, settings);
  const entry = {
    ...providerOf('aws', {
      kind,
      settings,
      baseUrl: `http://127.0.0.1:${provider.port}`,
      keys: secret === undefined ? [] : [providerKeyOf('key', { credential: credential(secret) })],
    }),
    basePath: '',
    ambient: credential(undefined),
  };
  gateway.snapshot = snapshotOf({
    providers: [entry],
    deployments: models.map((model) => deploymentOf(model, entry)),
    keys: { [goodKey]: principalOf('key_good') },
  });
}

/** Whether a request was signed with these keys, computed by another implementation from what arrived. */
async function isSigned(
  request: RecordedRequest,
  sessionToken?: string,
  keys = { accessKeyId, secretAccessKey },
) {
  const { host = '', authorization, 'x-amz-date': datetime = '' } = request.headers;
  const signer = new AwsV4Signer({
    ...keys,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    method: request.method,
    url: `http://${host}${request.path}`,
    headers: { 'content-type': request.headers['content-type'] ?? '' },
    body: request.body.toString(),
    region: settings.region,
    service: 'bedrock',
    datetime,
    allHeaders: true,
  });
  return new Headers((await signer.sign()).headers).get('authorization') === authorization;
}

describe('a request to Bedrock', () => {
  test.each([
    ['ok', '/model/ok/converse'],
    ['anthropic.claude-3-haiku-20240307-v1:0', '/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse'],
    [
      'arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0',
      '/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.amazon.nova-pro-v1%3A0/converse',
    ],
  ])('names %s in its path, and is signed as it is sent', async (model, path) => {
    serve([model], `${accessKeyId}:${secretAccessKey}`);
    for (const stream of [false, true]) {
      const response = await ask(gateway.url, { model, stream });
      expect(response.status).toBe(200);
      expect(await response.text()).toContain('word5');
    }
    const [whole, streamed] = provider.requests();
    expect([whole!.path, streamed!.path]).toEqual([path, `${path}-stream`]);
    expect(JSON.parse(whole!.body.toString())).not.toHaveProperty('model');
    expect(await Promise.all([isSigned(whole!), isSigned(streamed!)])).toEqual([true, true]);
    expect(gateway.ledger.story).toEqual(['completed', 'completed']);
    expect(gateway.ledger.entries[0]?.settlements[0]?.usage).toMatchObject({ output: 5 });
  });

  test('carries an API key as it is', async () => {
    serve(['ok'], 'ABSKQmVkcm9jaw==');
    expect((await ask(gateway.url)).status).toBe(200);
    expect(provider.requests()[0]!.headers.authorization).toBe('Bearer ABSKQmVkcm9jaw==');
  });

  test('is signed with the keys of the machine, which are renewed when they have run out', async () => {
    serve(['ok'], undefined, { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/1?a=b' });
    expect((await ask(gateway.url)).status).toBe(200);
    expect((await ask(gateway.url)).status).toBe(200);
    nowMs += aws.lifeMs;
    expect((await ask(gateway.url)).status).toBe(200);
    expect(aws.asked).toHaveLength(2);
    const tokens = provider.requests().map(({ headers }) => headers['x-amz-security-token']);
    expect(tokens).toEqual(['token+/1=', 'token+/1=', 'token+/2=']);
    const keys = { accessKeyId: 'ASIATEMPORARY0002', secretAccessKey: 'secret2' };
    expect(await isSigned(provider.requests()[2]!, 'token+/2=', keys)).toBe(true);
  });

  test('is not sent where the machine has no keys, and the operator is told where they were looked for', async () => {
    serve(['ok'], undefined, { AWS_EC2_METADATA_DISABLED: 'true' });
    const response = await ask(gateway.url);
    expect(response.status).toBe(502);
    expect((await errorOf(response)).code).toBe('upstream_unauthorized');
    expect(provider.requests()).toEqual([]);
  });
});

describe('an answer of Bedrock', () => {
  test('has an id and the name of the model, which Bedrock does not give', async () => {
    serve(['ok'], 'ABSK');
    const whole = (await (await ask(gateway.url)).json()) as { id: string; model: string };
    expect(whole).toMatchObject({ id: expect.stringMatching(/^turn_/), model: 'ok' });
    const streamed = await (await ask(gateway.url, { stream: true })).text();
    expect(streamed).toMatch(/"id":"turn_\w+".*"model":"ok"/);
  });

  test('calls tools by the names that the client gave them', async () => {
    serve(['tool-call'], 'ABSK');
    const name = 'mcp.weather/look up';
    const more = { tools: [{ type: 'function', function: { name, parameters: { type: 'object' } } }] };
    const whole = await (await ask(gateway.url, { model: 'tool-call', more })).text();
    const streamed = await (await ask(gateway.url, { model: 'tool-call', stream: true, more })).text();
    for (const answer of [whole, streamed]) expect(answer).toContain(`"name":"${name}"`);
    const sent = JSON.parse(provider.requests()[0]!.body.toString());
    expect(sent.toolConfig.tools[0].toolSpec.name).toMatch(/^mcp_weather_look_up_\w{8}$/);
  });

  test.each([
    ['error-in-stream-after-0', 'upstream_rate_limited'],
    ['cut-after-0', 'upstream_truncated'],
    ['garbage', 'upstream_invalid'],
    ['error-429', 'upstream_rate_limited'],
    ['error-403', 'upstream_unauthorized'],
    ['error-503', 'upstream_overloaded'],
    ['wrong-content-type', 'upstream_invalid'],
  ])('that fails before it says anything (%s) is an error of its own kind', async (model, code) => {
    serve([model], 'ABSK');
    const response = await ask(gateway.url, { model, stream: true });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect((await errorOf(response)).code).toBe(code);
    expect(gateway.ledger.story).toEqual([`failed ${code}`]);
  });

  test.each([
    ['pause-5ms.error-in-stream', 'upstream_rate_limited'],
    ['pause-5ms.cut-after-2', 'upstream_truncated'],
    ['pause-5ms.no-done', 'upstream_truncated'],
    ['pause-5ms.garbage-after-2', 'upstream_invalid'],
  ])('that fails in the middle (%s) ends with an error, not with an end', async (model, code) => {
    serve([model], 'ABSK');
    const text = await (await ask(gateway.url, { model, stream: true })).text();
    expect(text).toContain('word1');
    expect(text).toContain(`"code":"${code}"`);
    expect(text).not.toContain('[DONE]');
    expect(gateway.ledger.story).toEqual([`failed ${code}`]);
  });
});
