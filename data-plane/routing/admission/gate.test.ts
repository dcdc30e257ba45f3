import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { Gate, type GateRequest, type GateSubject, type Lease } from './gate.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

function subject(id: string, concurrencyMax: number, sketch: Partial<GateSubject> = {}): GateSubject {
  return { id, concurrencyMax, waitingMax: 10, waitMsMax: 5000, ...sketch };
}

function request(subjects: readonly GateSubject[], sketch: Partial<GateRequest> = {}): GateRequest {
  return { subjects, principal: 'key_1', priority: 0, deadlineMs: Number.POSITIVE_INFINITY, ...sketch };
}

function enterNow(gate: Gate, asked: GateRequest): Lease {
  const entered = gate.enter(asked);
  if (entered instanceof Promise) throw new RangeError('it has to wait');
  return entered;
}

/** Remembers who came in, in this order; holds nothing for longer than its turn. */
function enterInTurn(gate: Gate, asked: GateRequest, name: string, order: string[]): void {
  const entered = gate.enter(asked);
  if (!(entered instanceof Promise)) throw new RangeError('it need not wait');
  void entered.then((lease) => {
    order.push(name);
    lease.release();
  });
}

async function refusal(entered: () => Lease | Promise<Lease>): Promise<SignalboxError> {
  try {
    await entered();
  } catch (thrown) {
    return thrown as SignalboxError;
  }
  throw new RangeError('it was let in');
}

const one = subject('provider:a', 1);

describe('a gate with room', () => {
  test('lets a request in at once, and again when it has left', () => {
    const gate = new Gate({ clock: systemClock });
    for (let round = 0; round < 3; round += 1) {
      using lease = enterNow(gate, request([one]));
      expect(lease.waitedMs).toBe(0);
      expect(gate.hasRoom([one])).toBe(false);
    }
    expect(gate.hasRoom([one])).toBe(true);
    expect(gate.size).toBe(0);
  });

  test('remembers nothing of places without a limit', () => {
    const gate = new Gate({ clock: systemClock });
    const lease = enterNow(gate, request([subject('route:free', 0)]));
    expect(enterNow(gate, request([subject('provider:free', 0)]))).toBe(lease);
    expect(gate.size).toBe(0);
    lease.release();
  });

  test('counts a release once, however often it is told', () => {
    const gate = new Gate({ clock: systemClock });
    const two = subject('provider:a', 2);
    const lease = enterNow(gate, request([two]));
    enterNow(gate, request([two]));
    lease.release();
    lease.release();
    lease[Symbol.dispose]();
    expect(gate.read('provider:a')).toEqual({ inside: 1, waiting: 0 });
  });

  test('counts a place that is named twice once', () => {
    const gate = new Gate({ clock: systemClock });
    enterNow(gate, request([one, one]));
    expect(gate.read('provider:a').inside).toBe(1);
  });
});

