import { expect, test } from 'vitest';
import { providerTypes } from '#shared/provider-types.ts';
import { azure } from './azure.ts';
import type { CredentialTools } from './credential.ts';
import { endpointPath, type ProviderSettings } from './provider.ts';

// Nothing here is fetched.
const provider = azure('azure', providerTypes.azure, {} as CredentialTools);
const versioned = { api_version: '2024-10-21' };

function paths(model: string, settings: ProviderSettings): Record<string, string> {
  const turns = provider.turns(model);
  return Object.fromEntries(
    turns.map(({ dialect, path }) => [dialect, endpointPath(path, { model, stream: true, settings })]),
  );
}

test("without a version, OpenAI's own paths are used", () => {
  expect(paths('gpt-5-mini', {})).toEqual({
    'openai-chat': '/openai/v1/chat/completions',
    'openai-responses': '/openai/v1/responses',
  });
  expect(paths('gpt-35-turbo-instruct', {})).toEqual({ 'openai-completions': '/openai/v1/completions' });
});

test('with a version, the deployment is in the path', () => {
  expect(paths('my gpt/5', versioned)).toEqual({
    'openai-chat': '/openai/deployments/my%20gpt%2F5/chat/completions?api-version=2024-10-21',
    'openai-responses': '/openai/responses?api-version=2024-10-21',
  });
  expect(paths('gpt-35-turbo-instruct', versioned)).toEqual({
    'openai-completions': '/openai/deployments/gpt-35-turbo-instruct/completions?api-version=2024-10-21',
  });
});

test('the list of models is asked for in the same way', () => {
  const { path, read } = provider.modelList!;
  expect(endpointPath(path, { model: '', stream: false, settings: {} })).toBe('/openai/v1/models');
  expect(endpointPath(path, { model: '', stream: false, settings: versioned })).toBe(
    '/openai/models?api-version=2024-10-21',
  );
  expect(read(Buffer.from('{"data":[{"id":"gpt-5"},{"id":7}]}'))).toEqual(['gpt-5']);
});

test('a key goes into the header that Azure reads', () => {
  expect(provider.credential('k', {})).toEqual({ headers: { 'api-key': 'k' } });
  expect(provider.credential(undefined, {})).toEqual({ headers: {} });
});

test('an Entra application needs both of its names', () => {
  const both = { tenant_id: 't', client_id: 'c' };
  expect(provider.credential('secret', both).headers).toEqual({});
  expect(() => provider.credential('secret', { tenant_id: 't' })).toThrow('client_id');
  expect(() => provider.credential('secret', { client_id: 'c' })).toThrow('tenant_id');
});
