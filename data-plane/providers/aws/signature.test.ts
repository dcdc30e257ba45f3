import { AwsV4Signer } from 'aws4fetch';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuthorisedRequest } from '../credential.ts';
import { type AwsKeys, signRequest } from './signature.ts';

const keys: AwsKeys = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const wallMs = Date.UTC(2015, 7, 30, 12, 36);
const get: AuthorisedRequest = {
  method: 'GET',
  host: 'example.amazonaws.com',
  path: '/',
  headers: {},
  body: [],
};
const scope = { region: 'us-east-1', service: 'service' };

function signatureOf(change: Partial<AuthorisedRequest>): string {
  const { authorization = '' } = signRequest({ ...get, ...change }, keys, scope, wallMs);
  return authorization.slice(-64);
}

describe("the examples of the signature's specification", () => {
  test('a plain GET', () => {
    expect(signRequest(get, keys, scope, wallMs)).toEqual({
      'x-amz-date': '20150830T123600Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    });
  });

  test.each<[string, Partial<AuthorisedRequest>, string]>([
    ['a POST', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'a query whose order is not the canonical one',
      { path: '/?Param2=value2&Param1=value1' },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
  ])('%s', (_, change, signature) => {
    expect(signatureOf(change)).toBe(signature);
  });
});

const models = [
  'anthropic.claude-3-sonnet-20240229-v1:0',
  'us.anthropic.claude-sonnet-5',
  'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12cd34ef56',
  "a model/with spaces & ümlaut ☃ (1)!*'",
];
const anyText = fc.string({ unit: 'grapheme', maxLength: 30 });
/** Dots alone would be a step in the path; such names lead to no model. */
const anyModel = anyText.filter((name) => !/^\.{1,2}$/.test(name));

describe('any request', () => {
  test('is signed as another implementation signs it', async () => {
    const path = fc
      .tuple(fc.oneof(fc.constantFrom(...models), anyModel), fc.constantFrom('converse', 'converse-stream'))
      .map(([model, call]) => `/model/${encodeURIComponent(model)}/${call}`);
    const query = fc
      .dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), anyText, { maxKeys: 4 })
      .map((fields) => new URLSearchParams(fields).toString());
    const body = fc.array(anyText, { maxLength: 3 });
    const token = fc.option(fc.base64String({ minLength: 4, maxLength: 40 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(path, query, body, token, async (place, search, pieces, sessionToken) => {
        const request: AuthorisedRequest = {
          method: 'POST',
          host: 'bedrock-runtime.eu-west-1.amazonaws.com',
          path: search === '' ? place : `${place}?${search}`,
          headers: { 'content-type': 'application/json' },
          body: pieces.map((piece) => Buffer.from(piece)),
        };
        const bedrock = { region: 'eu-west-1', service: 'bedrock' };
        const added = signRequest(request, { ...keys, sessionToken }, bedrock, wallMs);
        expect(added.authorization).toBe(await otherSignature(request, added, sessionToken));
      }),
      { numRuns: 300 },
    );
  });

  test('is signed with what is sent and nothing else', () => {
    const plain = signatureOf({});
    expect(signatureOf({ headers: { 'user-agent': 'x', accept: 'y' } })).toBe(plain);
    expect(signatureOf({ headers: { 'content-type': 'text/plain' } })).not.toBe(plain);
    expect(signatureOf({ body: [Buffer.from('a'), Buffer.from('b')] })).toBe(
      signatureOf({ body: [Buffer.from('ab')] }),
    );
  });
});

async function otherSignature(
  { host, path, headers, body, method }: AuthorisedRequest,
  added: Readonly<Record<string, string>>,
  sessionToken: string | undefined,
): Promise<string | null> {
  const { accessKeyId, secretAccessKey } = keys;
  const signer = new AwsV4Signer({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    method,
    url: `https://${host}${path}`,
    headers,
    body: Buffer.concat(body).toString(),
    region: 'eu-west-1',
    service: 'bedrock',
    datetime: added['x-amz-date']!,
    allHeaders: true,
  });
  const signed = await signer.sign();
  return new Headers(signed.headers).get('authorization');
}
