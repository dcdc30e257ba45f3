import { expect, test } from 'vitest';
import { hedgingFigures, p95, worlds } from './hedging.ts';

test('a few second attempts take most of the time off the slowest requests', () => {
  const [none, some] = [hedgingFigures(worlds[0]!, undefined), hedgingFigures(worlds[0]!, p95(5))];
  expect(none.secondShare).toBe(0);
  expect(some.p99).toBeLessThan(none.p99 / 2);
  expect(some.secondShare).toBeLessThan(0.05);
});

test('what is usual stays usual: with room for more, no more are sent', () => {
  for (const world of worlds) expect(hedgingFigures(world, p95(100)).secondShare).toBeLessThan(0.06);
});
