// Figures that forget: what happened a half-life ago counts half. Nothing is scheduled; the time that has passed is worked in when a
// figure is read or added to.
import { bucketOf, latencyBuckets, percentileOf } from '#shared/health/latency-buckets.ts';

export class DecayingSum {
  readonly #halfLifeMs: number;
  #value = 0;
  #atMs = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  add(amount: number, nowMs: number): void {
    this.#value = this.read(nowMs) + amount;
    this.#atMs = nowMs;
  }

  read(nowMs: number): number {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    return this.#value === 0 ? 0 : this.#value * 2 ** (-passedMs / this.#halfLifeMs);
  }
}

/**
 * An average that rises to a slow observation at once and falls slowly: one that is suddenly ten times slower is noticed by the first
 * request that ends, and a lucky fast one does not hide it.
 */
export class PeakAverage {
  readonly #halfLifeMs: number;
  #value: number | undefined;
  #atMs = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  add(observed: number, nowMs: number): void {
    if (this.#value === undefined || observed > this.#value) {
      this.#value = observed;
    } else {
      // What came long after the last one replaces it; what came together with it changes little.
      const keep = 2 ** (-Math.max(nowMs - this.#atMs, 1) / this.#halfLifeMs);
      this.#value = this.#value * keep + observed * (1 - keep);
    }
    this.#atMs = nowMs;
  }

  /** It would have been at least so much, which is news only where that is more than is known. */
  addAtLeast(bound: number, nowMs: number): void {
    if (this.#value === undefined || bound > this.#value) this.add(bound, nowMs);
  }

  read(): number | undefined {
    return this.#value;
  }
}

/** Percentiles of durations, in a fixed size. */
export class DecayingDigest {
  readonly #halfLifeMs: number;
  readonly #counts = new Float64Array(latencyBuckets);
  /** Found since the last observation. Everyone is looked at with every request, and age alone moves no percentile. */
  readonly #found = new Map<number, number | undefined>();
  #sum = 0;
  #atMs = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  add(durationMs: number, nowMs: number): void {
    this.#age(nowMs);
    this.#counts[bucketOf(durationMs)]! += 1;
    this.#sum += 1;
    this.#found.clear();
  }

  /**
   * It would have been at least so long. When it would have come, those tell that took longer: it is shared out among them. So one that
   * was given up early changes little, and those that are given up late still count as late.
   */
  addAtLeast(durationMs: number, nowMs: number): void {
    this.#age(nowMs);
    const from = bucketOf(durationMs);
    const longer = this.#counts.subarray(from);
    const sum = longer.reduce((total, count) => total + count, 0);
    if (sum === 0) this.#counts[from]! += 1;
    else for (const [bucket, count] of longer.entries()) longer[bucket] = count * (1 + 1 / sum);
    this.#sum += 1;
    this.#found.clear();
  }

  /** Undefined when nothing is known. `share` from 0 to 1. */
  percentile(share: number): number | undefined {
    if (!this.#found.has(share)) this.#found.set(share, percentileOf(this.#counts, share));
    return this.#found.get(share);
  }

  /** As many as are left by now, by bucket; empty when there are none. */
  counts(nowMs: number): readonly number[] {
    this.#age(nowMs);
    return this.#sum === 0 ? [] : [...this.#counts];
  }

  #age(nowMs: number): void {
    const keep = 2 ** (-Math.max(nowMs - this.#atMs, 0) / this.#halfLifeMs);
    this.#atMs = Math.max(nowMs, this.#atMs);
    if (this.#sum === 0 || keep === 1) return;
    for (let bucket = 0; bucket < latencyBuckets; bucket += 1) this.#counts[bucket]! *= keep;
    this.#sum *= keep;
  }
}
