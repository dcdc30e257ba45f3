// How those are who are not asked, because what is known of them is bad: nobody would ever find out that they are well again. One request
// in so many goes to the one of whom the least is known, and someone on probation after an outage gets its trial at once; always one
// request at a time, so that a member which does not answer costs one user and not all.
import type { Member, StrategyInput } from './strategy.ts';

/** Who costs more than this many times the best is not in the running. */
const RUNNING_MAX = 3;
/** Twice in a thousand is too rare to be seen in a 99th percentile, and at ten requests a second it is every half minute. */
const EXPLORE_EVERY = 400;

interface Scored {
  readonly member: Member;
  readonly score: number;
}

export interface Field<Entry extends Scored> {
  /** Best first. */
  readonly running: readonly Entry[];
  readonly out: readonly Entry[];
  /** To be asked before anyone else, to find out how it is. */
  readonly explored: Entry | undefined;
}

/** `ranked`: best first. */
export function fieldOf<Entry extends Scored>(
  ranked: readonly Entry[],
  { random }: Pick<StrategyInput, 'random'>,
): Field<Entry> {
  const scoreMax = (ranked[0]?.score ?? 0) * RUNNING_MAX;
  const running = ranked.filter(({ score }) => score <= scoreMax);
  const out = ranked.filter(({ score }) => score > scoreMax);
  const idle = out.filter(({ member: { vitals } }) => vitals.inFlight === 0);
  const onProbation = idle.find(({ member: { vitals } }) => vitals.breaker === 'half-open');
  if (onProbation !== undefined) return { running, out, explored: onProbation };
  const isTurn = idle.length > 0 && random() * EXPLORE_EVERY < 1;
  const [leastKnown] = idle.toSorted((one, other) => one.member.vitals.weight - other.member.vitals.weight);
  return { running, out, explored: isTurn ? leastKnown : undefined };
}
