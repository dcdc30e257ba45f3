// Whose fault a failure is, as a table: it counts against those who could have done better, and rests those for whom asking again soon is
// pointless. A caller's mistake says nothing about anyone.
import type { ErrorCode, SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { ProbeOutcome } from './breaker.ts';
import type { SubjectKind } from './vitals.ts';

interface Blame {
  /** For whom it was a failure; for the others the attempt says nothing. */
  readonly failed: readonly SubjectKind[];
  /** Who is left alone for a while, and for how long where the provider did not say. */
  readonly rests?: { readonly kind: SubjectKind; readonly usualMs: number };
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** A model may be broken while all others of its provider answer. */
const deployment: Blame = { failed: ['deployment'] };
/** Who cannot be reached at all has no model that can. */
const provider: Blame = { failed: ['deployment', 'provider'] };

const table: Partial<Record<ErrorCode, Blame>> = {
  upstream_rate_limited: { failed: [], rests: { kind: 'key', usualMs: 5 * SECOND } },
  upstream_quota_exhausted: { failed: ['key'], rests: { kind: 'key', usualMs: 5 * MINUTE } },
  upstream_unauthorized: { failed: ['key'], rests: { kind: 'key', usualMs: MINUTE } },
  upstream_model_missing: { ...deployment, rests: { kind: 'deployment', usualMs: MINUTE } },
  upstream_overloaded: deployment,
  upstream_error: deployment,
  upstream_invalid: deployment,
  upstream_truncated: deployment,
  upstream_timeout: deployment,
  upstream_unreachable: provider,
  upstream_forbidden_address: provider,
};

const nobody: Blame = { failed: [] };

/** What is said of a failure: an error of ours, or as much of one as is known. */
export type Failure = Pick<SignalboxError, 'code' | 'retryAfterMs'>;

export function outcomeFor(kind: SubjectKind, error: Failure | undefined): ProbeOutcome {
  if (error === undefined) return 'success';
  return blameOf(error).failed.includes(kind) ? 'failure' : 'unknown';
}

/** Whether someone could have done better: neither the caller's mistake nor a limit that was reached. */
export function isBlamed(error: Failure): boolean {
  return blameOf(error).failed.length > 0;
}

/** Whether it ended because another attempt at the same request was faster: no failure, and no success. */
export function isOvertaken({ code }: Failure): boolean {
  return code === 'hedge_lost';
}

/** Until when whom this failure concerns should not be asked. */
export function restAfter(
  error: Failure,
  nowMs: number,
): { readonly kind: SubjectKind; readonly untilMs: number } | undefined {
  const { rests } = blameOf(error);
  const asked = error.retryAfterMs;
  if (rests === undefined) {
    // Whoever names a time is taken at its word, overloaded ones too.
    return asked === undefined || error.code !== 'upstream_overloaded'
      ? undefined
      : { kind: 'deployment', untilMs: nowMs + Math.min(asked, REST_MS_MAX) };
  }
  return { kind: rests.kind, untilMs: nowMs + Math.min(asked ?? rests.usualMs, REST_MS_MAX) };
}

/** A provider that says "tomorrow" is asked again sooner: a wrong clock there must not cost a day here. */
const REST_MS_MAX = limits.healthRestMsMax;

function blameOf({ code }: Failure): Blame {
  return table[code] ?? nobody;
}
