// Taking turns. Weights are shares: over any run of as many requests as the weights sum up to, each member gets exactly its
// weight, spread out as evenly as that allows and not in bursts (the way nginx does it: everyone gains its weight, the richest is
// chosen and pays the sum). Members that come or go disturb nobody else's turn.
import type { Member, Ranked, Strategy, StrategyMemory } from './strategy.ts';

export const roundRobin: Strategy = {
  name: 'round-robin',
  order: (members, { memory }) => takeTurns(members, memory, () => 1),
};

export const weightedRoundRobin: Strategy = {
  name: 'weighted-round-robin',
  order: (members, { memory }) => takeTurns(members, memory, ({ weight }) => weight),
};

function takeTurns<Item extends Member>(
  members: readonly Item[],
  { turns }: StrategyMemory,
  weightOf: (member: Item) => number,
): readonly Ranked<Item>[] {
  const total = members.reduce((sum, member) => sum + weightOf(member), 0);
  forgetOthers(turns, members);
  const due = members
    .map((member) => {
      const weight = weightOf(member);
      return { member, weight, credit: (turns.get(member.id) ?? 0) + weight };
    })
    .sort(
      (one, other) =>
        Number(one.weight === 0) - Number(other.weight === 0) ||
        other.credit - one.credit ||
        (one.member.id < other.member.id ? -1 : 1),
    );
  for (const [index, { member, credit }] of due.entries()) {
    turns.set(member.id, index === 0 ? credit - total : credit);
  }
  return due.map(({ member, credit }) => ({ member, score: -credit, why: `turn ${credit} of ${total}` }));
}

/** What a member that left had saved must not wait for its return, or the others would starve then. */
function forgetOthers(turns: Map<string, number>, members: readonly Member[]): void {
  if (turns.size <= members.length) return;
  const present = new Set(members.map(({ id }) => id));
  for (const id of turns.keys()) if (!present.has(id)) turns.delete(id);
}
