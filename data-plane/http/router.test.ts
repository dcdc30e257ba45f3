import { expect, test } from 'vitest';
import { Router } from './router.ts';

const router = new Router<string>([
  ['/v1/models', 'list'],
  ['/v1beta/*model:generateContent', 'generate'],
  ['/v1beta/:id:cancel', 'cancel'],
  ['/v1/models/*id', 'show'],
  ['/v1/files/:id/content', 'content'],
  ['/v1/a.b/:id', 'dotted'],
]);

test.each([
  ['/v1/models', 'list', {}],
  ['/v1/models/gpt-4o', 'show', { id: 'gpt-4o' }],
  ['/v1/models/openai/gpt-4o', 'show', { id: 'openai/gpt-4o' }],
  ['/v1/files/f-1/content', 'content', { id: 'f-1' }],
  ['/v1/a.b/x', 'dotted', { id: 'x' }],
  ['/v1beta/models/gemini-2.5-pro:generateContent', 'generate', { model: 'models/gemini-2.5-pro' }],
  ['/v1beta/models/a/b%2Fc:8b:generateContent', 'generate', { model: 'models/a/b%2Fc:8b' }],
  ['/v1beta/job:cancel', 'cancel', { id: 'job' }],
])('%s is %s with %j', (path, target, parameters) => {
  const found = router.find(path);
  expect(found?.target).toBe(target);
  expect({ ...found?.parameters }).toEqual(parameters);
});

test.each([
  '/v1/models/',
  '/v1beta/models/gemini:generate',
  '/v1beta/:generateContent',
  '/v1beta/a/b:cancel',
  '/v1/files/a/b/content',
  '/v1/aXb/x',
])('nothing is at %s', (path) => {
  expect(router.find(path)).toBeUndefined();
});
