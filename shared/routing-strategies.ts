// The strategies by which requests are shared, by the names that configuration uses: the only list of them. What each does is in the
// data plane and in docs/routing.md. The names that other gateways use are understood, and written down as ours.

export const strategyNames = [
  'priority',
  'least-latency',
  'weighted-round-robin',
  'random',
  'round-robin',
  'least-busy',
  'lowest-usage',
  'lowest-cost',
  'adaptive',
  'cache-affinity',
] as const;

export type StrategyName = (typeof strategyNames)[number];

export const strategyAliases = {
  'simple-shuffle': 'random',
  'lowest-latency': 'least-latency',
  'lowest-tpm-rpm': 'lowest-usage',
} as const satisfies Readonly<Record<string, StrategyName>>;

type StrategyAlias = keyof typeof strategyAliases;
export type WrittenStrategy = StrategyName | StrategyAlias;

export const writtenStrategies = [
  ...strategyNames,
  ...(Object.keys(strategyAliases) as StrategyAlias[]),
] as const;

/** All keys of an account cost the same and share its prompt caches. */
type NotForKeys = 'lowest-cost' | 'cache-affinity';

export const writtenKeyStrategies = writtenStrategies.filter(
  (name): name is Exclude<WrittenStrategy, NotForKeys> => !['lowest-cost', 'cache-affinity'].includes(name),
);

/** How members of a route and deployments of a model are chosen, and how keys are, where nobody says. */
export const usualStrategy = 'priority' satisfies StrategyName;
export const usualKeyStrategy = 'random' satisfies StrategyName;

export function isStrategyName(name: string): name is StrategyName {
  return (strategyNames as readonly string[]).includes(name);
}

/** Undefined for a name that nobody has given to a strategy. */
export function strategyCalled(written: string): StrategyName | undefined {
  if (isStrategyName(written)) return written;
  return Object.hasOwn(strategyAliases, written) ? strategyAliases[written as StrategyAlias] : undefined;
}

export function realStrategyName(written: WrittenStrategy): StrategyName {
  return isStrategyName(written) ? written : strategyAliases[written];
}
