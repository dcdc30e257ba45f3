import { expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import { Trail } from './trail.ts';

test('tells who was asked, why, and how it ended', () => {
  const trail = new Trail();
  trail.passedOver('gpt-4o@azure', 'shut off', 0);
  trail.asked('gpt-4o@openai', 'priority 1', 0.4)('upstream_timeout', 1000.6);
  trail.asked('claude@anthropic', 'after upstream_timeout at openai', 1001);
  expect(trail.text(2048)).toBe(
    'gpt-4o@azure at 0 ms, passed over: shut off; ' +
      'gpt-4o@openai at 0 ms, priority 1: upstream_timeout after 1000 ms; ' +
      'claude@anthropic at 1001 ms, after upstream_timeout at openai: asked',
  );
});

test('is one line of ASCII, whatever names there are', () => {
  const trail = new Trail();
  trail.asked('größe;\r\nx: y%\ud800', 'priority 1', 0);
  expect(trail.text(2048)).toMatch(/^[\x20-\x7e]+$/);
  expect(trail.text(2048).split(';')).toHaveLength(1);
});

test('counts what has no room', () => {
  const trail = new Trail();
  for (let step = 0; step < 2 * limits.trailStepsMax; step += 1)
    trail.passedOver('m'.repeat(100), 'shut off', step);
  const text = trail.text(512);
  expect(text.length).toBeLessThanOrEqual(512);
  expect(text).toMatch(/; \+\d+$/);
  expect(trail.length).toBe(2 * limits.trailStepsMax);
});
