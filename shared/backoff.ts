// How long to wait before trying again: doubling up to a bound, and less than that by chance, so that many who failed
// together do not return together.

export interface BackoffBounds {
  readonly msMin: number;
  readonly msMax: number;
}

/** The longest wait after so many tries; `tries` is 1 after the first failure. */
export function backoffCeilingMs(tries: number, { msMin, msMax }: BackoffBounds): number {
  // 2^30 steps would be decades; the cap keeps the power exact.
  return Math.min(msMax, msMin * 2 ** Math.min(tries - 1, 30));
}

/** At least half of the ceiling, which spares a struggling server and still spreads the tries. */
export function backoffMs(tries: number, bounds: BackoffBounds, random: () => number = Math.random): number {
  const ceiling = backoffCeilingMs(tries, bounds);
  return ceiling / 2 + (random() * ceiling) / 2;
}
