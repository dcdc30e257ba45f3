// What a request is expected to cost, in billionths of a dollar: its input as counted, the part of it that is warm in the prompt cache
// at the lower price, and as much output as such requests usually have.
import type { Price } from '../../snapshot/snapshot.ts';

export interface ExpectedTokens {
  readonly inputTokens: number;
  /** How many of them are likely to be cached there. */
  readonly cachedTokens: number;
  readonly outputTokensExpected: number;
}

export function expectedCost(price: Price, tokens: ExpectedTokens): number {
  const { inputTokens, outputTokensExpected } = tokens;
  const cached = Math.min(tokens.cachedTokens, inputTokens);
  return (
    (inputTokens - cached) * price.input + cached * price.inputCacheRead + outputTokensExpected * price.output
  );
}
