import { expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import { DecayingDigest, PeakAverage } from './decaying.ts';
import { HealthBook } from './health-book.ts';
import type { Subject } from './vitals.ts';

const subject: Subject = 'deployment:slow-now-and-then';
const settings = {
  failuresInARowMax: 3,
  failureShareMax: 0.5,
  evidenceMin: 10,
  pauseMsMin: 1000,
  pauseMsMax: 60_000,
  probesMax: 1,
  halfLifeMs: limits.healthHalfLifeMs,
  slowStartMs: 1000,
  forgetMs: 600_000,
};

test('one that was given up early says nothing, one that was given up late counts as late', () => {
  const digest = new DecayingDigest(60_000);
  for (const ms of [100, 100, 100, 100, 100, 100, 100, 100, 100, 4000]) digest.add(ms, 0);
  const [half, most] = [digest.percentile(0.5)!, digest.percentile(0.95)!];
  for (let early = 0; early < 20; early += 1) digest.addAtLeast(3, 0);
  expect([digest.percentile(0.5), digest.percentile(0.95)]).toEqual([half, most]);
  for (let late = 0; late < 40; late += 1) digest.addAtLeast(500, 0);
  expect(digest.percentile(0.5)).toBe(most);
});

test('an average rises to what it would have been at least, and never falls to it', () => {
  const average = new PeakAverage(60_000);
  average.addAtLeast(300, 0);
  expect(average.read()).toBe(300);
  average.addAtLeast(20, 0);
  expect(average.read()).toBe(300);
});

/** A twentieth are twenty times as slow; with hedging they are overtaken once they have taken as long as is usual. */
function usualAfter(requests: number, hedges: boolean): number {
  const book = new HealthBook(settings);
  const random = seededRandom(11);
  for (let request = 0; request < requests; request += 1) {
    const nowMs = request * 20;
    const wouldTakeMs = (random() < 0.08 ? 2000 : 100) * (0.7 + 0.6 * random());
    const usualMs = book.read(subject, nowMs).firstByteP95Ms;
    const isOvertaken = hedges && request > 100 && usualMs !== undefined && wouldTakeMs > usualMs + 100;
    const latencyMs = isOvertaken ? usualMs + 100 : wouldTakeMs;
    const shared = { nowMs: nowMs + latencyMs, latencyMs, isStream: true, tokens: 0 };
    book.began([subject], true, nowMs);
    if (isOvertaken) {
      const error = { code: 'hedge_lost' as const, retryAfterMs: undefined };
      book.ended([subject], { ...shared, outcome: 'unknown', firstByteMs: undefined, error });
    } else {
      book.answering([subject], true, latencyMs, nowMs + latencyMs);
      book.ended([subject], { ...shared, outcome: 'success', firstByteMs: latencyMs, error: undefined });
    }
  }
  return book.read(subject, requests * 20).firstByteP95Ms!;
}

test('what is usual stays what it is however many of the slow are overtaken, and nobody is thought ill', () => {
  const [alone, hedged] = [usualAfter(2000, false), usualAfter(2000, true)];
  expect(hedged / alone).toBeGreaterThan(0.8);
  expect(hedged / alone).toBeLessThan(1.25);
});

test('whoever is only ever overtaken has not failed, and is known to be slow', () => {
  const book = new HealthBook(settings);
  for (let nowMs = 0; nowMs < 20_000; nowMs += 1000) {
    book.began([subject], true, nowMs);
    const error = { code: 'hedge_lost' as const, retryAfterMs: undefined };
    const end = { nowMs: nowMs + 800, latencyMs: 800, isStream: true, firstByteMs: undefined, tokens: 0 };
    book.ended([subject], { ...end, outcome: 'unknown', error });
  }
  expect(book.isAvailable(subject, 20_000)).toBe(true);
  expect(book.read(subject, 20_000)).toMatchObject({
    successShare: 1,
    breaker: 'closed',
    inFlight: 0,
    firstByteMs: 800,
  });
});
