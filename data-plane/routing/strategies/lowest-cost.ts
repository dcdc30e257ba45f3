// To whoever answers this request for the least money: its input as counted, the part of it that is warm in a member's prompt cache
// at the lower price, and as much output as such requests usually have. Who has no price comes last: unknown is not free.
import { orderBy } from './order-by.ts';
import type { Member, Strategy, StrategyInput } from './strategy.ts';

const NANODOLLARS_PER_DOLLAR = 1e9;

export const lowestCost: Strategy = {
  name: 'lowest-cost',
  order: (members, input) =>
    orderBy(members, input, (member) => {
      const cost = expectedCost(member, input);
      return cost === undefined
        ? { score: Number.POSITIVE_INFINITY, why: 'no price known' }
        : { score: cost, why: `$${(cost / NANODOLLARS_PER_DOLLAR).toFixed(6)} expected` };
    }),
};

/** In billionths of a dollar; undefined where nobody said a price. */
export function expectedCost(
  { id, price }: Pick<Member, 'id' | 'price'>,
  input: Pick<StrategyInput, 'inputTokens' | 'outputTokensExpected' | 'cachedTokens'>,
): number | undefined {
  if (price === undefined) return undefined;
  const cached = Math.min(input.cachedTokens(id), input.inputTokens);
  return (
    (input.inputTokens - cached) * price.input +
    cached * price.inputCacheRead +
    input.outputTokensExpected * price.output
  );
}
