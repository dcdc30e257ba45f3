// What routing promises, as comparisons between strategies in one simulated run: the same seeds give the same figures on every machine.
import { beforeAll, describe, expect, test } from 'vitest';
import { limits } from '#shared/limits.ts';
import type { Figures } from './figures.ts';
import { measureStrategy, strategies } from './routing.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { simulate, usualWorld, type World } from './simulate.ts';

const named = (name: string): Scenario => scenarios.find((scenario) => scenario.name === name)!;
const { phases } = usualWorld;
/** Two of the three nodes with their part of the traffic and of the capacity: the same shares in less time. */
const smaller: World = {
  ...usualWorld,
  nodes: 2,
  requestsPerSecond: usualWorld.requestsPerSecond * (2 / 3),
  servers: usualWorld.servers.map((server) => ({ ...server, concurrencyMax: 27, queueMax: 27 })),
};
/** Only as long as the trouble lasts: what comes after it is not looked at. */
const whileTroubled = { ...phases, untilMs: phases.faultUntilMs };
/** Refusals are caught by every breaker, so in these strategies differ by a few per cent, which only the larger sample shows. */
const refusing = ['flapping', 'half down'];
const worldFor = ({ name }: Scenario): World => ({
  ...(refusing.includes(name) ? usualWorld : smaller),
  phases: whileTroubled,
});
const brief: World = {
  ...smaller,
  phases: { faultFromMs: 20_000, faultUntilMs: 50_000, untilMs: 130_000 },
};

/** Where all weigh the same, taking turns is one strategy with two names. */
const others = strategies.filter((strategy) => strategy !== 'adaptive' && strategy !== 'round-robin');

describe.each(scenarios.filter(({ isPartialFailure }) => isPartialFailure))('while $about', (scenario) => {
  const figures = new Map<string, Figures>();
  const of = (strategy: string): Figures => figures.get(strategy)!;

  beforeAll(() => {
    for (const strategy of ['adaptive', ...others]) {
      figures.set(strategy, measureStrategy(scenario, strategy, worldFor(scenario), [1, 2, 3]));
    }
  });

  test.each(others)(
    'one in a hundred waits no longer for a first byte with adaptive than with %s',
    (strategy) => {
      expect(of('adaptive').firstByteMsP99).toBeLessThanOrEqual(of(strategy).firstByteMsP99);
    },
  );

  test('adaptive keeps nearly all from failing, moves away within a few seconds, and hardly asks twice', () => {
    const adaptive = of('adaptive');
    expect(adaptive.failedShare).toBeLessThan(0.002);
    expect(adaptive.shiftMs).toBeLessThanOrEqual(4000);
    expect(adaptive.attemptsPerRequest).toBeLessThan(1.02);
  });
});

test.each(strategies)('%s never sends more than a fifth on top while everyone is down', (strategy) => {
  const { nodes } = brief;
  const { faultFromMs, faultUntilMs } = brief.phases;
  const world = { ...brief, phases: { ...brief.phases, untilMs: faultUntilMs } };
  const traces = simulate({ world, scenario: named('all down'), strategy, seed: 1 }).filter(
    ({ request: { arrivesMs } }) => arrivesMs >= faultFromMs && arrivesMs < faultUntilMs,
  );
  const attempts = traces.reduce((sum, trace) => sum + trace.attempts.length, 0);
  // What a budget gives in any case comes back as fast as it is forgotten.
  const halfLives = (faultUntilMs - faultFromMs) / limits.retryHalfLifeMs;
  const floors = nodes * limits.retryFloor * (1 + halfLives * Math.LN2);
  // And what was not needed before is there for a while.
  const saved = (limits.retryShareMax * brief.requestsPerSecond * limits.retryHalfLifeMs) / 1000 / Math.LN2;
  expect(attempts).toBeLessThanOrEqual(traces.length * (1 + limits.retryShareMax) + floors + saved);
});

describe.each(['slow', 'flapping', 'blackhole', 'half down'])('after "%s"', (name) => {
  const spreading = ['adaptive', 'least-busy', 'weighted-round-robin', 'lowest-usage'];

  test.each(spreading)('%s leaves nobody without work', (strategy) => {
    const figures = measureStrategy(named(name), strategy, brief, [1]);
    expect(figures.returnMs).toBeDefined();
    expect(figures.smallestShareInTheEnd).toBeGreaterThan(0.02);
    expect(figures.failedShareAfter).toBeLessThan(0.001);
  });
});

test('the same seed gives the same run, another one another', () => {
  const run = (seed: number) =>
    simulate({ world: brief, scenario: named('flapping'), strategy: 'adaptive', seed }).map(
      ({ wholeMs }) => wholeMs,
    );
  expect(run(7)).toEqual(run(7));
  expect(run(7)).not.toEqual(run(8));
});
