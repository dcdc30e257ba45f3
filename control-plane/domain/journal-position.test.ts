import fc from 'fast-check';
import { expect, test } from 'vitest';
import { contains, journalStart, type Span, withSpan } from './journal-position.ts';

const spans = fc.array(
  fc
    .tuple(fc.bigInt(1n, 60n), fc.bigInt(0n, 12n))
    .map(([first, more]): Span => ({ first, last: first + more })),
  { maxLength: 30 },
);

test('the mark stands before the first gap, whatever arrived, in whatever order, however often', () => {
  fc.assert(
    fc.property(spans, (arrivals) => {
      const seen = new Set<bigint>();
      let position = journalStart;
      for (const span of arrivals) {
        position = withSpan(position, span);
        for (let sequence = span.first; sequence <= span.last; sequence += 1n) seen.add(sequence);
        let mark = 0n;
        while (seen.has(mark + 1n)) mark += 1n;
        expect(position.watermark).toBe(mark);
        for (let sequence = 1n; sequence <= 75n; sequence += 1n) {
          expect(contains(position, sequence)).toBe(seen.has(sequence));
        }
      }
    }),
  );
});

test('spans beyond the mark stay sorted, apart from each other and from the mark', () => {
  fc.assert(
    fc.property(spans, (arrivals) => {
      const { watermark, ahead } = arrivals.reduce(withSpan, journalStart);
      let end = watermark;
      for (const { first, last } of ahead) {
        expect(first).toBeGreaterThan(end + 1n);
        expect(last).toBeGreaterThanOrEqual(first);
        end = last;
      }
    }),
  );
});
