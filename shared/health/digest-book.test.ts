import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf, reportOf } from '#test/harness/health-reports.ts';
import { limits } from '../limits.ts';
import type { HealthDigest } from './digest.ts';
import { DigestBook } from './digest-book.ts';

const lifeMs = limits.healthDigestLifeMs;
const subjects = ['key:a', 'deployment:b', 'provider:c'];

const digest: fc.Arbitrary<HealthDigest> = fc
  .record({
    nodeId: fc.constantFrom('one', 'two', 'three'),
    boot: fc.bigInt({ min: 1n, max: 2n }),
    sequence: fc.bigInt({ min: 1n, max: 4n }),
  })
  // What a node says with one sequence is one thing: it follows from the sequence.
  .map(({ nodeId, boot, sequence }) => {
    const said = subjects.filter((_, index) => (Number(sequence) + index) % 2 === 0);
    return digestOf(
      nodeId,
      said.map((each) => reportOf(each, { seen: Number(boot * 10n + sequence) })),
      {
        boot,
        sequence,
      },
    );
  });

function told(digests: readonly HealthDigest[]) {
  const book = new DigestBook();
  for (const each of digests) book.take(each, 0);
  return subjects.map((subject) => book.reportsOn(subject, 1));
}

describe('the newest digests', () => {
  test('are the same in whatever order, and however often, they arrive', () => {
    const shuffled = fc
      .array(digest, { maxLength: 12 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray([...list, ...list])));
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        const again = [...other, ...list.toReversed()];
        expect(told(again)).toEqual(told(list));
      }),
      { numRuns: 300 },
    );
  });

  test('replace all that a node said before', () => {
    const book = new DigestBook();
    book.take(digestOf('one', [reportOf('key:a'), reportOf('key:b')]), 0);
    expect(book.take(digestOf('one', [reportOf('key:b')], { sequence: 2n }), 1)).toBe('taken');
    expect(book.reportsOn('key:a', 2)).toEqual([]);
    expect(book.reportsOn('key:b', 2)).toHaveLength(1);
  });

  test('that come a second time, or after a newer one, are known', () => {
    const book = new DigestBook();
    const [older, newer] = [1n, 2n].map((sequence) => digestOf('one', [], { sequence }));
    const told = [newer, newer, older].map((digest, index) => book.take(digest!, index));
    expect(told).toEqual(['taken', 'known', 'known']);
    // The second time is no sign of life.
    expect(book.nodeCount(lifeMs)).toBe(0);
  });

  test('of a node that was started again count although its sequence began anew', () => {
    const book = new DigestBook();
    book.take(digestOf('one', [], { boot: 5n, sequence: 900n }), 0);
    expect(book.take(digestOf('one', [reportOf('key:a')], { boot: 6n, sequence: 1n }), 1)).toBe('taken');
    expect(book.take(digestOf('one', [], { boot: 5n, sequence: 901n }), 2)).toBe('refused');
    expect(book.reportsOn('key:a', 3)).toHaveLength(1);
  });

  test('are forgotten after three that did not come, whoever’s they are', () => {
    const book = new DigestBook();
    book.take(digestOf('one', [reportOf('key:a')]), 0);
    book.take(digestOf('two', [reportOf('key:a')]), 1000);
    expect(book.reportsOn('key:a', lifeMs - 1)).toHaveLength(2);
    expect(book.reportsOn('key:a', lifeMs).map(({ nodeId }) => nodeId)).toEqual(['two']);
    expect(book.nodeCount(lifeMs + 999)).toBe(1);
    expect(book.nodeCount(lifeMs + 1000)).toBe(0);
    expect(book.reportsOn('key:a', lifeMs + 1000)).toEqual([]);
  });

  test('of a node whose clock went back at a restart count again when the old ones are forgotten', () => {
    const book = new DigestBook();
    book.take(digestOf('one', [], { boot: 6n }), 0);
    const restarted = digestOf('one', [reportOf('key:a')], { boot: 5n });
    expect(book.take(restarted, 1000)).toBe('refused');
    expect(book.take(restarted, lifeMs)).toBe('taken');
  });

  test('are kept of no more nodes than there is room for, and room is made by those that left', () => {
    const book = new DigestBook();
    for (let index = 0; index < limits.healthNodesMax; index += 1)
      book.take(digestOf(`node-${index}`, []), 0);
    expect(book.take(digestOf('one more', []), 1)).toBe('refused');
    expect(book.nodeCount(1)).toBe(limits.healthNodesMax);
    expect(book.take(digestOf('one more', []), lifeMs)).toBe('taken');
    expect(book.nodeCount(lifeMs)).toBe(1);
  });
});
