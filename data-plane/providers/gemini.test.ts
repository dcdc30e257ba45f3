import { describe, expect, test } from 'vitest';
import { gemini } from './gemini.ts';
import { endpointPath } from './provider.ts';

const provider = gemini('gemini');

test.each([
  ['gemini-2.5-pro', false, '/models/gemini-2.5-pro:generateContent'],
  ['gemini-2.5-pro', true, '/models/gemini-2.5-pro:streamGenerateContent?alt=sse'],
  ['models/gemini-2.5-pro', false, '/models/gemini-2.5-pro:generateContent'],
  ['tunedModels/mine', false, '/tunedModels/mine:generateContent'],
  ['../files/secret', false, '/models/..%2Ffiles%2Fsecret:generateContent'],
  ['models/../x?key=1', false, '/models/models%2F..%2Fx%3Fkey%3D1:generateContent'],
])('%s, streamed: %s, is asked at %s', (model, stream, path) => {
  const [endpoint] = provider.turns(model);
  expect(endpoint).toMatchObject({ dialect: 'gemini' });
  expect(endpointPath(endpoint!.path, { model, stream, settings: {} })).toBe(path);
});

describe('a key', () => {
  test('goes out in Google’s header', () => {
    expect(provider.credential('AIza-secret', {}).headers).toEqual({ 'x-goog-api-key': 'AIza-secret' });
    expect(provider.credential(undefined, {}).headers).toEqual({});
  });
});

test('models are read from Google’s list', () => {
  const list = { models: [{ name: 'models/gemini-2.5-pro' }, { name: 'models/gemini-2.5-flash' }, {}] };
  expect(provider.modelList!.read(Buffer.from(JSON.stringify(list)))).toEqual([
    'gemini-2.5-pro',
    'gemini-2.5-flash',
  ]);
});
