import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RetryBudget } from './retry-budget.ts';

const settings = { share: 0.2, floor: 5, halfLifeMs: 10_000 };

test('a quiet route may fail over a few times', () => {
  const budget = new RetryBudget(settings);
  const taken = Array.from({ length: 10 }, () => budget.take(0));
  expect(taken.filter(Boolean)).toHaveLength(5);
});

test('however requests and failures come, retries stay within their share', () => {
  const steps = fc.array(fc.record({ waitMs: fc.nat({ max: 500 }), wants: fc.nat({ max: 8 }) }), {
    minLength: 50,
    maxLength: 400,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const budget = new RetryBudget(settings);
      let nowMs = 0;
      let requests = 0;
      let retries = 0;
      for (const { waitMs, wants } of list) {
        nowMs += waitMs;
        requests += 1;
        budget.request(nowMs);
        for (let wish = 0; wish < wants && budget.take(nowMs); wish += 1) retries += 1;
      }
      // The floor comes back as fast as it decays, so a long run has it several times.
      const floors = settings.floor * (1 + (nowMs * Math.LN2) / settings.halfLifeMs);
      expect(retries).toBeLessThanOrEqual(requests * settings.share + floors + 1);
    }),
  );
});

test('a budget that is spent comes back with time', () => {
  const budget = new RetryBudget(settings);
  while (budget.take(0));
  expect(budget.take(0)).toBe(false);
  expect(budget.take(60_000)).toBe(true);
});
