import { expect, test } from 'vitest';
import { type ProviderType, providerTypes } from '#shared/provider-types.ts';
import type { CredentialTools } from './credential.ts';
import { endpointPath, type ServiceEndpoint } from './provider.ts';
import { createProviders } from './registry.ts';

const providerFor = createProviders({ environment: {} } as unknown as CredentialTools);

function pathAt(type: string, service: 'embeddings' | 'rerank', model: string, settings = {}): string {
  const endpoint = providerFor(type)!.services[service] as ServiceEndpoint;
  return endpointPath(endpoint.path, { model, stream: false, settings });
}

test.each([
  ['openai', 'embeddings', 'm', {}, '/embeddings'],
  ['cohere', 'rerank', 'm', {}, '/v2/rerank'],
  ['azure', 'embeddings', 'my model', {}, '/openai/v1/embeddings'],
  [
    'azure',
    'embeddings',
    'my model',
    { api_version: '2024-10-21' },
    '/openai/deployments/my%20model/embeddings?api-version=2024-10-21',
  ],
  [
    'bedrock',
    'embeddings',
    'amazon.titan-embed-text-v2:0',
    {},
    '/model/amazon.titan-embed-text-v2%3A0/invoke',
  ],
  ['gemini', 'embeddings', 'gemini-embedding-001', {}, '/models/gemini-embedding-001:batchEmbedContents'],
  [
    'vertex',
    'embeddings',
    'text-embedding-005',
    { project: 'p', region: 'us-central1' },
    '/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict',
  ],
  [
    'vertex',
    'embeddings',
    'gemini-embedding-2',
    {},
    '/v1/publishers/google/models/gemini-embedding-2:embedContent',
  ],
] as const)('%s: %s of %s with %j is asked for at %s', (type, service, model, settings, path) => {
  expect(pathAt(type, service, model, settings)).toBe(path);
});

test('a compatible host offers what its row says', () => {
  for (const [type, row] of Object.entries<ProviderType>(providerTypes)) {
    if (row.family !== 'openai') continue;
    expect(Object.keys(providerFor(type)!.services)).toEqual([...(row.services ?? [])]);
  }
});
