// Health digests with only what matters to a test.
import type { HealthBook } from '#data-plane/routing/health/health-book.ts';
import type { Subject } from '#data-plane/routing/health/vitals.ts';
import type { HealthDigest, SubjectReport } from '#shared/health/digest.ts';
import { limits } from '#shared/limits.ts';

export function reportOf(subject: string, sketch: Partial<SubjectReport> = {}): SubjectReport {
  return {
    subject,
    seen: 0,
    failed: 0,
    ended: sketch.seen ?? 0,
    endedWrong: sketch.failed ?? 0,
    failuresInARow: 0,
    inFlight: 0,
    breaker: 'closed',
    openMs: 0,
    troubledMs: 0,
    restMs: 0,
    requestsPerMinute: 0,
    tokensPerMinute: 0,
    errorsPerMinute: 0,
    rateLimitedPerMinute: 0,
    latencyMs: undefined,
    firstByteMs: undefined,
    firstBytes: [],
    headroom: undefined,
    isReachable: undefined,
    ...sketch,
  };
}

export function digestOf(
  nodeId: string,
  subjects: readonly SubjectReport[],
  sketch: Partial<HealthDigest> = {},
): HealthDigest {
  return { nodeId, region: '', boot: 1n, sequence: 1n, subjects, ...sketch };
}

/** One request that was sent and has ended, at the same moment; only its first byte has a time, to be recognised by. */
export function asked(
  health: HealthBook,
  subjects: readonly Subject[],
  outcome: 'success' | 'failure' | 'unknown',
  nowMs: number,
): void {
  health.began(subjects, true, nowMs);
  if (outcome === 'success') health.answering(subjects, true, 10, nowMs);
  health.ended(subjects, {
    nowMs,
    outcome,
    latencyMs: 0,
    isStream: true,
    firstByteMs: outcome === 'success' ? 10 : undefined,
    tokens: 0,
    error: undefined,
  });
}

/** As often as it takes for its breaker to open. */
export function failedOften(health: HealthBook, subjects: readonly Subject[], nowMs: number): void {
  for (let times = 0; times < limits.breakerFailuresInARowMax; times += 1)
    asked(health, subjects, 'failure', nowMs);
}
