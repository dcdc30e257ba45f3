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

/** What an answer has come to. */
export interface Spent {
  /** 0 where nobody knows a price. */
  readonly nanoDollars: number;
  readonly outputTokens: number;
}

export class HedgeBudget {
  readonly #requests = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #hedges = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #spend = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #hedgeSpend = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #answers = new DecayingSum(limits.hedgeHalfLifeMs);
  readonly #outputTokens = new DecayingSum(limits.hedgeHalfLifeMs);

  request(nowMs: number): void {
    this.#requests.add(1, nowMs);
  }

  /** What the attempts were worth that would have been made without second ones. */
  spent({ nanoDollars, outputTokens }: Spent, nowMs: number): void {
    this.#spend.add(nanoDollars, nowMs);
    this.#answers.add(1, nowMs);
    this.#outputTokens.add(outputTokens, nowMs);
  }

  /** Of an answer of this route, so that what a second attempt costs is not guessed; undefined where too few are known. */
  usualOutputTokens(nowMs: number): number | undefined {
    const answers = this.#answers.read(nowMs);
    return answers < limits.hedgeEvidenceMin ? undefined : this.#outputTokens.read(nowMs) / answers;
  }

  /** Whether there is one left that is expected to cost so much; an unknown price is expected to be 0. */
  hasRoom(settings: HedgeSettings, expectedNanoDollars: number, nowMs: number): boolean {
    const { requestShareMax, spendShareMax } = settings;
    const hedges = this.#hedges.read(nowMs) + 1;
    const hedgeSpend = this.#hedgeSpend.read(nowMs) + expectedNanoDollars;
    return (
      hedges <= this.#requests.read(nowMs) * requestShareMax &&
      hedgeSpend <= this.#spend.read(nowMs) * spendShareMax
    );
  }

  /** Takes one second attempt out of the budget; undefined when there is none left. */
  take(settings: HedgeSettings, expectedNanoDollars: number, nowMs: number): HedgeTicket | undefined {
    if (!this.hasRoom(settings, expectedNanoDollars, nowMs)) return undefined;
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
