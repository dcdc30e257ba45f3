import { expect, test } from 'vitest';
import { healthScore, type ScoredFigures } from './score.ts';

const well: ScoredFigures = {
  weight: 20,
  successShare: 1,
  firstByteMs: 300,
  firstByteP50Ms: 280,
  requestsPerMinute: 60,
  rateLimitedPerMinute: 0,
  breaker: 'closed',
};

test.each<[string, Partial<ScoredFigures>, number | undefined]>([
  ['all is well', {}, 100],
  ['nothing is known', { weight: 0 }, undefined],
  ['a tenth fails', { successShare: 0.9 }, 90],
  ['everything fails', { successShare: 0 }, 0],
  ['it takes twice its usual time', { firstByteMs: 560 }, 100],
  ['it takes three times its usual time', { firstByteMs: 840 }, 67],
  ['it takes a hundred times its usual time', { firstByteMs: 28_000 }, 50],
  ['no stream has been seen', { firstByteMs: undefined, firstByteP50Ms: undefined }, 100],
  ['half of the requests hit a limit', { rateLimitedPerMinute: 30 }, 75],
  ['all requests hit a limit', { rateLimitedPerMinute: 60 }, 50],
  ['all that is known is limits', { weight: 0, requestsPerMinute: 5, rateLimitedPerMinute: 5 }, 50],
  ['the breaker is half open', { breaker: 'half-open' }, 50],
  ['the breaker is open', { breaker: 'open' }, 0],
  ['the breaker is open and nothing else is remembered', { weight: 0, breaker: 'open' }, 0],
  ['several things are wrong', { successShare: 0.8, rateLimitedPerMinute: 30, firstByteMs: 1120 }, 30],
])('when %s', (_what, sketch, score) => {
  expect(healthScore({ ...well, ...sketch })).toBe(score);
});
