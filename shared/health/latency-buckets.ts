// Durations counted in buckets that grow by a fixed factor: percentiles from a millisecond to a quarter of an hour, within a tenth, in
// a fixed size. Counts of several nodes are added up bucket by bucket.

const BUCKETS_PER_DOUBLING = 4;
export const latencyBuckets = 80;

export function bucketOf(durationMs: number): number {
  const bucket = Math.ceil(Math.log2(Math.max(durationMs, 1)) * BUCKETS_PER_DOUBLING);
  return Math.min(bucket, latencyBuckets - 1);
}

/** Undefined when nothing was counted. `share` from 0 to 1. */
export function percentileOf(counts: ArrayLike<number>, share: number): number | undefined {
  let sum = 0;
  for (let bucket = 0; bucket < counts.length; bucket += 1) sum += counts[bucket]!;
  if (sum === 0) return undefined;
  let left = share * sum;
  for (let bucket = 0; bucket < counts.length; bucket += 1) {
    left -= counts[bucket]!;
    if (left <= 0) return 2 ** (bucket / BUCKETS_PER_DOUBLING);
  }
  return 2 ** ((latencyBuckets - 1) / BUCKETS_PER_DOUBLING);
}
