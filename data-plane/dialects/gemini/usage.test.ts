import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inputTotal, noUsage, outputTotal } from '../../turn/usage.ts';
import { findUsage, readUsage, writeUsage } from './usage.ts';

describe('token counts', () => {
  test('are taken apart', () => {
    const usage = readUsage({
      promptTokenCount: 100,
      cachedContentTokenCount: 30,
      candidatesTokenCount: 20,
      thoughtsTokenCount: 50,
      toolUsePromptTokenCount: 7,
      totalTokenCount: 177,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 60 },
        { modality: 'AUDIO', tokenCount: 40 },
      ],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 10 }],
      candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 5 }],
    });
    expect(usage).toEqual({
      input: 47,
      inputCacheRead: 30,
      inputCacheWrite: 0,
      inputAudio: 30,
      output: 15,
      outputReasoning: 50,
      outputAudio: 5,
    });
    expect(inputTotal(usage) + outputTotal(usage)).toBe(177);
  });

  test('know modalities by their numbers too', () => {
    const promptTokensDetails = [
      { modality: 4, tokenCount: 3 },
      { modality: 1, tokenCount: 2 },
    ];
    expect(readUsage({ promptTokenCount: 5, promptTokensDetails })).toMatchObject({
      input: 2,
      inputAudio: 3,
    });
  });

  test('never become negative, whatever a provider says', () => {
    const value = fc.oneof(fc.integer(), fc.double(), fc.string(), fc.constant(null));
    const details = fc.array(fc.record({ modality: fc.constantFrom('AUDIO', 4), tokenCount: value }), {
      maxLength: 2,
    });
    const wire = fc.record({
      promptTokenCount: value,
      cachedContentTokenCount: value,
      candidatesTokenCount: value,
      thoughtsTokenCount: value,
      toolUsePromptTokenCount: value,
      promptTokensDetails: details,
      candidatesTokensDetails: details,
    });
    fc.assert(
      fc.property(wire, (made) => {
        for (const count of Object.values(readUsage(made))) expect(count).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  test('are the same after a way out and in', () => {
    const count = fc.integer({ min: 0, max: 100_000 });
    const vector = fc.record({
      input: count,
      inputCacheRead: count,
      inputCacheWrite: fc.constant(0),
      inputAudio: count,
      output: count,
      outputReasoning: count,
      outputAudio: count,
    });
    fc.assert(
      fc.property(vector, (usage) => {
        expect(readUsage(writeUsage(usage))).toEqual(usage);
      }),
    );
  });

  test('are none where nothing was counted', () => {
    expect(findUsage({})).toBeUndefined();
    expect(findUsage({ usageMetadata: {} })).toBeUndefined();
    expect(findUsage({ usageMetadata: 7 })).toBeUndefined();
    expect(findUsage({ usage_metadata: { prompt_token_count: 2 } })?.usage).toEqual({ ...noUsage, input: 2 });
  });
});
