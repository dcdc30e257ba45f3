import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import {
  type HedgeRace,
  type LaneEnd,
  type LaneName,
  openRace,
  type RaceEvent,
  type RaceOrder,
  type RaceResult,
  raceStep,
} from './hedge-race.ts';

const timeout = new SignalboxError('upstream_timeout', 'It did not answer in time.');
const refusal = new SignalboxError('invalid_request', 'The request makes no sense.');
const left = new SignalboxError('client_closed', 'The client left.');

const hedge: RaceEvent = { type: 'delay-end', mayHedge: true };
const begin = (lane: LaneName): RaceEvent => ({ type: 'answer-start', lane });
const end = (lane: LaneName, how: LaneEnd): RaceEvent => ({ type: 'attempt-end', lane, end: how });
const answered: LaneEnd = { kind: 'answered', error: undefined };
const cancelled: LaneEnd = { kind: 'cancelled' };
const failed = (error: SignalboxError): LaneEnd => ({ kind: 'failed', error });

/** What is to be done, in short, and the result. */
function play(...events: readonly RaceEvent[]): { story: string[]; result: RaceResult | undefined } {
  let race = openRace;
  const orders: RaceOrder[] = [];
  for (const event of events) {
    const step = raceStep(race, event);
    race = step.race;
    orders.push(...step.orders);
  }
  const story = orders.map((order) => {
    if (order.type === 'attempt-cancel') return `cancel ${order.lane} ${order.reason.code}`;
    if (order.type === 'attempt-start') return `start ${order.lane}`;
    return order.type;
  });
  const last = orders.at(-1);
  return { story, result: last?.type === 'race-end' ? last.result : undefined };
}

describe('a race between two attempts', () => {
  test('is none when the first begins in time', () => {
    const { story, result } = play(begin('first'), hedge, end('first', answered));
    expect(story).toEqual(['delay-cancel', 'race-end']);
    expect(result).toEqual({ kind: 'answered', lane: 'first', error: undefined });
  });

  test('is none when the budget has no room', () => {
    const noRoom: RaceEvent = { type: 'delay-end', mayHedge: false };
    expect(play(noRoom, hedge, begin('first'), end('first', answered)).story).toEqual(['race-end']);
  });

  test.each<[LaneName, LaneName]>([
    ['first', 'second'],
    ['second', 'first'],
  ])('that the %s wins cancels the %s, and is over when that is settled', (winner, loser) => {
    const { story, result } = play(hedge, begin(winner), begin(loser), end(winner, answered));
    expect(story).toEqual(['start second', `cancel ${loser} hedge_lost`]);
    expect(result).toBeUndefined();
    const whole = play(hedge, begin(winner), end(winner, answered), end(loser, cancelled));
    expect(whole.result).toEqual({ kind: 'answered', lane: winner, error: undefined });
  });

  test('leaves the answer to the other when one fails', () => {
    for (const [one, other] of [
      ['first', 'second'],
      ['second', 'first'],
    ] as const) {
      const { story, result } = play(hedge, end(one, failed(timeout)), begin(other), end(other, answered));
      expect(story).toEqual(['start second', 'race-end']);
      expect(result).toMatchObject({ kind: 'answered', lane: other });
    }
  });

  test('fails when both fail, with what each had to say', () => {
    const { result } = play(hedge, end('second', failed(timeout)), end('first', failed(timeout)));
    expect(result).toEqual({
      kind: 'failed',
      failures: [
        { lane: 'second', error: timeout },
        { lane: 'first', error: timeout },
      ],
    });
  });

  test('fails at once when the first fails alone: failing over waits for no delay', () => {
    const { story, result } = play(end('first', failed(timeout)), hedge);
    expect(story).toEqual(['delay-cancel', 'race-end']);
    expect(result).toEqual({ kind: 'failed', failures: [{ lane: 'first', error: timeout }] });
  });

  test('is pointless when the caller is at fault: the other attempt is cancelled', () => {
    const { story, result } = play(hedge, end('first', failed(refusal)), end('second', failed(timeout)));
    expect(story).toEqual(['start second', 'cancel second hedge_lost', 'race-end']);
    expect(result).toEqual({ kind: 'failed', failures: [{ lane: 'first', error: refusal }] });
  });

  test('goes on when only the second finds the caller at fault: it may be stricter than the first', () => {
    const { story, result } = play(
      hedge,
      end('second', failed(refusal)),
      begin('first'),
      end('first', answered),
    );
    expect(story).toEqual(['start second', 'race-end']);
    expect(result).toMatchObject({ kind: 'answered', lane: 'first' });
  });

  test('is called off for both when the client leaves', () => {
    const leaves: RaceEvent = { type: 'client-end', reason: left };
    const both = play(hedge, leaves, begin('first'), end('first', cancelled), end('second', cancelled));
    expect(both.story).toEqual([
      'start second',
      'cancel first client_closed',
      'cancel second client_closed',
      'race-end',
    ]);
    expect(both.result).toEqual({ kind: 'stopped', reason: left });
    expect(play(leaves, hedge, end('first', cancelled)).story).toEqual([
      'delay-cancel',
      'cancel first client_closed',
      'race-end',
    ]);
  });

  test('tells of an answer that broke off', () => {
    const broken: LaneEnd = { kind: 'answered', error: timeout };
    const { result } = play(hedge, begin('second'), end('first', cancelled), end('second', broken));
    expect(result).toEqual({ kind: 'answered', lane: 'second', error: timeout });
  });
});