describe('a full gate', () => {
  test('lets the next one in as soon as a place is free, and says how long it waited', async () => {
    const gate = new Gate({ clock: systemClock });
    const first = enterNow(gate, request([one]));
    const second = gate.enter(request([one]));
    vi.advanceTimersByTime(300);
    first.release();
    const lease = await second;
    expect(lease.waitedMs).toBe(300);
    lease.release();
    expect(gate.size).toBe(0);
  });

  test('takes the urgent first, then each key in turn, then whoever came first', async () => {
    const gate = new Gate({ clock: systemClock });
    const first = enterNow(gate, request([one]));
    const order: string[] = [];
    for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) {
      enterInTurn(gate, request([one], { principal: name[0]!, priority: 5 }), name, order);
    }
    enterInTurn(gate, request([one], { principal: 'a', priority: 1 }), 'urgent', order);
    enterInTurn(gate, request([one], { principal: 'z', priority: 99 }), 'patient', order);
    first.release();
    await vi.waitFor(() => expect(order).toHaveLength(8));
    expect(order).toEqual(['urgent', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'patient']);
  });

  test('is not held up by those who wait for another place', async () => {
    const gate = new Gate({ clock: systemClock });
    const route = subject('route:r', 2);
    const other = subject('provider:b', 1);
    const inA = enterNow(gate, request([route, one]));
    const elsewhere = enterNow(gate, request([route]));
    const blocked = gate.enter(request([route, one]));
    const free = gate.enter(request([route, other]));
    elsewhere.release();
    expect((await free).waitedMs).toBe(0);
    inA.release();
    expect((await blocked).waitedMs).toBe(0);
  });

  test('turns away whom its line has no place for, and says when to come back', async () => {
    const gate = new Gate({ clock: systemClock });
    const narrow = subject('provider:a', 1, { waitingMax: 1 });
    let lease = enterNow(gate, request([narrow]));
    let waits = gate.enter(request([narrow]));
    for (let served = 0; served < 10; served += 1) {
      vi.advanceTimersByTime(4000);
      lease.release();
      lease = await waits;
      waits = gate.enter(request([narrow]));
    }
    const error = await refusal(() => gate.enter(request([narrow, subject('route:new', 3)])));
    expect(error).toMatchObject({ code: 'queue_full', kind: { status: 503, retryable: true } });
    expect(error.message).toContain('"provider:a" takes 1 requests at once');
    // One waits already, and each takes about 4 s.
    expect(error.retryAfterMs).toBeGreaterThan(6000);
    expect(error.retryAfterMs).toBeLessThan(10_000);
    expect(gate.read('route:new')).toEqual({ inside: 0, waiting: 0 });
    lease.release();
    (await waits).release();
    expect(gate.size).toBe(0);
  });

  test.each([
    ['its own limit', 2000, Number.POSITIVE_INFINITY],
    ['the deadline of the request', 60_000, 2000],
  ])('lets nobody wait beyond %s', async (_, waitMsMax, patienceMs) => {
    const gate = new Gate({ clock: systemClock });
    const place = subject('provider:a', 1, { waitMsMax });
    enterNow(gate, request([place]));
    const deadlineMs = systemClock.monotonicMs() + patienceMs;
    const waits = refusal(() => gate.enter(request([place], { deadlineMs })));
    vi.advanceTimersByTime(1999);
    expect(gate.read('provider:a').waiting).toBe(1);
    vi.advanceTimersByTime(2);
    expect(gate.read('provider:a').waiting).toBe(0);
    expect(await waits).toMatchObject({ code: 'queue_timeout' });
    const late = await refusal(() => gate.enter(request([place], { deadlineMs: systemClock.monotonicMs() })));
    expect(late.code).toBe('queue_timeout');
  });

  test('forgets at once a client that has left, and passes on why it had to', async () => {
    const gate = new Gate({ clock: systemClock });
    enterNow(gate, request([one]));
    const client = new AbortController();
    const stopping = new AbortController();
    const left = refusal(() => gate.enter(request([one], { signal: client.signal })));
    const stopped = refusal(() => gate.enter(request([one], { signal: stopping.signal })));
    client.abort();
    stopping.abort(new SignalboxError('draining', 'This instance is stopping.'));
    expect(gate.read('provider:a').waiting).toBe(0);
    expect((await left).code).toBe('client_closed');
    expect((await stopped).code).toBe('draining');
    const early = await refusal(() => gate.enter(request([one], { signal: client.signal })));
    expect(early.code).toBe('client_closed');
  });

  test('takes a new limit at its word', async () => {
    const gate = new Gate({ clock: systemClock });
    const leases = [enterNow(gate, request([one]))];
    const waits = gate.enter(request([one]));
    const wider = subject('provider:a', 3);
    leases.push(enterNow(gate, request([wider])), await waits);
    expect(gate.read('provider:a').inside).toBe(3);
    const narrow = gate.enter(request([one]));
    leases.pop()!.release();
    leases.pop()!.release();
    expect(gate.read('provider:a')).toEqual({ inside: 1, waiting: 1 });
    leases.pop()!.release();
    expect((await narrow).waitedMs).toBe(0);
  });
});

