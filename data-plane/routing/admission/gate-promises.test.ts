// What a gate promises whatever happens, told against a model that knows only who is inside and who waits.
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import type { SignalboxError } from '#shared/errors.ts';
import { Gate, type GateSubject, type Lease } from './gate.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const subjects: readonly GateSubject[] = [
  { id: 'route:r', concurrencyMax: 3, waitingMax: 4, waitMsMax: 2000 },
  { id: 'provider:a', concurrencyMax: 2, waitingMax: 3, waitMsMax: 1000 },
  { id: 'provider:b', concurrencyMax: 1, waitingMax: 2, waitMsMax: 3000 },
  { id: 'key:free', concurrencyMax: 0, waitingMax: 0, waitMsMax: 0 },
];

interface Visit {
  readonly needs: readonly GateSubject[];
  readonly principal: string;
  readonly priority: number;
  readonly full: readonly GateSubject[];
  readonly client: AbortController;
  state: 'waiting' | 'inside' | 'gone';
  lease: Lease | undefined;
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('enter' as const),
      needs: fc.subarray([...subjects]),
      principal: fc.constantFrom('p', 'q', 'r'),
      priority: fc.nat({ max: 2 }),
      patienceMs: fc.constantFrom(500, 5000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'cancel' as const), which: fc.nat() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1500 }) }),
  },
);

class World {
  readonly gate = new Gate({ clock: systemClock });
  readonly visits: Visit[] = [];
  readonly admitted: Visit[] = [];

  inside(subject: GateSubject): number {
    return this.visits.filter(({ state, needs }) => state === 'inside' && needs.includes(subject)).length;
  }

  hasRoom(subject: GateSubject): boolean {
    return subject.concurrencyMax === 0 || this.inside(subject) < subject.concurrencyMax;
  }

  waiting(): readonly Visit[] {
    return this.visits.filter(({ state }) => state === 'waiting');
  }

  async enter(asked: { needs: GateSubject[]; principal: string; priority: number; patienceMs: number }) {
    const { needs, principal, priority, patienceMs } = asked;
    const full = needs.filter((subject) => !this.hasRoom(subject));
    const inLine = (subject: GateSubject) => this.waiting().filter((other) => other.full.includes(subject));
    const crowded = full.filter((subject) => inLine(subject).length >= subject.waitingMax);
    const morePatient = (subject: GateSubject) => inLine(subject).some((other) => other.priority > priority);
    const before = this.waiting();
    const client = new AbortController();
    const visit: Visit = { needs, principal, priority, full, client, state: 'waiting', lease: undefined };
    const deadlineMs = systemClock.monotonicMs() + patienceMs;
    let entered: Lease | Promise<Lease>;
    try {
      entered = this.gate.enter({ subjects: needs, principal, priority, deadlineMs, signal: client.signal });
    } catch (thrown) {
      expect((thrown as SignalboxError).code).toBe('queue_full');
      expect(crowded.some((subject) => !morePatient(subject))).toBe(true);
      return;
    }
    await promisesKept();
    // Who gave way is more patient, or of a key that had more in a line than the newcomer's.
    const gaveWay = before.filter(({ state }) => state === 'gone');
    expect(gaveWay.length > 0).toBe(crowded.length > 0);
    for (const other of gaveWay) {
      const inLineAt = (subject: GateSubject, key: string) =>
        before.filter(
          (one) => one.needs.includes(subject) && one.principal === key && one.priority === priority,
        );
      const isLonger = crowded.some(
        (subject) => inLineAt(subject, other.principal).length > inLineAt(subject, principal).length + 1,
      );
      expect(other.priority > priority || (other.priority === priority && isLonger)).toBe(true);
    }
    this.visits.push(visit);
    if (!(entered instanceof Promise)) {
      visit.state = 'inside';
      visit.lease = entered;
      return;
    }
    entered.then(
      (lease) => {
        this.admitted.push(visit);
        visit.state = 'inside';
        visit.lease = lease;
      },
      () => {
        visit.state = 'gone';
      },
    );
  }

  /** A release may come again at any time; a client may leave at any time. */
  act(what: 'release' | 'cancel', which: number): void {
    const visit = this.visits[which % Math.max(this.visits.length, 1)];
    if (what === 'cancel') visit?.client.abort();
    else if (visit?.lease !== undefined) {
      visit.state = 'gone';
      visit.lease.release();
    }
  }

