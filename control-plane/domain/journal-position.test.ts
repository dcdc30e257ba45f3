import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  contains,
  journalStart,
  missingUpTo,
  type Span,
  withConfirmed,
  withSpan,
} from './journal-position.ts';

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

test('a confirmed mark counts like the arrival of everything up to it, and swallows what waited there', () => {
  const step = fc.oneof(
    fc.record({ first: fc.bigInt(1n, 60n), more: fc.bigInt(0n, 12n) }),
    fc.record({ confirmed: fc.bigInt(0n, 70n) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const passed = new Set<bigint>();
      let position = journalStart;
      for (const given of steps) {
        const [first, last] =
          'confirmed' in given ? [1n, given.confirmed] : [given.first, given.first + given.more];
        let missing = 0n;
        for (let sequence = first; sequence <= last; sequence += 1n) {
          if (!passed.has(sequence)) missing += 1n;
          passed.add(sequence);
        }
        if ('confirmed' in given) {
          expect(missingUpTo(position, given.confirmed)).toBe(missing);
          position = withConfirmed(position, given.confirmed);
          expect(position.watermark).toBeGreaterThanOrEqual(given.confirmed);
        } else {
          position = withSpan(position, { first, last });
        }
        let mark = 0n;
        while (passed.has(mark + 1n)) mark += 1n;
        expect(position.watermark).toBe(mark);
        expect(position.ahead.every((span) => span.first > mark + 1n)).toBe(true);
        for (let sequence = 1n; sequence <= 75n; sequence += 1n) {
          expect(contains(position, sequence)).toBe(passed.has(sequence));
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
