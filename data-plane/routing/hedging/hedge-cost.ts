// What answers are worth, for the budget of second attempts: what one has come to, and what another is expected to come to. Prices of
// deployments know fewer meters than usage has: what has none of its own counts at the full price of its side.
import type { Deployment, Price } from '../../snapshot/snapshot.ts';
import { inputTotal, outputTotal, type Usage } from '../../turn/usage.ts';
import type { RoutedRequest } from '../plan.ts';
import { expectedCost } from '../strategies/expected-cost.ts';
import type { HedgeBudget, Spent } from './hedge-budget.ts';

export function spentBy(price: Price | undefined, usage: Usage): Spent {
  const outputTokens = outputTotal(usage);
  if (price === undefined) return { nanoDollars: 0, outputTokens };
  const cached = usage.inputCacheRead;
  const nanoDollars =
    (inputTotal(usage) - cached) * price.input + cached * price.inputCacheRead + outputTokens * price.output;
  return { nanoDollars, outputTokens };
}

/** Of a second attempt there: as long an answer as the route usually gets, to a prompt that is warm nowhere. 0 where nobody said a price. */
export function expectedHedgeCost(
  { price }: Pick<Deployment, 'price'>,
  { inputTokens, outputTokensExpected }: Pick<RoutedRequest, 'inputTokens' | 'outputTokensExpected'>,
  budget: HedgeBudget,
  nowMs: number,
): number {
  if (price === undefined) return 0;
  return expectedCost(price, {
    inputTokens,
    cachedTokens: 0,
    outputTokensExpected: budget.usualOutputTokens(nowMs) ?? outputTokensExpected,
  });
}