  check(): void {
    for (const subject of subjects) {
      const inside = this.inside(subject);
      if (subject.concurrencyMax === 0) continue;
      expect(inside).toBeLessThanOrEqual(subject.concurrencyMax);
      const waiting = this.waiting().filter(({ full }) => full.includes(subject)).length;
      expect(waiting).toBeLessThanOrEqual(subject.waitingMax);
      expect(this.gate.read(subject.id)).toEqual({ inside, waiting });
    }
    // Nobody waits who could go.
    for (const { needs } of this.waiting()) {
      expect(needs.some((subject) => !this.hasRoom(subject))).toBe(true);
    }
  }
}

async function promisesKept(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
}

test('never above a limit, nobody forgotten, nothing left behind, whatever comes in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const world = new World();
      for (const next of steps) {
        if (next.do === 'enter') await world.enter(next);
        else if (next.do === 'pass') vi.advanceTimersByTime(next.ms);
        else world.act(next.do, next.which);
        await promisesKept();
        world.check();
      }
      // Whoever is inside leaves, again and again, until nobody is left. Nothing but that is needed for everything to end.
      while (world.visits.some(({ state }) => state !== 'gone')) {
        const inside = world.visits.findIndex(({ state }) => state === 'inside');
        expect(inside).not.toBe(-1);
        world.act('release', inside);
        await promisesKept();
        world.check();
      }
      expect(world.gate.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    }),
    { numRuns: 400 },
  );
});

test('those of one key and priority who want the same go in as they came', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const world = new World();
      for (const next of steps) {
        if (next.do === 'enter') await world.enter(next);
        else if (next.do === 'release') world.act('release', next.which);
        await promisesKept();
      }
      const groups = Map.groupBy(
        world.admitted,
        ({ principal, priority, needs }) => `${principal} ${priority} ${needs.map(({ id }) => id)}`,
      );
      for (const group of groups.values()) {
        const arrivals = group.map((visit) => world.visits.indexOf(visit));
        expect(arrivals).toEqual(arrivals.toSorted((one, other) => one - other));
      }
    }),
    { numRuns: 200 },
  );
});

test('the urgent go first, and while a key waits for its turn, no other of its priority has more than one', async () => {
  const single: GateSubject = { id: 'provider:a', concurrencyMax: 1, waitingMax: 1000, waitMsMax: 60_000 };
  const arrivals = fc.array(
    fc.record({
      principal: fc.constantFrom('p', 'q', 'r', 's'),
      priority: fc.constantFrom(0, 5, 9),
      releases: fc.nat({ max: 1 }),
    }),
    { minLength: 10, maxLength: 120 },
  );
  await fc.assert(
    fc.asyncProperty(arrivals, async (list) => {
      const gate = new Gate({ clock: systemClock });
      const asked = { subjects: [single], deadlineMs: Number.POSITIVE_INFINITY };
      let holder = (await gate.enter({ ...asked, principal: 'holder', priority: 0 })) as Lease;
      const turns = new Turns();
      for (const { principal, priority, releases } of list) {
        turns.wait(principal, priority);
        void (gate.enter({ ...asked, principal, priority }) as Promise<Lease>).then((lease) => {
          holder = lease;
          turns.serve(principal, priority);
        });
        if (releases === 1) holder.release();
        await promisesKept();
      }
      while (gate.read('provider:a').inside > 0) {
        holder.release();
        await promisesKept();
      }
      expect(turns.unfair).toEqual([]);
      expect(turns.waiting).toBe(0);
    }),
    { numRuns: 100 },
  );
});

/** Of one place: the keys that wait at each priority, and whose turns each has seen go by since it began to. */
class Turns {
  readonly unfair: string[] = [];
  readonly #levels = new Map<number, Map<string, { count: number; others: string[] }>>();

  get waiting(): number {
    return [...this.#levels.values()].reduce((sum, level) => sum + level.size, 0);
  }

  wait(principal: string, priority: number): void {
    const level = this.#levels.get(priority) ?? new Map<string, { count: number; others: string[] }>();
    this.#levels.set(priority, level);
    const own = level.get(principal) ?? { count: 0, others: [] };
    level.set(principal, own);
    own.count += 1;
  }

  serve(principal: string, priority: number): void {
    for (const [other, { size }] of this.#levels) {
      if (other < priority && size > 0) this.unfair.push(`${priority} went before ${other}`);
    }
    const level = this.#levels.get(priority)!;
    const own = level.get(principal)!;
    own.count -= 1;
    own.others = [];
    if (own.count === 0) level.delete(principal);
    for (const [waiting, { others }] of level) {
      if (waiting === principal) continue;
      if (others.includes(principal)) this.unfair.push(`${principal} went twice while ${waiting} waited`);
      others.push(principal);
    }
  }
}
