// When to stop asking someone who keeps failing, and how to find out that it is well again. A pure machine: state, what happened
// and the time in, the next state out.
//
//   closed ── too many failures in a row, or too large a share of them ──▶ open
//   open ── its pause is over ──▶ half-open: a few probes are let through
//   half-open ── enough of them succeed ──▶ closed        ── one fails ──▶ open, for twice as long
//
// A request that was let through as a probe is counted until it ends, however it ends, so that a lost one cannot keep the door shut.
// Only what began after the pause says something about the time after it: of those who were asked before, some fail much later, by a
// time-out, and would be taken for failed probes one after the other.

export interface BreakerSettings {
  readonly failuresInARowMax: number;
  /** The share of failures that opens it, once there is evidence enough. */
  readonly failureShareMax: number;
  readonly evidenceMin: number;
  readonly pauseMsMin: number;
  readonly pauseMsMax: number;
  /** How many probes may be under way at once, and how many have to succeed. */
  readonly probesMax: number;
}

export interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open';
  readonly openUntilMs: number;
  /** How often it has opened since it was last closed; each time the pause doubles. */
  readonly openings: number;
  readonly probesInFlight: number;
  readonly probesSucceeded: number;
  /** When it was closed again last; 0 when it has never been open. */
  readonly closedAtMs: number;
}

export interface Evidence {
  readonly failuresInARow: number;
  readonly weight: number;
  readonly failureShare: number;
}

export const closedBreaker: Breaker = Object.freeze({
  state: 'closed',
  openUntilMs: 0,
  openings: 0,
  probesInFlight: 0,
  probesSucceeded: 0,
  closedAtMs: 0,
});

/** The state at this time: an open one whose pause is over is half-open. */
export function breakerAt(breaker: Breaker, nowMs: number): Breaker {
  if (breaker.state !== 'open' || nowMs < breaker.openUntilMs) return breaker;
  return { ...breaker, state: 'half-open', probesInFlight: 0, probesSucceeded: 0 };
}

/** It is known to be back: its pause is over. */
export function hastened(breaker: Breaker, nowMs: number): Breaker {
  return breaker.state === 'open'
    ? { ...breaker, openUntilMs: Math.min(breaker.openUntilMs, nowMs) }
    : breaker;
}

export function mayPass(breaker: Breaker, settings: BreakerSettings): boolean {
  if (breaker.state === 'closed') return true;
  return breaker.state === 'half-open' && breaker.probesInFlight < settings.probesMax;
}

/** Clocks are read twice for the same moment. */
const SAME_MOMENT_MS = 1;

/** Whether an attempt that began then says something that is not known already. */
export function isNewsTo({ state, openUntilMs, closedAtMs }: Breaker, begunMs: number): boolean {
  const sinceMs = state === 'half-open' ? openUntilMs : state === 'closed' ? closedAtMs : 0;
  return begunMs >= sinceMs - SAME_MOMENT_MS;
}

/** A request is let through. */
export function passed(breaker: Breaker): Breaker {
  if (breaker.state !== 'half-open') return breaker;
  return { ...breaker, probesInFlight: breaker.probesInFlight + 1 };
}

export type ProbeOutcome = 'success' | 'failure' | 'unknown';

/** A request that was let through has ended. `unknown`: it says nothing about whom it asked (the caller left, or was at fault). */
export function ended(
  breaker: Breaker,
  outcome: ProbeOutcome,
  evidence: Evidence,
  nowMs: number,
  settings: BreakerSettings,
): Breaker {
  if (breaker.state === 'half-open') return probeEnded(breaker, outcome, nowMs, settings);
  if (breaker.state === 'open' || outcome !== 'failure') return breaker;
  const isOut =
    evidence.failuresInARow >= settings.failuresInARowMax ||
    (evidence.weight >= settings.evidenceMin && evidence.failureShare > settings.failureShareMax);
  return isOut ? opened(breaker, nowMs, settings) : breaker;
}

function probeEnded(
  breaker: Breaker,
  outcome: ProbeOutcome,
  nowMs: number,
  settings: BreakerSettings,
): Breaker {
  if (outcome === 'failure') return opened(breaker, nowMs, settings);
  const probesInFlight = Math.max(0, breaker.probesInFlight - 1);
  if (outcome === 'unknown') return { ...breaker, probesInFlight };
  const probesSucceeded = breaker.probesSucceeded + 1;
  if (probesSucceeded < settings.probesMax) return { ...breaker, probesInFlight, probesSucceeded };
  return { ...closedBreaker, closedAtMs: nowMs };
}

function opened(breaker: Breaker, nowMs: number, settings: BreakerSettings): Breaker {
  const pauseMs = Math.min(settings.pauseMsMin * 2 ** breaker.openings, settings.pauseMsMax);
  return {
    ...breaker,
    state: 'open',
    openUntilMs: nowMs + pauseMs,
    openings: breaker.openings + 1,
    probesInFlight: 0,
    probesSucceeded: 0,
  };
}
