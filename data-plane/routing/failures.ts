// What to tell a caller when every target failed. Each failure is true of one target only; the one passed on is the one
// the caller can do most with: first those that waiting mends, then what a provider said about this request, last what
// only the operator can mend. Among equals the first counts, as it comes from the preferred target.
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';

/** Lower says more. Codes that are not here end a request at once and are never compared. */
const informativeness: Partial<Record<ErrorCode, number>> = {
  upstream_rate_limited: 0,
  upstream_overloaded: 1,
  queue_full: 1,
  queue_timeout: 1,
  upstream_timeout: 2,
  upstream_truncated: 3,
  upstream_error: 3,
  upstream_invalid: 3,
  // After those the caller need not mend anything, before those it can do nothing about.
  context_length_exceeded: 4,
  content_filtered: 4,
  upstream_quota_exhausted: 4,
  upstream_model_missing: 5,
  upstream_unauthorized: 5,
  upstream_unreachable: 6,
  upstream_forbidden_address: 7,
  unsupported_field: 8,
  unsupported_by_provider: 9,
  excluded_by_rules: 10,
};
const UNRANKED = 11;

/** Undefined when nothing has failed. */
export function mostInformative(failures: readonly SignalboxError[]): SignalboxError | undefined {
  let best: SignalboxError | undefined;
  for (const failure of failures) if (!best || rank(failure) < rank(best)) best = failure;
  if (best?.kind.status !== 429) return best;
  return withEarliestRetry(best, failures);
}

/** A request may be repeated as soon as any of the limited targets is free again. */
function withEarliestRetry(best: SignalboxError, failures: readonly SignalboxError[]): SignalboxError {
  let earliest = best.retryAfterMs ?? Number.POSITIVE_INFINITY;
  for (const { code, retryAfterMs } of failures) {
    if (code === best.code && retryAfterMs !== undefined) earliest = Math.min(earliest, retryAfterMs);
  }
  if (earliest === (best.retryAfterMs ?? Number.POSITIVE_INFINITY)) return best;
  return new SignalboxError(best.code, best.message, { cause: best, retryAfterMs: earliest });
}

function rank(error: SignalboxError): number {
  return informativeness[error.code] ?? UNRANKED;
}

/** Whether the key is at fault or full, so that another key of the same deployment may do. */
export function isAboutKey(error: SignalboxError): boolean {
  return (
    error.code === 'upstream_rate_limited' ||
    error.code === 'upstream_quota_exhausted' ||
    error.code === 'upstream_unauthorized'
  );
}
