// Lists are read page by page with a cursor: an opaque note of the last row's position, so that rows which arrive or
// leave meanwhile are neither repeated nor skipped, and page 10,000 costs what page 1 costs.
import { z } from 'zod';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';

export const pageQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(limits.apiPageRowsMax)
    .default(limits.apiPageRowsDefault)
    .describe('How many items to return.'),
  cursor: z.string().max(512).optional().describe('`next_cursor` of the page before.'),
});

export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next_cursor: z
      .string()
      .nullable()
      .describe('Ask with this as `cursor` for the next page; null on the last.'),
  });
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** Stores are asked for one row more than the page has, which tells whether there is a next page. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
  positionOf: (row: Row) => readonly string[],
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items: shown.map(toItem), next_cursor: more ? encodeCursor(positionOf(last)) : null };
}

export function encodeCursor(position: readonly string[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** The position in a cursor: as many parts as the list is sorted by, each as the pattern says. */
export function decodeCursor(cursor: string | undefined, patterns: readonly RegExp[]): string[] | undefined {
  if (cursor === undefined) return undefined;
  const parts = parse(cursor);
  const valid =
    Array.isArray(parts) &&
    parts.length === patterns.length &&
    parts.every((part, index) => typeof part === 'string' && patterns[index]!.test(part));
  if (valid) return parts as string[];
  throw new SignalboxError(
    'invalid_request',
    'cursor is not one that this list has given out. Start without it.',
    {
      param: 'cursor',
    },
  );
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
}
