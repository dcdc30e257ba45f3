// Puts members into the order of a score. Equals are told apart by nearness, then by lot, where a weight says how many lots one
// has: among equals, shares are then as the weights, whatever the strategy.
import type { Member, Ranked, StrategyInput } from './strategy.ts';

export interface Score {
  readonly score: number;
  readonly why: string;
}

export function orderBy<Item extends Member>(
  members: readonly Item[],
  { random }: Pick<StrategyInput, 'random'>,
  scoreOf: (member: Item) => Score,
): readonly Ranked<Item>[] {
  return members
    .map((member) => ({ member, ...scoreOf(member), lot: lotOf(member.weight, random()) }))
    .sort(
      (one, other) => compare(one.score, other.score) || nearness(one, other) || compare(one.lot, other.lot),
    )
    .map(({ lot: _, ...ranked }) => ranked);
}

/** An exponential variable: the smallest is drawn in proportion to the weights. Without a weight it comes after all others. */
export function lotOf(weight: number, chance: number): number {
  return weight > 0 ? -Math.log(1 - chance) / weight : Number.MAX_VALUE;
}

function nearness(one: { readonly member: Member }, other: { readonly member: Member }): number {
  return Number(other.member.isNear) - Number(one.member.isNear);
}

/** Infinity less infinity is no number, and both may stand here. */
function compare(one: number, other: number): number {
  return one === other ? 0 : one < other ? -1 : 1;
}
