import { expect, test } from 'vitest';
import { noUsage } from '../turn/usage.ts';
import { counted, readTokens } from './usage.ts';

test.each([
  ['embeddings', { prompt_tokens: 8, total_tokens: 8 }, { input: 8 }],
  ['a sum alone', { total_tokens: 7 }, { input: 7 }],
  ['pictures', { input_tokens: 50, output_tokens: 272, total_tokens: 322 }, { input: 50, output: 272 }],
  [
    'a transcript',
    {
      type: 'tokens',
      input_tokens: 14,
      input_token_details: { text_tokens: 2, audio_tokens: 12 },
      output_tokens: 9,
    },
    { input: 2, inputAudio: 12, output: 9 },
  ],
  [
    'details that exceed their sum',
    { input_tokens: 3, input_tokens_details: { audio_tokens: 9, cached_tokens: 9 } },
    { inputAudio: 3 },
  ],
])('%s', (_, wire, expected) => {
  expect(readTokens(wire)).toEqual({ ...noUsage, ...expected });
});

test.each([
  [undefined],
  [null],
  [[]],
  [{}],
  [{ type: 'duration', seconds: 9 }],
  [{ prompt_tokens: '3' }],
  [{ total_tokens: -1 }],
])('where no tokens are named, none are known: %j', (wire) => {
  expect(readTokens(wire)).toBeUndefined();
});

test('what sound costs to make has a meter of its own', () => {
  expect(readTokens({ input_tokens: 4, output_tokens: 90 }, { output: 'outputAudio' })).toEqual({
    ...noUsage,
    input: 4,
    outputAudio: 90,
  });
});

test('our own count cannot be taken for a provider’s', () => {
  expect(counted({ images: 2 })).toBe('{"counted":{"images":2}}');
});
