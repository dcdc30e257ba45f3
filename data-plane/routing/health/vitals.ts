// How one of those that answer is doing, as far as this node knows: a provider's key, a deployment, a whole provider. Everything
// that chooses looks at the same figures, and explains itself with them.
import type { BreakerState } from '#shared/health/digest.ts';

export type SubjectKind = 'key' | 'deployment' | 'provider';

/** `key:pk_1`, `deployment:gpt-4o:openai:gpt-4o`, `provider:openai`. */
export type Subject = `${SubjectKind}:${string}`;

export interface Vitals {
  readonly subject: Subject;
  /** How much has been seen lately; older observations weigh less. 0: nothing is known, and it should be tried. */
  readonly weight: number;
  /** Of those: the share that succeeded. 1 when nothing is known. */
  readonly successShare: number;
  /** Whole answers, and first bytes of streams: an average that rises at once and falls slowly. */
  readonly latencyMs: number | undefined;
  readonly firstByteMs: number | undefined;
  readonly firstByteP50Ms: number | undefined;
  readonly firstByteP95Ms: number | undefined;
  /** How long those who wait for a first byte have waited, against what is usual here: 1, and 10 when it is ten times as long. */
  readonly stalling: number;
  readonly inFlight: number;
  readonly consecutiveFailures: number;
  readonly breaker: BreakerState;
  /** Not to be asked before this; 0 when it may be. Rate limits, and the breaker's pause. */
  readonly coolingUntilMs: number;
  /** From 0 to 1: how much of its share it may have again after a recovery. */
  readonly warmth: number;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly errorsPerMinute: number;
  /** How often it said that a limit was reached. */
  readonly rateLimitedPerMinute: number;
  /** What the provider's own headers say is left of its limits, as a share; undefined when it says nothing. */
  readonly headroom: number | undefined;
  /** What a free probe found; undefined when there was none lately. */
  readonly isReachable: boolean | undefined;
}

/** Of someone nobody has asked yet. */
export function unknownVitals(subject: Subject): Vitals {
  return {
    subject,
    weight: 0,
    successShare: 1,
    latencyMs: undefined,
    firstByteMs: undefined,
    firstByteP50Ms: undefined,
    firstByteP95Ms: undefined,
    stalling: 1,
    inFlight: 0,
    consecutiveFailures: 0,
    breaker: 'closed',
    coolingUntilMs: 0,
    warmth: 1,
    requestsPerMinute: 0,
    tokensPerMinute: 0,
    errorsPerMinute: 0,
    rateLimitedPerMinute: 0,
    headroom: undefined,
    isReachable: undefined,
  };
}
