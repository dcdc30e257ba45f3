import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inputTotal, outputTotal } from '../turn/usage.ts';
import { realtimeUsage } from './usage.ts';

describe('usage of a realtime response', () => {
  test('text, audio and what was cached are told apart', () => {
    const sent = {
      input_tokens: 100,
      output_tokens: 30,
      input_token_details: {
        text_tokens: 40,
        audio_tokens: 60,
        cached_tokens: 50,
        cached_tokens_details: { text_tokens: 20, audio_tokens: 30 },
      },
      output_token_details: { text_tokens: 10, audio_tokens: 20 },
    };
    expect(realtimeUsage(sent)?.usage).toEqual({
      input: 20,
      inputCacheRead: 50,
      inputCacheWrite: 0,
      inputAudio: 30,
      output: 10,
      outputReasoning: 0,
      outputAudio: 20,
    });
  });

  test('what is counted in seconds has no tokens', () => {
    expect(realtimeUsage({ type: 'duration', seconds: 3 })).toBeUndefined();
    expect(realtimeUsage(null)).toBeUndefined();
  });

  test('whatever a provider claims, the parts are never negative and make up the sums', () => {
    const amount = fc.oneof(fc.nat(1000), fc.constant(undefined), fc.constant('many'), fc.constant(-5));
    const details = fc.record({ text_tokens: amount, audio_tokens: amount, cached_tokens: amount });
    const claims = fc.record({
      input_tokens: fc.nat(1000),
      output_tokens: fc.nat(1000),
      input_token_details: fc.oneof(details, fc.constant(null)),
      output_token_details: fc.oneof(details, fc.constant([])),
    });
    fc.assert(
      fc.property(claims, (claim) => {
        const { usage } = realtimeUsage(claim)!;
        expect(Math.min(...Object.values(usage))).toBeGreaterThanOrEqual(0);
        expect([inputTotal(usage), outputTotal(usage)]).toEqual([claim.input_tokens, claim.output_tokens]);
      }),
    );
  });
});