describe('a request that fails over', () => {
  const route = subject('route:r', 1);
  const other = subject('provider:b', 1);

  test('keeps what it needs again, whoever waits for it', async () => {
    const gate = new Gate({ clock: systemClock });
    const first = enterNow(gate, request([route, one]));
    const waits = gate.enter(request([route]));
    const second = enterNow(gate, request([route, other], { instead: first }));
    expect(gate.read('provider:a').inside).toBe(0);
    first.release();
    expect(gate.read('route:r')).toEqual({ inside: 1, waiting: 1 });
    second.release();
    (await waits).release();
    expect(gate.size).toBe(0);
  });

  test('holds nothing while it has to wait', async () => {
    const gate = new Gate({ clock: systemClock });
    const first = enterNow(gate, request([route, one]));
    const full = enterNow(gate, request([other]));
    const moved = gate.enter(request([route, other], { instead: first }));
    expect(moved).toBeInstanceOf(Promise);
    const between = enterNow(gate, request([route]));
    full.release();
    between.release();
    (await moved).release();
    expect(gate.size).toBe(0);
  });

  test('gives everything back when it is turned away', async () => {
    const gate = new Gate({ clock: systemClock });
    const closed = subject('provider:b', 1, { waitingMax: 0 });
    const full = enterNow(gate, request([closed]));
    const first = enterNow(gate, request([route, one]));
    const error = await refusal(() => gate.enter(request([route, closed], { instead: first })));
    expect(error.code).toBe('queue_full');
    expect(gate.hasRoom([route, one])).toBe(true);
    full.release();
    expect(gate.size).toBe(0);
  });
});

test('a storm of time-outs leaves full concurrency behind', async () => {
  const gate = new Gate({ clock: systemClock });
  const place = subject('provider:a', 10, { waitingMax: 50 });
  const held = Array.from({ length: 10 }, () => enterNow(gate, request([place])));
  const codes: string[] = [];
  for (let sent = 0; sent < 1000; sent += 1) {
    void refusal(() => gate.enter(request([place], { principal: `key_${sent % 7}` }))).then(({ code }) =>
      codes.push(code),
    );
    vi.advanceTimersByTime(20);
  }
  vi.advanceTimersByTime(5000);
  await vi.waitFor(() => expect(codes).toHaveLength(1000));
  expect(new Set(codes)).toEqual(new Set(['queue_full', 'queue_timeout']));
  for (const lease of held) lease.release();
  expect(gate.size).toBe(0);
  const again = Array.from({ length: 10 }, () => enterNow(gate, request([place])));
  expect(gate.read('provider:a')).toEqual({ inside: 10, waiting: 0 });
  for (const lease of again) lease.release();
  expect(vi.getTimerCount()).toBe(0);
});

describe('a line without room', () => {
  const short = subject('provider:a', 1, { waitingMax: 2 });
  const waitFor = (gate: Gate, asked: Partial<GateRequest>) => {
    const entered = gate.enter(request([short], asked)) as Promise<Lease>;
    return entered.then(
      () => 'in',
      (thrown: SignalboxError) => thrown.code,
    );
  };

  test('has some for who is more urgent: the most patient gives way, and is told when to come again', async () => {
    const gate = new Gate({ clock: systemClock });
    const holder = enterNow(gate, request([short]));
    const [patient, usual] = [waitFor(gate, { priority: 9 }), waitFor(gate, { priority: 5 })];
    const urgent = waitFor(gate, { priority: 0 });
    expect(await patient).toBe('queue_full');
    expect(gate.read('provider:a')).toEqual({ inside: 1, waiting: 2 });
    holder.release();
    expect(await urgent).toBe('in');
    expect(gate.read('provider:a')).toEqual({ inside: 1, waiting: 1 });
    void usual;
  });

  test('has some for a key with fewer in it, and none for the one that fills it', async () => {
    const gate = new Gate({ clock: systemClock });
    enterNow(gate, request([short]));
    const [first, second] = [waitFor(gate, { principal: 'many' }), waitFor(gate, { principal: 'many' })];
    const refused = await refusal(() => gate.enter(request([short], { principal: 'many' })));
    expect(refused.code).toBe('queue_full');
    const other = waitFor(gate, { principal: 'one' });
    expect(await second).toBe('queue_full');
    const third = await refusal(() => gate.enter(request([short], { principal: 'another' })));
    expect(third.code).toBe('queue_full');
    void Promise.allSettled([first, other]);
  });
});
