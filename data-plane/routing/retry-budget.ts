// How much failing over a route may do: a share of its recent requests, and a few more so that quiet routes can fail over at all. In an
// outage every request would otherwise be sent two, three, eight times, to those who are still well: failover must not turn one
// provider's outage into everybody's.
import { DecayingSum } from './health/decaying.ts';

export interface RetryBudgetSettings {
  /** Retries per request, over time. */
  readonly share: number;
  /** Allowed in any case within about the half-life. */
  readonly floor: number;
  readonly halfLifeMs: number;
}

export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  readonly #requests: DecayingSum;
  readonly #retries: DecayingSum;

  constructor(settings: RetryBudgetSettings) {
    this.#settings = settings;
    this.#requests = new DecayingSum(settings.halfLifeMs);
    this.#retries = new DecayingSum(settings.halfLifeMs);
  }

  request(nowMs: number): void {
    this.#requests.add(1, nowMs);
  }

  /** How many retries it would give out now. */
  left(nowMs: number): number {
    const { share, floor } = this.#settings;
    return Math.max(0, this.#requests.read(nowMs) * share + floor - this.#retries.read(nowMs));
  }

  /** Takes one retry out of the budget; false when there is none left. */
  take(nowMs: number): boolean {
    if (this.left(nowMs) < 1) return false;
    this.#retries.add(1, nowMs);
    return true;
  }
}
