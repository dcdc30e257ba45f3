// `npm run bench -- hedging`: what second attempts do for the slowest requests, and what they cost. Two members answer alike but for one
// thing: the first of them is slow now and then. Plan, race, budget and latency figures are the real ones; clock, traffic and members are
// simulated from seeds, so that the figures are the same on every machine.

import { WatchedAttempt } from '#data-plane/routing/health/watched-attempt.ts';
import { HedgeBudget } from '#data-plane/routing/hedging/hedge-budget.ts';
import { type HedgeFacts, planHedge } from '#data-plane/routing/hedging/hedge-plan.ts';
import {
  type LaneName,
  openRace,
  type RaceEvent,
  type RaceOrder,
  raceStep,
} from '#data-plane/routing/hedging/hedge-race.ts';
import { deploymentSubject } from '#data-plane/routing/members.ts';
import { RoutingState } from '#data-plane/routing/routing-state.ts';
import type { Deployment, HedgeSettings } from '#data-plane/snapshot/snapshot.ts';
import { deploymentOf, providerOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import { percentile } from '../measure/statistics.ts';
import { SimulatedClock, type Timer } from './clock.ts';

const SECOND = 1000;
const REQUESTS_PER_SECOND = 20;
const UNTIL_MS = 600 * SECOND;
/** Until then everyone is measured. */
const FROM_MS = 60 * SECOND;
const FIRST_BYTE_MS = 400;
const SPREAD = 0.4;
const SLOWNESS = 10;
const seeds = [1, 2, 3];
const stream: HedgeFacts = { isStream: true, choices: 1, isKept: false, hasEffects: false, isBound: false };

interface World {
  readonly what: string;
  /** How often each member takes ten times as long. */
  readonly slowShares: readonly [number, number];
}

export const worlds: readonly World[] = [
  { what: 'the first is ten times as slow for 2 % of the requests', slowShares: [0.02, 0] },
  { what: 'the first is ten times as slow for 10 % of the requests', slowShares: [0.1, 0] },
  { what: 'both are ten times as slow for half of the requests', slowShares: [0.5, 0.5] },
];

export const p95 = (percent: number): HedgeSettings => ({
  delayMs: undefined,
  requestShareMax: percent / 100,
  spendShareMax: 1,
});

const variants: readonly (readonly [string, HedgeSettings | undefined])[] = [
  ['none', undefined],
  ['p95, 5 % of the requests', p95(5)],
  ['p95, 10 % of the requests', p95(10)],
  ['800 ms, 10 % of the requests', { ...p95(10), delayMs: 800 }],
];

interface Run {
  readonly firstByteMs: number[];
  sentTwice: number;
}

type DrawnMs = Readonly<Record<LaneName, number>>;

/** One request: the real race, over attempts that take as long as was drawn for them. */
class Request {
  readonly #world: Simulation;
  readonly #drawnMs: DrawnMs;
  readonly #arrivedMs: number;
  readonly #onBegun: (firstByteMs: number) => void;
  readonly #timers: Partial<Record<LaneName, Timer>> = {};
  readonly #watched: Partial<Record<LaneName, WatchedAttempt>> = {};
  #delay: Timer | undefined;
  #race = openRace;

  constructor(world: Simulation, drawnMs: DrawnMs, onBegun: (firstByteMs: number) => void) {
    this.#world = world;
    this.#drawnMs = drawnMs;
    this.#arrivedMs = world.clock.nowMs;
    this.#onBegun = onBegun;
  }

  run(delayMs: number | undefined, mayHedge: () => boolean): void {
    this.#start('first');
    if (delayMs === undefined) return;
    this.#delay = this.#world.clock.after(delayMs, () => {
      this.#tell({ type: 'delay-end', mayHedge: mayHedge() });
    });
  }

  #start(lane: LaneName): void {
    const { clock, state, members } = this.#world;
    const watched = new WatchedAttempt(
      state.health,
      { deployment: members[lane], key: undefined, isStream: true },
      clock.nowMs,
    );
    this.#watched[lane] = watched;
    this.#timers[lane] = clock.after(this.#drawnMs[lane], () => {
      watched.firstByte(clock.nowMs);
      watched.ended({ nowMs: clock.nowMs, error: undefined, tokens: 0 });
      this.#onBegun(clock.nowMs - this.#arrivedMs);
      this.#tell({ type: 'answer-start', lane });
      this.#tell({ type: 'attempt-end', lane, end: { kind: 'answered', error: undefined } });
    });
  }

  #tell(event: RaceEvent): void {
    const { race, orders } = raceStep(this.#race, event);
    this.#race = race;
    for (const order of orders) this.#follow(order);
  }

  #follow(order: RaceOrder): void {
    if (order.type === 'attempt-start') this.#start(order.lane);
    else if (order.type === 'delay-cancel') this.#delay?.cancel();
    else if (order.type === 'attempt-cancel') {
      const { lane, reason } = order;
      this.#timers[lane]?.cancel();
      this.#watched[lane]?.ended({ nowMs: this.#world.clock.nowMs, error: reason, tokens: 0 });
      this.#tell({ type: 'attempt-end', lane, end: { kind: 'cancelled' } });
    }
  }
}

