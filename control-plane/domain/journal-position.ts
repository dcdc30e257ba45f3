// How far one journal has been taken into the ledger. Batches come twice, late, early, cut anew, and to several replicas;
// the mark only moves over what is there without a gap, and what came ahead of its turn waits as spans. One thing closes a
// gap that nothing will ever fill: a ledger restored from a backup has forgotten marks that it had given out, the journal
// has deleted what was below them, and so the journal's word for what was once confirmed counts like arrival.

/** Sequences from first to last, both included. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

export interface JournalPosition {
  /** Everything up to here is in the ledger. */
  readonly watermark: bigint;
  /** Beyond the mark; sorted, apart from each other. */
  readonly ahead: readonly Span[];
}

export const journalStart: JournalPosition = { watermark: 0n, ahead: [] };

export function withSpan({ watermark, ahead }: JournalPosition, span: Span): JournalPosition {
  const sorted = [...ahead, span].toSorted((a, b) => (a.first < b.first ? -1 : 1));
  let mark = watermark;
  const rest: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of sorted) {
    const previous = rest.at(-1);
    if (first <= mark + 1n) {
      if (last > mark) mark = last;
    } else if (previous !== undefined && first <= previous.last + 1n) {
      if (last > previous.last) previous.last = last;
    } else {
      rest.push({ first, last });
    }
  }
  return { watermark: mark, ahead: rest };
}

/** Everything up to a mark that the ledger gave out once is no longer waited for. */
export function withConfirmed(position: JournalPosition, confirmed: bigint): JournalPosition {
  return withSpan(position, { first: 1n, last: confirmed });
}

/** How many sequences up to `confirmed` never came, or are no longer known to have come. */
export function missingUpTo({ watermark, ahead }: JournalPosition, confirmed: bigint): bigint {
  let missing = confirmed - watermark;
  if (missing <= 0n) return 0n;
  for (const { first, last } of ahead) {
    if (first > confirmed) break;
    missing -= (last < confirmed ? last : confirmed) - first + 1n;
  }
  return missing;
}

export function contains({ watermark, ahead }: JournalPosition, sequence: bigint): boolean {
  return sequence <= watermark || ahead.some(({ first, last }) => first <= sequence && sequence <= last);
}
