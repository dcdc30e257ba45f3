// Replaces small pieces of a large text without copying the rest: the result is a list of views to be written one after the
// other.

export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** `replacements` must not overlap. */
export function splice(body: Buffer, replacements: readonly Replacement[]): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const { start, end, text } of replacements.toSorted((a, b) => a.start - b.start)) {
    if (start > from) parts.push(body.subarray(from, start));
    if (text !== '') parts.push(Buffer.from(text));
    from = end;
  }
  if (from < body.length) parts.push(body.subarray(from));
  return parts;
}
