import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inputTotal, noUsage, outputTotal } from '../turn/usage.ts';
import { findUsage, readUsage, writeUsage } from './openai-usage.ts';

describe('a vendor’s counts become disjoint', () => {
  test.each<[string, object, object]>([
    [
      'nothing but sums',
      { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
      { input: 9, output: 4 },
    ],
    [
      'cached, audio and reasoning inside',
      {
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 150,
        prompt_tokens_details: { cached_tokens: 60, audio_tokens: 10 },
        completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 5 },
      },
      { input: 30, inputCacheRead: 60, inputAudio: 10, output: 15, outputReasoning: 30, outputAudio: 5 },
    ],
    [
      'reasoning outside, as the total tells',
      {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 35,
        completion_tokens_details: { reasoning_tokens: 20 },
      },
      { input: 10, output: 5, outputReasoning: 20 },
    ],
    [
      'reasoning outside, as there is more of it than output',
      { prompt_tokens: 10, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 20 } },
      { input: 10, output: 5, outputReasoning: 20 },
    ],
    [
      'cache hits by name',
      { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11, prompt_cache_hit_tokens: 8 },
      { input: 2, inputCacheRead: 8, output: 1 },
    ],
    [
      'cache outside, as the total tells',
      {
        prompt_tokens: 10,
        completion_tokens: 1,
        total_tokens: 31,
        cache_read_input_tokens: 15,
        cache_creation_input_tokens: 5,
      },
      { input: 10, inputCacheRead: 15, inputCacheWrite: 5, output: 1 },
    ],
    [
      'cache writes',
      {
        prompt_tokens: 10,
        completion_tokens: 1,
        total_tokens: 11,
        prompt_tokens_details: { cache_write_tokens: 4 },
      },
      { input: 6, inputCacheWrite: 4, output: 1 },
    ],
    [
      'null and nonsense',
      { prompt_tokens: null, completion_tokens: '5', total_tokens: -1, prompt_tokens_details: null },
      {},
    ],
  ])('%s', (_, wire, expected) => {
    expect(readUsage(wire as Record<string, unknown>)).toEqual({ ...noUsage, ...expected });
  });
});

test('nothing is ever negative, and the parts never exceed what was counted', () => {
  const count = fc.oneof(fc.nat({ max: 1000 }), fc.constantFrom(null, -5, 1.5, 'x', undefined));
  const wire = fc.record({
    prompt_tokens: count,
    completion_tokens: count,
    total_tokens: count,
    prompt_tokens_details: fc.record({
      cached_tokens: count,
      audio_tokens: count,
      cache_write_tokens: count,
    }),
    completion_tokens_details: fc.record({ reasoning_tokens: count, audio_tokens: count }),
  });
  fc.assert(
    fc.property(wire, (sent) => {
      const usage = readUsage(sent);
      for (const part of Object.values(usage)) expect(part).toBeGreaterThanOrEqual(0);
      const numbers = Object.values(sent).flatMap((value) =>
        typeof value === 'object' && value !== null ? Object.values(value) : [value],
      );
      const most = numbers.reduce<number>(
        (sum, value) => sum + (typeof value === 'number' && value > 0 ? value : 0),
        0,
      );
      expect(inputTotal(usage) + outputTotal(usage)).toBeLessThanOrEqual(most);
    }),
  );
});

test('what is written reads as it was', () => {
  const part = fc.nat({ max: 1_000_000 });
  const usage = fc.record({
    input: part,
    inputCacheRead: part,
    inputCacheWrite: part,
    inputAudio: part,
    output: part,
    outputReasoning: part,
    outputAudio: part,
  });
  fc.assert(
    fc.property(usage, (counted) => {
      expect(readUsage(writeUsage(counted))).toEqual(counted);
    }),
  );
});

test('usage is found where vendors put it, with the bytes they sent', () => {
  const find = (text: string) => findUsage(JSON.parse(text), text)?.raw;
  expect(find('{"usage": {"prompt_tokens": 1.0}, "x":1}')).toBe('{"prompt_tokens": 1.0}');
  expect(find('{"x_groq":{"usage":{"prompt_tokens":2}},"usage":null}')).toBe('{"prompt_tokens":2}');
  expect(find('{"usage":null}')).toBeUndefined();
  expect(find('{"usage":{}}')).toBeUndefined();
});
