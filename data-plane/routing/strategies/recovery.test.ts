// What strategies make of those who were, are or may be ill.
import { describe, expect, test } from 'vitest';
import { inputOf, memberOf, seededRandom } from '#test/harness/vitals.ts';
import { strategyNamed } from './registry.ts';
import type { Member, StrategyInput } from './strategy.ts';

const measured = { weight: 50, firstByteMs: 400, latencyMs: 2000, inFlight: 4 };
const well = ['a', 'b', 'c'].map((id) => memberOf(id, { vitals: measured }));

function firsts(name: string, members: readonly Member[], rounds: number, input: StrategyInput): string[] {
  const strategy = strategyNamed(name);
  return Array.from({ length: rounds }, () => strategy.order(members, input)[0]!.member.id);
}

describe.each(['adaptive', 'least-latency', 'least-busy'])('%s', (name) => {
  const onProbation = { ...measured, breaker: 'half-open', warmth: 0.1, successShare: 0.3 } as const;

  test('gives someone on probation its trial at once, and one at a time', () => {
    const idle = memberOf('ill', { vitals: { ...onProbation, inFlight: 0 } });
    const asked = memberOf('ill', { vitals: { ...onProbation, inFlight: 1 } });
    expect(firsts(name, [...well, idle], 1, inputOf())).toEqual(['ill']);
    expect(firsts(name, [...well, asked], 50, inputOf({ random: seededRandom(1) }))).not.toContain('ill');
  });
});

describe.each(['adaptive', 'least-latency'])('%s', (name) => {
  test('leaves someone whose answers do not come, before any of them has failed', () => {
    const silent = memberOf('silent', { vitals: { ...measured, firstByteMs: 200, stalling: 8 } });
    expect(firsts(name, [...well, silent], 100, inputOf({ random: seededRandom(2) }))).not.toContain(
      'silent',
    );
  });

  test('leaves someone after two failures in a row, however well it went before', () => {
    const failing = memberOf('failing', { vitals: { ...measured, consecutiveFailures: 2 } });
    const chosen = firsts(name, [...well, failing], 100, inputOf({ random: seededRandom(3) }));
    expect(chosen).not.toContain('failing');
  });

  test('asks the slow one now and then, and never twice at the same time', () => {
    const slow = memberOf('slow', { vitals: { ...measured, firstByteMs: 9000, inFlight: 0 } });
    const asked = memberOf('slow', { vitals: { ...measured, firstByteMs: 9000, inFlight: 1 } });
    const chosen = firsts(name, [...well, slow], 4000, inputOf({ random: seededRandom(4) }));
    const trials = chosen.filter((id) => id === 'slow').length;
    expect(trials).toBeGreaterThan(0);
    expect(trials).toBeLessThan(40);
    const others = firsts(name, [...well, asked], 4000, inputOf({ random: seededRandom(4) }));
    expect(others).not.toContain('slow');
  });
});

test('adaptive does not take someone for fast because it has nothing to do', () => {
  const busy = ['a', 'b'].map((id) => memberOf(id, { vitals: { ...measured, inFlight: 20 } }));
  const slow = memberOf('slow', { vitals: { ...measured, firstByteMs: 12_000, inFlight: 1 } });
  expect(firsts('adaptive', [...busy, slow], 100, inputOf({ random: seededRandom(5) }))).not.toContain(
    'slow',
  );
});

test('adaptive gives a member of twice the weight twice as much at once', () => {
  const large = memberOf('large', { weight: 2, vitals: { ...measured, inFlight: 7 } });
  const small = memberOf('small', { vitals: { ...measured, inFlight: 4 } });
  expect(firsts('adaptive', [small, large], 1, inputOf())).toEqual(['large']);
});

test('lowest-usage counts what is under way: who never answers has not used nothing', () => {
  const used = { tokensPerMinute: 60_000, requestsPerMinute: 60 };
  const answering = memberOf('answering', { vitals: { ...used, inFlight: 3 } });
  const silent = memberOf('silent', { vitals: { ...used, tokensPerMinute: 40_000, inFlight: 40 } });
  expect(firsts('lowest-usage', [silent, answering], 1, inputOf())).toEqual(['answering']);
});
