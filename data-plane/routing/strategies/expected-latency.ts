// How long a member is expected to take, and what that is worth when it fails often: a failure costs the time it took and then
// the whole time of another, so an expected time is divided by the chance of success, twice. Where those who wait now have waited for
// longer than is usual, it will take longer than it used to.
import type { Member, StrategyInput } from './strategy.ts';

/** Below this much evidence a member counts as unmeasured. */
const EVIDENCE_MIN = 0.5;
/** Nobody is written off: with a chance of nothing the time would be infinite and the evidence never renewed. */
const SUCCESS_MIN = 0.05;
/** After so many failures in a row the next request is as likely to fail as not, however well it went before. */
const FAILURES_IN_A_ROW_EVEN = 2;

/** Undefined for a member that should be tried to find out. */
export function expectedLatencyMs(
  { vitals }: Pick<Member, 'vitals'>,
  { isStream }: Pick<StrategyInput, 'isStream'>,
): number | undefined {
  const { consecutiveFailures, firstByteMs, latencyMs, stalling, successShare, warmth, weight } = vitals;
  const averageMs = isStream ? firstByteMs : latencyMs;
  if (weight < EVIDENCE_MIN || averageMs === undefined) return undefined;
  const afterFailures = FAILURES_IN_A_ROW_EVEN / (FAILURES_IN_A_ROW_EVEN + consecutiveFailures);
  const success = Math.max(Math.min(successShare, afterFailures), SUCCESS_MIN);
  return (averageMs * stalling) / (success ** 2 * warmth);
}