interface Simulation {
  readonly clock: SimulatedClock;
  readonly state: RoutingState;
  readonly members: Readonly<Record<LaneName, Deployment>>;
}

function simulate({ slowShares }: World, settings: HedgeSettings | undefined, seed: number): Run {
  const random = seededRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const drawMs = (slowShare: number) =>
    FIRST_BYTE_MS * Math.exp(SPREAD * normal()) * (random() < slowShare ? SLOWNESS : 1);
  const member = (name: string) => deploymentOf('chat', providerOf(name), { id: name });
  const members = { first: member('one'), second: member('two') };
  const simulation: Simulation = { clock: new SimulatedClock(), state: new RoutingState(), members };
  const { clock, state } = simulation;
  const budget = new HedgeBudget();
  const run: Run = { firstByteMs: [], sentTwice: 0 };
  const arrive = (isCounted: boolean, drawnMs: DrawnMs): void => {
    budget.request(clock.nowMs);
    const vitals = state.health.read(deploymentSubject(members.first), clock.nowMs);
    const others = [members.second].map((deployment) => ({ deployment }));
    const first = { deployment: members.first };
    const plan = planHedge({ settings, facts: stream, first, others, vitals });
    const request = new Request(simulation, drawnMs, (ms) => {
      if (isCounted) run.firstByteMs.push(ms);
    });
    request.run(plan.kind === 'hedge' ? plan.delayMs : undefined, () => {
      const isTaken = budget.take(settings!, 0, clock.nowMs) !== undefined;
      if (isTaken && isCounted) run.sentTwice += 1;
      return isTaken;
    });
  };
  for (let atMs = 0; atMs < UNTIL_MS; atMs += (-Math.log(1 - random()) * SECOND) / REQUESTS_PER_SECOND) {
    const drawnMs = { first: drawMs(slowShares[0]), second: drawMs(slowShares[1]) };
    clock.after(atMs, () => arrive(atMs >= FROM_MS, drawnMs));
  }
  clock.run();
  return run;
}

export function hedgingFigures(world: World, settings: HedgeSettings | undefined) {
  const runs = seeds.map((seed) => simulate(world, settings, seed));
  const firstByteMs = runs.flatMap((run) => run.firstByteMs);
  const sentTwice = runs.reduce((sum, run) => sum + run.sentTwice, 0);
  return {
    p50: percentile(firstByteMs, 0.5),
    p95: percentile(firstByteMs, 0.95),
    p99: percentile(firstByteMs, 0.99),
    secondShare: sentTwice / firstByteMs.length,
  };
}

export function measureHedging(): string {
  const about = `Streams, ${REQUESTS_PER_SECOND} a second for ${(UNTIL_MS - FROM_MS) / SECOND} s; both members begin after ${FIRST_BYTE_MS} ms (median, lognormal). Seeds ${seeds.join(', ')}, pooled.\n`;
  const tables = worlds.map((world) => {
    const rows = variants.map(([name, settings]) => {
      const { p50, p95: high, p99, secondShare } = hedgingFigures(world, settings);
      const times = [p50, high, p99].map((ms) => `${(ms / SECOND).toFixed(2)} s`);
      return `| ${[name, ...times, `${(secondShare * 100).toFixed(1)} %`].join(' | ')} |`;
    });
    const head = '| second attempts | p50 | p95 | p99 | sent twice |\n|---|---|---|---|---|';
    return `## ${world.what}\n\n${head}\n${rows.join('\n')}\n`;
  });
  return [about, ...tables].join('\n');
}
