// To whoever answers this request for the least money. Who has no price comes last: unknown is not free.
import { expectedCost } from './expected-cost.ts';
import { orderBy } from './order-by.ts';
import type { Strategy } from './strategy.ts';

const NANODOLLARS_PER_DOLLAR = 1e9;

export const lowestCost: Strategy = {
  name: 'lowest-cost',
  order: (members, input) =>
    orderBy(members, input, ({ id, price }) => {
      if (price === undefined) return { score: Number.POSITIVE_INFINITY, why: 'no price known' };
      const { inputTokens, outputTokensExpected } = input;
      const cachedTokens = input.cachedTokens(id);
      const cost = expectedCost(price, { inputTokens, cachedTokens, outputTokensExpected });
      return { score: cost, why: `$${(cost / NANODOLLARS_PER_DOLLAR).toFixed(6)} expected` };
    }),
};
