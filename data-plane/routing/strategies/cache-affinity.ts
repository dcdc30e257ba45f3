// A conversation stays where its prompt is cached: every instance computes the same member from the conversation's stable beginning
// (rendezvous hashing, so that a member that comes or goes moves only its own conversations), and leaves it only when that member is
// overloaded or failing. Requests that have nothing to stay with are placed as `adaptive` does.
import { createHash } from 'node:crypto';
import { adaptive } from './adaptive.ts';
import { lotOf } from './order-by.ts';
import type { Member, Ranked, Strategy, StrategyInput } from './strategy.ts';

/** How much more than its share a member may have in flight before conversations leave it. */
const OVERLOAD = 1.5;
/** A few in flight are nobody's overload, however idle the others are. */
const OVERLOAD_IN_FLIGHT_MIN = 8;
const SUCCESS_MIN = 0.5;
const TWO_TO_48 = 2 ** 48;

export const cacheAffinity: Strategy = { name: 'cache-affinity', order: stay };

function stay<Item extends Member>(members: readonly Item[], input: StrategyInput): readonly Ranked<Item>[] {
  if (input.affinity === '') return adaptive.order(members, input);
  const weights = members.reduce((sum, { weight }) => sum + weight, 0);
  const load = members.reduce((sum, { vitals }) => sum + vitals.inFlight, 0);
  return members
    .map((member) => {
      const fair = weights === 0 ? 0 : (load * member.weight) / weights;
      const isOverloaded = member.vitals.inFlight > Math.max(OVERLOAD * fair, OVERLOAD_IN_FLIGHT_MIN);
      const isFailing = member.vitals.successShare < SUCCESS_MIN;
      const state = isFailing ? ', but failing' : isOverloaded ? ', but overloaded' : '';
      return {
        member,
        isLeft: isOverloaded || isFailing,
        score: lotOf(member.weight, chanceOf(member.id, input.affinity)),
        why: `place of this conversation${state}`,
      };
    })
    .sort((one, other) => Number(one.isLeft) - Number(other.isLeft) || one.score - other.score)
    .map(({ isLeft: _, ...ranked }) => ranked);
}

/** The same number for the same pair on every instance, evenly spread. */
function chanceOf(memberId: string, affinity: string): number {
  const digest = createHash('sha256').update(affinity).update('\0').update(memberId).digest();
  return digest.readUIntBE(0, 6) / TWO_TO_48;
}
