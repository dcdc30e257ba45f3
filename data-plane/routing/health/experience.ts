// What a node has to remember of someone to weigh the words of others: when its own requests succeeded and failed last, since when it
// has been failing, how often it was told to slow down, what a free probe found, and how many requests are out to see whether the
// others are right.
import type { ErrorCode } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type Failure, isBlamed } from './blame.ts';
import type { ProbeOutcome } from './breaker.ts';
import { DecayingSum } from './decaying.ts';
import type { OwnExperience } from './trust.ts';

const MINUTE_HALF_LIFE_MS = 60_000 * Math.LN2;
const limitCodes: ReadonlySet<ErrorCode> = new Set(['upstream_rate_limited', 'upstream_quota_exhausted']);

export class Experience implements OwnExperience {
  lastSuccessMs = Number.NEGATIVE_INFINITY;
  lastFailureMs = Number.NEGATIVE_INFINITY;
  lastBegunMs = Number.NEGATIVE_INFINITY;
  readonly #limited = new DecayingSum(MINUTE_HALF_LIFE_MS);
  readonly #ended = new DecayingSum(limits.healthHalfLifeMs);
  readonly #endedWrong = new DecayingSum(limits.healthHalfLifeMs);
  #troubledSinceMs: number | undefined;
  #probesInFlight = 0;
  #reach: { readonly isUp: boolean; readonly atMs: number } | undefined;
  #wasDown = false;

  began(isCautious: boolean, nowMs: number): void {
    this.lastBegunMs = nowMs;
    this.#probesInFlight = isCautious ? this.#probesInFlight + 1 : 0;
  }

  ended(
    { nowMs, outcome, error }: { nowMs: number; outcome: ProbeOutcome; error: Failure | undefined },
    isClosed: boolean,
  ): void {
    this.#probesInFlight = Math.max(0, this.#probesInFlight - 1);
    if (error !== undefined && limitCodes.has(error.code)) this.#limited.add(1, nowMs);
    const isWrong = outcome === 'failure' || (error !== undefined && isBlamed(error));
    if (isWrong || outcome === 'success') this.#ended.add(1, nowMs);
    if (isWrong) this.#endedWrong.add(1, nowMs);
    if (outcome === 'success') {
      this.lastSuccessMs = nowMs;
      if (isClosed) this.#troubledSinceMs = undefined;
    } else if (outcome === 'failure') {
      this.lastFailureMs = nowMs;
      this.#troubledSinceMs ??= nowMs;
    }
  }

  /** The breaker has opened: what probes found before says nothing about this time. */
  opened(): void {
    this.#wasDown = false;
  }

  /** Whether the others may be wrong and nobody is finding out yet. */
  get mayProbe(): boolean {
    return this.#probesInFlight < limits.healthCautiousProbesMax;
  }

  /**
   * What a free probe found. True when it has come back: only one that was down meanwhile tells with this why requests failed. One that
   * was up all along fails for another reason, which a probe cannot see.
   */
  noteReach(isUp: boolean, nowMs: number): boolean {
    this.#reach = { isUp, atMs: nowMs };
    const isBack = isUp && this.#wasDown;
    this.#wasDown = !isUp;
    return isBack;
  }

  /** Undefined when nobody has tried lately. */
  isReachable(nowMs: number): boolean | undefined {
    const isFresh = this.#reach !== undefined && nowMs - this.#reach.atMs < 2 * limits.probeIdleMs;
    if (!isFresh) return undefined;
    // An answer that came since is better evidence.
    return this.#reach!.isUp || this.lastSuccessMs > this.#reach!.atMs;
  }

  troubledMs(nowMs: number): number {
    // Never 0 while it lasts: that would say that there is none.
    return this.#troubledSinceMs === undefined ? 0 : Math.max(1, nowMs - this.#troubledSinceMs);
  }

  /** For people, who want to know how many requests failed and not only whose fault it was. */
  endings(nowMs: number): { readonly ended: number; readonly endedWrong: number } {
    return { ended: this.#ended.read(nowMs), endedWrong: this.#endedWrong.read(nowMs) };
  }

  limitedPerMinute(nowMs: number): number {
    return this.#limited.read(nowMs);
  }
}
