// Every strategy, by the name that configuration uses. One rule holds for all of them and is therefore kept here: a member without weight is drained, and comes after everyone who has some.
import { type StrategyName, usualStrategy } from '#shared/routing-strategies.ts';
import { adaptive } from './adaptive.ts';
import { cacheAffinity } from './cache-affinity.ts';
import { leastBusy } from './least-busy.ts';
import { leastLatency } from './least-latency.ts';
import { lowestCost } from './lowest-cost.ts';
import { lowestUsage } from './lowest-usage.ts';
import { priority } from './priority.ts';
import { random } from './random.ts';
import { roundRobin, weightedRoundRobin } from './round-robin.ts';
import type { Member, Ranked, Strategy, StrategyInput } from './strategy.ts';

const strategies = {
  priority,
  'least-latency': leastLatency,
  'weighted-round-robin': weightedRoundRobin,
  random,
  'round-robin': roundRobin,
  'least-busy': leastBusy,
  'lowest-usage': lowestUsage,
  'lowest-cost': lowestCost,
  adaptive,
  'cache-affinity': cacheAffinity,
} as const satisfies Record<StrategyName, Strategy>;

const byName: ReadonlyMap<string, Strategy> = new Map(
  Object.entries(strategies).map(([name, strategy]) => [name, drainedLast(strategy)]),
);

/** What a snapshot names exists: configuration refuses every other name. */
export function strategyNamed(name: string): Strategy {
  return byName.get(name) ?? byName.get(usualStrategy)!;
}

function drainedLast({ name, order }: Strategy): Strategy {
  return {
    name,
    order: (members, input) => {
      if (members.every(({ weight }) => weight > 0)) return order(members, input);
      const sharing = members.filter(({ weight }) => weight > 0);
      const drained = members.filter(({ weight }) => weight <= 0);
      return [...order(sharing, input), ...shuffled(drained, input)];
    },
  };
}

function shuffled<Item extends Member>(
  members: readonly Item[],
  { random: chance }: StrategyInput,
): readonly Ranked<Item>[] {
  return members
    .map((member) => ({ member, score: Number.POSITIVE_INFINITY, why: 'weight 0', lot: chance() }))
    .sort((one, other) => one.lot - other.lot)
    .map(({ lot: _, ...ranked }) => ranked);
}
