// What a strategy is: it puts those that could answer into an order, best first, from figures it is given. It reads no clock and
// throws no dice of its own, so that a test can ask why. The same strategies choose among the members of a route, the
// deployments of a model and the keys of a deployment.
import type { Price } from '../../snapshot/snapshot.ts';
import type { Vitals } from '../health/vitals.ts';

export interface Member {
  /** Stable across changes of configuration. */
  readonly id: string;
  readonly weight: number;
  /** Lower goes first where a strategy looks at it. */
  readonly priority: number;
  readonly isNear: boolean;
  readonly vitals: Vitals;
  /** Per minute; 0 when unlimited. */
  readonly requestsPerMinuteMax: number;
  readonly tokensPerMinuteMax: number;
  /** Undefined when nobody said what it costs. */
  readonly price: Price | undefined;
}

export interface StrategyInput {
  readonly nowMs: number;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  readonly isStream: boolean;
  readonly inputTokens: number;
  readonly outputTokensExpected: number;
  /** What all requests of one conversation have in common; empty when nothing is. */
  readonly affinity: string;
  /** How many of the input tokens are likely to be in the prompt cache of this member. */
  readonly cachedTokens: (memberId: string) => number;
  /** What the strategy remembers between requests of this route, model or deployment. */
  readonly memory: StrategyMemory;
}

/** Kept by whoever calls, one for each place where something is chosen; forgotten when that place is. */
export interface StrategyMemory {
  readonly turns: Map<string, number>;
}

export interface Ranked<Item extends Member> {
  readonly member: Item;
  /** Lower is better; its unit is the strategy's own. */
  readonly score: number;
  /** The score in words: "1.2 s to the first byte × 4 in flight". */
  readonly why: string;
}

export interface Strategy {
  readonly name: string;
  /** Every member once. */
  order<Item extends Member>(members: readonly Item[], input: StrategyInput): readonly Ranked<Item>[];
}
