// What routing remembers between requests, on this node: how everyone is doing, whose turn it is, how much failing over is left, and
// where conversations are warm. One for the whole data plane; it outlives every snapshot.
import { limits } from '#shared/limits.ts';
import { HealthBook, type HealthSettings } from './health/health-book.ts';
import { HedgeBudget } from './hedging/hedge-budget.ts';
import { RetryBudget } from './retry-budget.ts';
import type { StrategyMemory } from './strategies/strategy.ts';
import { WarmPrompts } from './warm-prompts.ts';

const settings: HealthSettings = {
  failuresInARowMax: limits.breakerFailuresInARowMax,
  failureShareMax: limits.breakerFailureShareMax,
  evidenceMin: limits.breakerEvidenceMin,
  pauseMsMin: limits.breakerPauseMsMin,
  pauseMsMax: limits.breakerPauseMsMax,
  probesMax: limits.breakerProbesMax,
  halfLifeMs: limits.healthHalfLifeMs,
  slowStartMs: limits.slowStartMs,
  forgetMs: limits.healthForgetMs,
};

const retries = {
  share: limits.retryShareMax,
  floor: limits.retryFloor,
  halfLifeMs: limits.retryHalfLifeMs,
};

export interface Routing {
  readonly health: HealthBook;
  /** Told by whoever answers a request, and asked when the next of the conversation is placed. */
  readonly warm: WarmPrompts;
  memoryOf(place: string): StrategyMemory;
  budgetOf(route: string): RetryBudget;
  /** How many second attempts beside the first a route may make. */
  hedgesOf(route: string): HedgeBudget;
  /** The same for a request that nobody makes: it shows what is remembered here, and what is chosen with it is forgotten. */
  rehearsal(): Routing;
}

export class RoutingState implements Routing {
  readonly health = new HealthBook(settings);
  readonly warm = new WarmPrompts({ conversationsMax: limits.warmPromptsMax, warmMs: limits.warmPromptMs });
  readonly #memories = new Map<string, StrategyMemory>();
  readonly #budgets = new Map<string, RetryBudget>();
  readonly #hedges = new Map<string, HedgeBudget>();

  memoryOf(place: string): StrategyMemory {
    return remembered(this.#memories, place, () => ({ turns: new Map() }));
  }

  budgetOf(route: string): RetryBudget {
    return remembered(this.#budgets, route, () => new RetryBudget(retries));
  }

  hedgesOf(route: string): HedgeBudget {
    return remembered(this.#hedges, route, () => new HedgeBudget());
  }

  rehearsal(): Routing {
    const copies = new Map<string, StrategyMemory>();
    const rehearsal: Routing = {
      health: this.health,
      warm: this.warm,
      memoryOf: (place) =>
        remembered(copies, place, () => ({ turns: new Map(this.#memories.get(place)?.turns) })),
      budgetOf: (route) => this.#budgets.get(route) ?? new RetryBudget(retries),
      hedgesOf: (route) => this.#hedges.get(route) ?? new HedgeBudget(),
      rehearsal: () => rehearsal,
    };
    return rehearsal;
  }
}

/** Names come from configuration and from clients (`provider/model`), so the oldest are forgotten. */
function remembered<Value>(map: Map<string, Value>, name: string, make: () => Value): Value {
  const known = map.get(name);
  if (known !== undefined) return known;
  const oldest = map.keys().next();
  if (map.size >= limits.routingPlacesMax && !oldest.done) map.delete(oldest.value);
  const fresh = make();
  map.set(name, fresh);
  return fresh;
}
