// Everything at once: of a few drawn by lot, the one that is expected to serve this request sooner, given what it has in flight, how
// often it fails and how much room its provider says is left. A few and not all: when many instances choose the best of all by figures a
// moment old, they all choose the same one and it is the best no longer; the best of a few spreads load. They are drawn from those
// who are in the running at all, so that bad ones are never the only choice while someone is well.
import { expectedLatencyMs } from './expected-latency.ts';
import { fieldOf } from './explore.ts';
import { lotOf } from './order-by.ts';
import type { Member, Ranked, Strategy, StrategyInput } from './strategy.ts';

/** Two would do to spread load; the third is there for when those who are left are nearly full, and one with room has to be found. */
const DRAWN = 3;
/**
 * Up to so many times as slow as the fastest is what models are anyway; then it matters more who has room, and slowness counts by its
 * root. Beyond that someone is ill, and it counts in full.
 */
const USUAL_SLOWNESS = 3;
/** Who has not been measured is taken to be as fast as the fastest, or this fast when nobody is. */
const UNMEASURED_MS = 100;
/** With nothing left of its limits a member is not impossible, only the last choice. */
const HEADROOM_MIN = 0.02;
/**
 * How much of the usual load counts as if everyone had it: models answer many at once, so someone idle is not many times as fast as
 * someone busy, and a member that is ten times as slow must not look good for having nothing to do.
 */
const USUAL_LOAD_SHARE = 0.25;

export const adaptive: Strategy = { name: 'adaptive', order: bestOfFew };

function bestOfFew<Item extends Member>(
  members: readonly Item[],
  input: StrategyInput,
): readonly Ranked<Item>[] {
  const measured = members.map((member) => expectedLatencyMs(member, input));
  const fastestMs = Math.min(...measured.filter((value) => value !== undefined), Number.POSITIVE_INFINITY);
  const assumedMs = Number.isFinite(fastestMs) ? fastestMs : UNMEASURED_MS;
  const usualLoad = usualLoadOf(members);
  const ranked = members
    .map((member, index) => ({
      member,
      ...costOf(member, measured[index] ?? assumedMs, { fastestMs: assumedMs, usualLoad }),
      lot: lotOf(member.weight, input.random()),
    }))
    .sort(byScore);
  const { running, out, explored } = fieldOf(ranked, input);
  const drawn = running.toSorted((one, other) => one.lot - other.lot).slice(0, DRAWN);
  const first = explored === undefined ? [] : [explored];
  return [...new Set([...first, ...drawn.sort(byScore), ...running, ...out])].map(
    ({ lot: _, ...entry }) => entry,
  );
}

/** In flight for each unit of weight. */
function usualLoadOf(members: readonly Member[]): number {
  const inFlight = members.reduce((sum, { vitals }) => sum + vitals.inFlight, 0);
  return inFlight / members.reduce((sum, { weight }) => sum + weight, 0);
}

function costOf(
  { weight, vitals: { inFlight, headroom } }: Member,
  expectedMs: number,
  { fastestMs, usualLoad }: { readonly fastestMs: number; readonly usualLoad: number },
): { score: number; why: string } {
  const room = Math.max(headroom ?? 1, HEADROOM_MIN);
  // Little room left is no reason to flee before there is a squeeze.
  const squeeze = Math.min(1, room * 4);
  const left = headroom === undefined ? '' : `, ${Math.round(headroom * 100)} % of its limits left`;
  return {
    score:
      (slownessOf(expectedMs / Math.max(fastestMs, 1)) *
        (1 + inFlight / weight + usualLoad * USUAL_LOAD_SHARE)) /
      squeeze,
    why: `${Math.round(expectedMs)} ms expected with ${inFlight} in flight${left}`,
  };
}

function slownessOf(timesAsSlow: number): number {
  if (timesAsSlow <= USUAL_SLOWNESS) return Math.sqrt(Math.max(timesAsSlow, 1));
  return timesAsSlow / Math.sqrt(USUAL_SLOWNESS);
}

function byScore(one: { readonly score: number }, other: { readonly score: number }): number {
  return one.score - other.score;
}
