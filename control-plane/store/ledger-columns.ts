// The meters and outcomes of the ledger, named once: a new one is a column of `attempts`, a sum per day, and part of every
// total.
import type { UsageDailyTable } from './schema.ts';

export const outcomes = ['completed', 'failed', 'cancelled', 'interrupted'] as const;

export const tokenColumns = [
  'input_tokens',
  'input_cache_read_tokens',
  'input_cache_write_tokens',
  'input_audio_tokens',
  'output_tokens',
  'output_reasoning_tokens',
  'output_audio_tokens',
] as const;

/** What is added up per day; the cost is apart, because it may be unknown. */
export const dailySums = [
  'requests',
  'attempts',
  ...outcomes,
  ...tokenColumns,
  'unpriced_attempts',
] as const satisfies readonly (keyof UsageDailyTable)[];
