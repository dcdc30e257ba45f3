import { expect, test } from 'vitest';
import { WarmPrompts } from './warm-prompts.ts';

const settings = { conversationsMax: 3, warmMs: 1000 };
const answered = { affinity: 'chat', places: ['eu', 'route-member'], inputTokens: 900, nowMs: 0 };

test('a conversation is warm where it was answered last, under both names of the place', () => {
  const warm = new WarmPrompts(settings);
  warm.answered(answered);
  expect(warm.tokensAt('chat', 'eu', 10)).toBe(900);
  expect(warm.tokensAt('chat', 'route-member', 10)).toBe(900);
  expect(warm.tokensAt('chat', 'us', 10)).toBe(0);
  warm.answered({ ...answered, places: ['us'], inputTokens: 1200 });
  expect(warm.tokensAt('chat', 'us', 10)).toBe(1200);
  expect(warm.tokensAt('chat', 'eu', 10)).toBe(0);
});

test('it cools down', () => {
  const warm = new WarmPrompts(settings);
  warm.answered(answered);
  expect(warm.tokensAt('chat', 'eu', 1000)).toBe(900);
  expect(warm.tokensAt('chat', 'eu', 1001)).toBe(0);
});

test('a request that is no part of a conversation leaves nothing behind', () => {
  const warm = new WarmPrompts(settings);
  warm.answered({ ...answered, affinity: '' });
  expect(warm.size).toBe(0);
  expect(warm.tokensAt('', 'eu', 0)).toBe(0);
});

test('it remembers so many conversations and forgets those first that were quiet longest', () => {
  const warm = new WarmPrompts(settings);
  for (const affinity of ['one', 'two', 'three', 'one', 'four']) warm.answered({ ...answered, affinity });
  expect(warm.size).toBe(3);
  expect(warm.tokensAt('one', 'eu', 0)).toBe(900);
  expect(warm.tokensAt('two', 'eu', 0)).toBe(0);
});
