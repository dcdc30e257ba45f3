// To whoever answers soonest: the first byte of a stream, the whole of a body. Who has not been measured lately is tried first, one
// request at a time, so that a newcomer is found and a recovered one returns, and nobody is flooded to learn how fast it is.
import { expectedLatencyMs } from './expected-latency.ts';
import { fieldOf } from './explore.ts';
import { orderBy, type Score } from './order-by.ts';
import type { Member, Ranked, Strategy, StrategyInput } from './strategy.ts';

export const leastLatency: Strategy = { name: 'least-latency', order: fastestFirst };

function fastestFirst<Item extends Member>(
  members: readonly Item[],
  input: StrategyInput,
): readonly Ranked<Item>[] {
  const ranked = orderBy(members, input, (member) => scoreOf(member, input));
  const { running, out, explored } = fieldOf(ranked, input);
  return explored === undefined ? ranked : [...new Set([explored, ...running, ...out])];
}

function scoreOf(member: Member, input: StrategyInput): Score {
  const expectedMs = expectedLatencyMs(member, input);
  if (expectedMs !== undefined) return { score: expectedMs, why: `${Math.round(expectedMs)} ms expected` };
  return member.vitals.inFlight === 0
    ? { score: 0, why: 'not measured yet' }
    : { score: Number.MAX_VALUE, why: 'being measured' };
}
