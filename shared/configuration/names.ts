// How things are called in a configuration, for every schema that names them.
import { z } from 'zod';
import { limits } from '../limits.ts';
import { durationMs, durationPattern } from './duration.ts';

const DURATION_MS_MAX = 60 * 60 * 1000;

export const publicName = z
  .string()
  .max(limits.nameLengthMax)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/,
    'must begin with a letter or digit and hold only letters, digits and . _ : / @ + -',
  );

/** A word to compare with; `*` at its end stands for any rest. */
export const pattern = z
  .string()
  .min(1)
  .max(limits.nameLengthMax)
  .regex(/^[^*]*\*?$/, 'may hold * at its end only');

/** One of them, or a list. */
export function oneOrMore<Item extends z.ZodType>(item: Item) {
  return z.union([item, z.array(item).min(1).max(limits.ruleValuesMax)]);
}

export function listOf<Item>(written: Item | readonly Item[] | undefined): readonly Item[] {
  if (written === undefined) return [];
  return Array.isArray(written) ? written : [written as Item];
}

/** A length of time of at least a millisecond and at most an hour. */
export const shortDuration = z
  .union([
    z.string().regex(durationPattern, { error: 'must be a duration such as 500ms, 60s or 2m', abort: true }),
    z.number(),
  ])
  .refine(isShort, 'must be between 1ms and 1h');

/** The same, or a word that stands for one. */
export function shortDurationOr(word: string) {
  const durationOrWord = `must be ${word}, or a duration such as 500ms, 60s or 2m`;
  return z
    .union([
      z.literal(word),
      z.string().regex(durationPattern, { error: durationOrWord, abort: true }),
      z.number(),
    ])
    .refine((written) => written === word || isShort(written), 'must be between 1ms and 1h');
}

function isShort(duration: string | number): boolean {
  const ms = durationMs(duration);
  return ms >= 1 && ms <= DURATION_MS_MAX;
}