/** Two attempts, a clock and a client that do what they are told, and otherwise what they like. */
class World {
  race: HedgeRace = openRace;
  readonly running = new Set<LaneName>(['first']);
  readonly begun: LaneName[] = [];
  readonly cancelled: LaneName[] = [];
  started = 1;
  isClientThere = true;
  result: RaceResult | undefined;
  ends = 0;

  tell(event: RaceEvent): void {
    const step = raceStep(this.race, event);
    this.race = step.race;
    for (const order of step.orders) this.#follow(order);
  }

  #follow(order: RaceOrder): void {
    if (order.type === 'attempt-start') {
      this.running.add(order.lane);
      this.started += 1;
    } else if (order.type === 'attempt-cancel') {
      expect(this.running.has(order.lane)).toBe(true);
      expect(this.cancelled).not.toContain(order.lane);
      this.cancelled.push(order.lane);
    } else if (order.type === 'race-end') {
      expect(this.running.size).toBe(0);
      this.ends += 1;
      this.result = order.result;
    }
  }

  actions(): (() => void)[] {
    const lanes = [...this.running].flatMap((lane) => {
      const ends: LaneEnd[] = this.cancelled.includes(lane)
        ? [cancelled, failed(timeout)]
        : this.begun.includes(lane)
          ? [answered, { kind: 'answered', error: timeout }]
          : [failed(timeout), failed(refusal)];
      return [
        ...ends.map((how) => () => {
          this.running.delete(lane);
          this.tell(end(lane, how));
        }),
        ...(this.begun.includes(lane) ? [] : [() => this.#begin(lane)]),
      ];
    });
    const leave = () => {
      this.isClientThere = false;
      this.tell({ type: 'client-end', reason: left });
    };
    return [
      ...lanes,
      () => this.tell(hedge),
      () => this.tell({ type: 'delay-end', mayHedge: false }),
      ...(this.isClientThere ? [leave] : []),
    ];
  }

  #begin(lane: LaneName): void {
    this.tell(begin(lane));
    if (this.race.winner === lane) this.begun.push(lane);
  }
}

test('whatever happens in whatever order: one winner at most, each cancelled once at most, and one end', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 30 }), (choices) => {
      const world = new World();
      for (const choice of choices) {
        const actions = world.actions();
        actions[choice % actions.length]!();
        expect(world.begun.length).toBeLessThanOrEqual(1);
      }
      // Attempts end by themselves; nothing else is needed.
      for (let left = 4; world.running.size > 0 && left > 0; left -= 1) world.actions()[0]!();
      expect(world.ends).toBe(1);
      expect(world.started).toBeLessThanOrEqual(2);
      const [winner] = world.begun;
      if (winner === undefined) expect(world.result!.kind).not.toBe('answered');
      else if (world.result!.kind === 'answered') expect(world.result).toMatchObject({ lane: winner });
      else expect(world.isClientThere).toBe(false);
      if (world.result!.kind === 'stopped') expect(world.isClientThere).toBe(false);
    }),
    { numRuns: 1000 },
  );
});
