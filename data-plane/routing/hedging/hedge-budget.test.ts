import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { HedgeBudget } from './hedge-budget.ts';

const settings = { delayMs: undefined, requestShareMax: 0.05, spendShareMax: 0.1 };
const worth = (nanoDollars: number, outputTokens = 0) => ({ nanoDollars, outputTokens });

test('a route may hedge once it has had enough requests, and no more than its share', () => {
  const budget = new HedgeBudget();
  for (let sent = 0; sent < 19; sent += 1) budget.request(0);
  expect(budget.take(settings, 0, 0)).toBeUndefined();
  budget.request(0);
  expect(budget.take(settings, 0, 0)).toBeDefined();
  expect(budget.take(settings, 0, 0)).toBeUndefined();
});

test('second attempts that would cost too much are not made, however few they are', () => {
  const budget = new HedgeBudget();
  for (let sent = 0; sent < 1000; sent += 1) budget.request(0);
  expect(budget.take(settings, 1, 0)).toBeUndefined();
  budget.spent(worth(1_000_000), 0);
  expect(budget.take(settings, 100_001, 0)).toBeUndefined();
  expect(budget.take(settings, 100_000, 0)).toBeDefined();
  expect(budget.take(settings, 1, 0)).toBeUndefined();
});

test('what it came to counts in place of what was expected, once', () => {
  const budget = new HedgeBudget();
  for (let sent = 0; sent < 1000; sent += 1) budget.request(0);
  budget.spent(worth(1_000_000), 0);
  const ticket = budget.take(settings, 100_000, 0)!;
  ticket.settle(10_000, 0);
  ticket.settle(0, 0);
  expect(budget.take(settings, 90_001, 0)).toBeUndefined();
  expect(budget.take(settings, 90_000, 0)).toBeDefined();
});

test('what an answer usually comes to is known from a few on', () => {
  const budget = new HedgeBudget();
  for (let answered = 1; answered < limits.hedgeEvidenceMin; answered += 1) budget.spent(worth(0, 10), 0);
  expect(budget.usualOutputTokens(0)).toBeUndefined();
  budget.spent(worth(0, 10 + limits.hedgeEvidenceMin), 0);
  expect(budget.usualOutputTokens(0)).toBe(11);
});

test('however requests and prices come, both shares hold over any time', () => {
  const steps = fc.array(
    fc.record({
      waitMs: fc.nat({ max: 5000 }),
      requests: fc.nat({ max: 10 }),
      cost: fc.nat({ max: 1000 }),
      expected: fc.nat({ max: 1000 }),
      /** What it comes to, as a share of what was expected. */
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      settlesAfterMs: fc.nat({ max: 2000 }),
    }),
    { minLength: 20, maxLength: 300 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const budget = new HedgeBudget();
      let nowMs = 0;
      const total = { requests: 0, hedges: 0, spend: 0, hedgeSpend: 0 };
      for (const { waitMs, requests, cost, expected, share, settlesAfterMs } of list) {
        nowMs += waitMs;
        for (let sent = 0; sent < requests; sent += 1) budget.request(nowMs);
        budget.spent(worth(cost), nowMs);
        total.requests += requests;
        total.spend += cost;
        const ticket = budget.take(settings, expected, nowMs);
        if (ticket === undefined) continue;
        nowMs += settlesAfterMs;
        // Less than what the expectation still counts for, so that the settlement only gives room back.
        const actual = expected * share * 2 ** (-settlesAfterMs / limits.hedgeHalfLifeMs);
        ticket.settle(actual, nowMs);
        total.hedges += 1;
        total.hedgeSpend += actual;
      }
      expect(total.hedges).toBeLessThanOrEqual(total.requests * settings.requestShareMax + 1e-6);
      expect(total.hedgeSpend).toBeLessThanOrEqual(total.spend * settings.spendShareMax + 1e-6);
    }),
  );
});
