// How well someone is doing, as one number that people can compare: 100 × success × latency × limits × breaker. What each factor is
// and why is in docs/health.md.
import type { BreakerState } from './digest.ts';

export interface ScoredFigures {
  /** How much was seen lately; 0 means nothing. */
  readonly weight: number;
  readonly successShare: number;
  readonly firstByteMs: number | undefined;
  readonly firstByteP50Ms: number | undefined;
  readonly requestsPerMinute: number;
  readonly rateLimitedPerMinute: number;
  readonly breaker: BreakerState;
}

/** Twice its usual time is within what a longer prompt explains. */
const USUAL_FACTOR = 2;
/** Slow is bad, but it is still an answer; and a limit is lifted by itself. */
const FACTOR_MIN = 0.5;
const breakerFactors: Readonly<Record<BreakerState, number>> = { closed: 1, 'half-open': 0.5, open: 0 };

/** From 0 to 100; undefined when nothing is known. */
export function healthScore(figures: ScoredFigures): number | undefined {
  const { weight, successShare, breaker } = figures;
  if (weight === 0 && breaker === 'closed' && figures.rateLimitedPerMinute === 0) return undefined;
  const factors = successShare * latencyFactor(figures) * limitFactor(figures) * breakerFactors[breaker];
  return Math.round(100 * Math.min(1, Math.max(0, factors)));
}

function latencyFactor({ firstByteMs, firstByteP50Ms }: ScoredFigures): number {
  if (firstByteMs === undefined || firstByteP50Ms === undefined || firstByteMs <= 0) return 1;
  return Math.min(1, Math.max(FACTOR_MIN, (USUAL_FACTOR * firstByteP50Ms) / firstByteMs));
}

function limitFactor({ requestsPerMinute, rateLimitedPerMinute }: ScoredFigures): number {
  if (rateLimitedPerMinute <= 0) return 1;
  const share = Math.min(1, rateLimitedPerMinute / Math.max(requestsPerMinute, rateLimitedPerMinute));
  return 1 - (1 - FACTOR_MIN) * share;
}
