import { describe, expect, test } from 'vitest';
import { providerTypes } from '#shared/provider-types.ts';
import type { CredentialTools } from './credential.ts';
import { endpointPath, type ProviderSettings } from './provider.ts';
import { vertex, vertexAddress } from './vertex.ts';

// Nothing here is fetched.
const provider = vertex('vertex', providerTypes.vertex, {} as CredentialTools);

test.each([
  [undefined, 'https://aiplatform.googleapis.com'],
  ['global', 'https://aiplatform.googleapis.com'],
  ['us', 'https://aiplatform.us.rep.googleapis.com'],
  ['eu', 'https://aiplatform.eu.rep.googleapis.com'],
  ['us-east5', 'https://us-east5-aiplatform.googleapis.com'],
  ['europe-west1', 'https://europe-west1-aiplatform.googleapis.com'],
  ['evil.example/', undefined],
  ['evil.example', undefined],
  ['a:1', undefined],
])('region %s is served at %s', (region, address) => {
  expect(vertexAddress(region === undefined ? {} : { region })).toBe(address);
});

describe.each([
  ['gemini-2.5-pro', 'gemini'],
  ['claude-sonnet-4@20250514', 'anthropic-messages'],
  ['meta/llama-3.3-70b-instruct-maas', 'openai-chat'],
])('the model %s', (model, dialect) => {
  test(`speaks ${dialect}`, () => {
    expect(provider.turns(model).map((endpoint) => endpoint.dialect)).toEqual([dialect]);
  });
});

function path(model: string, stream: boolean, settings: ProviderSettings): string {
  return endpointPath(provider.turns(model)[0]!.path, { model, stream, settings });
}

test.each([
  [
    'gemini-2.5-pro',
    { project: 'p', region: 'us-central1' },
    '/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent',
    '/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
  ],
  [
    'gemini-2.5-pro',
    {},
    '/v1/publishers/google/models/gemini-2.5-pro:generateContent',
    '/v1/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse',
  ],
  [
    'claude-sonnet-4@20250514',
    { project: 'example.com:p' },
    '/v1/projects/example.com:p/locations/global/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict',
    '/v1/projects/example.com:p/locations/global/publishers/anthropic/models/claude-sonnet-4@20250514:streamRawPredict',
  ],
  [
    'meta/llama',
    { project: 'p', region: 'us-east5' },
    '/v1/projects/p/locations/us-east5/endpoints/openapi/chat/completions',
    '/v1/projects/p/locations/us-east5/endpoints/openapi/chat/completions',
  ],
  [
    'gemini-x?key=1#y z',
    {},
    '/v1/publishers/google/models/gemini-x%3Fkey%3D1%23y%20z:generateContent',
    '/v1/publishers/google/models/gemini-x%3Fkey%3D1%23y%20z:streamGenerateContent?alt=sse',
  ],
])('%s with %j is at its path', (model, settings, whole, stream) => {
  expect(path(model, false, settings)).toBe(whole);
  expect(path(model, true, settings)).toBe(stream);
});

test('Claude is named in the path alone, and the version in the body', () => {
  expect(provider.turns('claude-x')[0]).toMatchObject({
    omitsModel: true,
    adds: { anthropic_version: 'vertex-2023-10-16' },
  });
});

test.each([
  ['interleaved-thinking-2025-05-14', 'interleaved-thinking-2025-05-14'],
  ['claude-code-20250219, context-1m-2025-08-07 ,oauth-2025-04-20', 'context-1m-2025-08-07'],
  ['advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19', 'tool-search-tool-2025-10-19'],
  ['constructor,,unknown', undefined],
])('of the betas %s Claude there hears %s', (asked, kept) => {
  const keep = provider.turns('claude-x')[0]!.keepHeaders!;
  const headers = { 'anthropic-beta': asked, 'anthropic-version': '2023-06-01' };
  expect(keep(headers)).toEqual(kept === undefined ? {} : { 'anthropic-beta': kept });
  expect(keep({})).toEqual({});
});

test('its list of models is read', () => {
  const { read, path: place } = provider.modelList!;
  const models = [{ name: 'publishers/google/models/gemini-2.5-pro' }, {}, { name: '' }, null];
  expect(read(Buffer.from(JSON.stringify({ publisherModels: models })))).toEqual(['gemini-2.5-pro']);
  expect(place).toBe('/v1beta1/publishers/google/models?pageSize=1000');
});
