// Lengths of time as people write them: `500ms`, `60s`, `2m`, `1h`; a plain number means seconds.

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

export const durationPattern = /^\d+(\.\d+)?(ms|s|m|h)?$/;

/** Expects what the schema has accepted. */
export function durationMs(duration: string | number): number {
  if (typeof duration === 'number') return Math.round(duration * unitMs.s);
  const { amount, unit = 's' } = /^(?<amount>[\d.]+)(?<unit>[a-z]+)?$/.exec(duration)?.groups ?? {};
  return Math.round(Number(amount) * unitMs[unit as keyof typeof unitMs]);
}
