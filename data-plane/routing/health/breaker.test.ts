import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Breaker,
  type BreakerSettings,
  breakerAt,
  closedBreaker,
  ended,
  isNewsTo,
  mayPass,
  passed,
} from './breaker.ts';

const settings: BreakerSettings = {
  failuresInARowMax: 5,
  failureShareMax: 0.5,
  evidenceMin: 10,
  pauseMsMin: 1000,
  pauseMsMax: 60_000,
  probesMax: 2,
};
const calm = { failuresInARow: 0, weight: 100, failureShare: 0 };
const storm = { failuresInARow: 5, weight: 5, failureShare: 1 };

function openedAt(nowMs: number): Breaker {
  return ended(closedBreaker, 'failure', storm, nowMs, settings);
}

describe('a breaker', () => {
  test('opens after failures in a row, or when too many of many fail', () => {
    expect(openedAt(0).state).toBe('open');
    const many = { failuresInARow: 1, weight: 20, failureShare: 0.6 };
    expect(ended(closedBreaker, 'failure', many, 0, settings).state).toBe('open');
    expect(ended(closedBreaker, 'failure', { ...many, weight: 3 }, 0, settings).state).toBe('closed');
    expect(ended(closedBreaker, 'failure', calm, 0, settings).state).toBe('closed');
  });

  test('lets nothing through while it is open, and a few probes after its pause', () => {
    const open = openedAt(0);
    expect(mayPass(breakerAt(open, 999), settings)).toBe(false);
    let half = breakerAt(open, 1000);
    expect(half.state).toBe('half-open');
    half = passed(passed(half));
    expect(mayPass(half, settings)).toBe(false);
  });

  test('closes when all probes succeed', () => {
    let half = passed(passed(breakerAt(openedAt(0), 1000)));
    half = ended(half, 'success', calm, 1100, settings);
    expect(half.state).toBe('half-open');
    half = ended(half, 'success', calm, 1200, settings);
    expect(half).toEqual({ ...closedBreaker, closedAtMs: 1200 });
  });

  test('pauses twice as long each time a probe fails, up to a limit', () => {
    let breaker = openedAt(0);
    const pauses: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      const nowMs = breaker.openUntilMs;
      breaker = ended(passed(breakerAt(breaker, nowMs)), 'failure', storm, nowMs, settings);
      pauses.push(breaker.openUntilMs - nowMs);
    }
    expect(pauses).toEqual([2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
  });

  test('learns nothing from attempts that began before its pause was over, or before it was closed', () => {
    const half = breakerAt(openedAt(0), 1000);
    expect(isNewsTo(half, 500)).toBe(false);
    expect(isNewsTo(half, 1000)).toBe(true);
    const closed: Breaker = { ...closedBreaker, closedAtMs: 1200 };
    expect(isNewsTo(closed, 1100)).toBe(false);
    expect(isNewsTo(closed, 1300)).toBe(true);
    expect(isNewsTo(closedBreaker, 0)).toBe(true);
  });

  test('gives the place of a probe that says nothing to another', () => {
    const half = passed(passed(breakerAt(openedAt(0), 1000)));
    expect(mayPass(ended(half, 'unknown', calm, 1100, settings), settings)).toBe(true);
  });
});

/** The same promises, told as a list of what happened instead of as a state. */
test('whatever happens: closed lets all through, open nothing, half-open never more than its probes, and it never stays shut', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('ask' as const) }),
      fc.record({ do: fc.constantFrom('success' as const, 'failure' as const, 'unknown' as const) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 5000 }) }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      let breaker = closedBreaker;
      let nowMs = 0;
      let failuresInARow = 0;
      let underWay = 0;
      let probes = 0;
      for (const step of list) {
        breaker = breakerAt(breaker, nowMs);
        const before = breaker.state;
        if (step.do === 'wait') nowMs += step.ms;
        else if (step.do === 'ask') {
          const isOpen = mayPass(breaker, settings);
          if (before === 'closed') expect(isOpen).toBe(true);
          if (before === 'open') expect(isOpen).toBe(false);
          if (!isOpen) continue;
          breaker = passed(breaker);
          underWay += 1;
          if (before === 'half-open') probes += 1;
          expect(breaker.probesInFlight).toBeLessThanOrEqual(settings.probesMax);
        } else if (underWay > 0) {
          underWay -= 1;
          failuresInARow =
            step.do === 'failure' ? failuresInARow + 1 : step.do === 'success' ? 0 : failuresInARow;
          const evidence = { failuresInARow, weight: 1, failureShare: 0 };
          breaker = ended(breaker, step.do, evidence, nowMs, settings);
          expect(breaker.probesInFlight).toBeGreaterThanOrEqual(0);
          if (before === 'closed' && breaker.state === 'open') {
            expect(failuresInARow).toBeGreaterThanOrEqual(settings.failuresInARowMax);
          }
        }
        expect(breaker.openUntilMs).toBeLessThanOrEqual(nowMs + settings.pauseMsMax);
      }
      // After its pause and with nothing under way, someone may always ask.
      const later = breakerAt({ ...breaker, probesInFlight: 0 }, nowMs + settings.pauseMsMax);
      expect(mayPass(later, settings)).toBe(true);
      expect(probes).toBeLessThanOrEqual(list.length);
    }),
    { numRuns: 300 },
  );
});
