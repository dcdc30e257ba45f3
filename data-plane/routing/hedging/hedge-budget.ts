// How much hedging a route may do: a share of its recent requests, and of what they cost. When everybody is slow, every request would like
// a second attempt, and those would make everybody slower. There is nothing extra for quiet routes: a share is a share.
import { limits } from '#shared/limits.ts';
import type { HedgeSettings } from '../../snapshot/snapshot.ts';
import { DecayingSum } from '../health/decaying.ts';

/** A second attempt that was paid for. */
export interface HedgeTicket {
  /** What the attempt that lost has cost in the end, once. Until then what was expected counts. */
  settle(nanoDollars: number, nowMs: number): void;
}

export class HedgeBudget {
  readonly #requests = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #hedges = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #spend = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #hedgeSpend = new DecayingSum(limits.hedgeHalfLifeMs);

  request(nowMs: number): void {
    this.#requests.add(1, nowMs);
  }

  /** What an attempt has cost that answered; nothing where nobody knows a price. */
  spent(nanoDollars: number, nowMs: number): void {
    this.#spend.add(nanoDollars, nowMs);
  }

  /** Takes one second attempt out of the budget; undefined when there is none left. An unknown price is expected to be 0. */
  take(
    { requestShareMax, spendShareMax }: HedgeSettings,
    expectedNanoDollars: number,
    nowMs: number,
  ): HedgeTicket | undefined {
    const hedges = this.#hedges.read(nowMs) + 1;
    if (hedges > this.#requests.read(nowMs) * requestShareMax) return undefined;
    const hedgeSpend = this.#hedgeSpend.read(nowMs) + expectedNanoDollars;
    if (hedgeSpend > this.#spend.read(nowMs) * spendShareMax) return undefined;
    this.#hedges.add(1, nowMs);
    this.#hedgeSpend.add(expectedNanoDollars, nowMs);
    return this.#ticket(expectedNanoDollars, nowMs);
  }

  #ticket(expectedNanoDollars: number, takenAtMs: number): HedgeTicket {
    let isSettled = false;
    return {
      settle: (nanoDollars, nowMs) => {
        if (isSettled) return;
        isSettled = true;
        // What is left of the expectation makes room for what it came to.
        const left = expectedNanoDollars * 2 ** (-Math.max(nowMs - takenAtMs, 0) / limits.hedgeHalfLifeMs);
        this.#hedgeSpend.add(nanoDollars - left, nowMs);
      },
    };
  }
}
