import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf, reportOf } from '#test/harness/health-reports.ts';
import { limits } from '../limits.ts';
import { decodeDigest, encodeDigest, type SubjectReport } from './digest.ts';
import { latencyBuckets } from './latency-buckets.ts';

const count = fc.integer({ min: 0, max: 100_000 });
/** What a 32-bit float holds exactly, so that a round trip can be compared. */
const figure = fc.integer({ min: 0, max: 1 << 20 }).map((steps) => steps / 4);
const rare = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const firstBytes = fc.oneof(
  fc.constant([]),
  fc
    .array(figure, { minLength: latencyBuckets, maxLength: latencyBuckets })
    .filter((counts) => counts.some((each) => each > 0)),
);
const subject = fc
  .tuple(fc.constantFrom('key', 'deployment', 'provider'), fc.string({ minLength: 1, maxLength: 40 }))
  .map(([kind, name]) => `${kind}:${name}`);
const report: fc.Arbitrary<SubjectReport> = fc
  .record({
    subject,
    seen: figure,
    failed: figure,
    ended: figure,
    endedWrong: figure,
    failuresInARow: count,
    inFlight: count,
    breaker: fc.constantFrom('closed' as const, 'open' as const, 'half-open' as const),
    openMs: count,
    troubledMs: count,
    restMs: count,
    requestsPerMinute: figure,
    tokensPerMinute: figure,
    errorsPerMinute: figure,
    rateLimitedPerMinute: figure,
    latencyMs: rare(figure.filter((value) => value > 0)),
    firstByteMs: rare(figure.filter((value) => value > 0)),
    firstBytes,
    headroom: rare(fc.integer({ min: 0, max: 4 }).map((quarters) => quarters / 4)),
    isReachable: rare(fc.boolean()),
  })
  .map((each) => ({
    ...each,
    failed: Math.min(each.failed, each.seen),
    endedWrong: Math.min(each.endedWrong, each.ended),
  }));

describe('a digest', () => {
  test('arrives as it was sent', () => {
    const digest = fc.record({
      nodeId: fc.string({ minLength: 1, maxLength: 40 }),
      region: fc.string({ maxLength: 20 }),
      boot: fc.bigInt({ min: 0n, max: 2n ** 63n }),
      sequence: fc.bigInt({ min: 0n, max: 2n ** 63n }),
      subjects: fc.uniqueArray(report, { selector: (each) => each.subject, maxLength: 20 }),
    });
    fc.assert(
      fc.property(digest, (sent) => {
        const arrived = decodeDigest(encodeDigest(sent));
        const order = (subjects: readonly SubjectReport[]) =>
          subjects.toSorted((one, other) => (one.subject < other.subject ? -1 : 1));
        expect({ ...arrived, subjects: order(arrived!.subjects) }).toEqual({
          ...sent,
          subjects: order(sent.subjects),
        });
      }),
      { numRuns: 200 },
    );
  });

  test('is cut to the subjects and bytes that listeners take, the least important left out', () => {
    const name = 'x'.repeat(limits.healthSubjectLengthMax - 30);
    const busy = Array.from({ length: 3000 }, (_, index) =>
      reportOf(`deployment:${name}${index}`, { requestsPerMinute: index }),
    );
    const ill = reportOf('provider:ill', { breaker: 'open', openMs: 1000 });
    const bytes = encodeDigest(digestOf('node', [...busy, ill]));
    expect(bytes.byteLength).toBeLessThanOrEqual(limits.healthDigestBytesMax);
    const { subjects } = decodeDigest(bytes)!;
    expect(subjects.length).toBeGreaterThan(10);
    expect(subjects.length).toBeLessThanOrEqual(limits.healthSubjectsPerDigestMax);
    expect(subjects[0]).toMatchObject({ subject: 'provider:ill' });
    expect(subjects[1]).toMatchObject({ requestsPerMinute: 2999 });
  });

  test.each([
    ['of nobody', digestOf('', [])],
    ['of a node with an endless name', digestOf('n'.repeat(1000), [])],
    ['with a subject of no known kind', digestOf('node', [reportOf('planet:mars')])],
    ['with a subject without a name', digestOf('node', [reportOf('key:')])],
    ['with an endless subject', digestOf('node', [reportOf(`key:${'k'.repeat(5000)}`)])],
  ])('%s is refused', (_what, digest) => {
    expect(decodeDigest(encodeDigest(digest))).toBeUndefined();
  });

  test('that is any bytes at all is refused or sensible, and never throws', () => {
    const whole = encodeDigest(
      digestOf('node', [reportOf('key:a', { seen: 3, firstBytes: Array.from({ length: 80 }, () => 1) })]),
    );
    const damaged = fc
      .array(fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })), { maxLength: 5 })
      .map((changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [index, value] of changes) bytes[index] = value;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (bytes) => {
        for (const each of decodeDigest(bytes)?.subjects ?? []) {
          for (const value of [each.seen, each.failed, each.requestsPerMinute, ...each.firstBytes])
            expect(value).toBeGreaterThanOrEqual(0);
          expect(each.failed).toBeLessThanOrEqual(each.seen);
          expect(each.endedWrong).toBeLessThanOrEqual(each.ended);
          expect(each.restMs).toBeLessThanOrEqual(limits.healthRestMsMax);
          expect(each.openMs).toBeLessThanOrEqual(limits.healthRestMsMax);
        }
      }),
      { numRuns: 500 },
    );
  });
});
