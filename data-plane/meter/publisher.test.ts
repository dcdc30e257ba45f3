// From the journal to a bus that refuses, forgets and repeats; the ledger here is a plain consumer of it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type UsageBatch, UsageBatchSchema } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { type Bus, type BusState, type OutgoingMessage, usageSubject } from '#shared/bus/bus.ts';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import { createInProcessBroadcast } from '#shared/bus/in-process-broadcast.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';
import { type Journal, type JournalOptions, openJournal } from './journal.ts';
import { type Publisher, type PublisherTiming, startPublisher } from './publisher.ts';

const log = createLogger('silent');
const metrics = new Metrics();
const patience = { timeout: 10_000, interval: 5 };
const quick: Partial<PublisherTiming> = {
  lingerMs: 2,
  lookMs: 5,
  resend: { msMin: 30, msMax: 60 },
  retry: { msMin: 5, msMax: 20 },
};
const neverAgain = { ...quick, resend: { msMin: 600_000, msMax: 600_000 } };

let directory: string;
let journal: Journal;
let publisher: Publisher | undefined;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-publisher-'));
  journal = await openHere();
});
afterEach(async () => {
  await publisher?.close();
  publisher = undefined;
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
});

function openHere(options: Partial<JournalOptions> = {}): Promise<Journal> {
  return openJournal({
    directory,
    nodeId: 'node_a',
    region: 'eu',
    clock: systemClock,
    log,
    metrics,
    ...options,
  });
}

function settle(count: number): string[] {
  return Array.from({ length: count }, () => {
    const intent = madeIntent();
    journal.ledger.open(intent).settle(madeSettlement());
    return intent.attemptId;
  });
}

function start(bus: Bus, timing = quick): void {
  publisher = startPublisher({ journal, bus, clock: systemClock, log, metrics, timing });
}

/** A bus that does with each message what it is told, and remembers all it was given. */
class StubbornBus implements Bus {
  readonly broadcast = createInProcessBroadcast(log);
  away = false;
  /** Whether somebody asked while it was away. */
  missed = false;
  readonly sent: OutgoingMessage[] = [];
  refuse: (message: OutgoingMessage) => boolean = () => false;

  get state(): BusState {
    if (this.away) this.missed = true;
    return this.away ? 'connecting' : 'connected';
  }

  async publish(message: OutgoingMessage): Promise<void> {
    this.sent.push(message);
    if (this.refuse(message)) throw new Error('full');
  }
  async consume() {
    return { stop: async () => undefined };
  }
  async close() {}

  batches(): UsageBatch[] {
    return this.sent.map(({ data }) => fromBinary(UsageBatchSchema, data));
  }

  attemptIds(): string[] {
    return this.batches().flatMap(({ attempts }) => attempts.map(({ attemptId }) => attemptId));
  }
}

describe('settlements', () => {
  test('reach a consumer in order, and none twice while the ledger keeps up', async () => {
    const bus = createInProcessBus({ log });
    const seen: string[] = [];
    await bus.consume({
      subject: usageSubject,
      group: 'ledger',
      batchMax: 4,
      handle: async (messages) => {
        for (const { data } of messages) {
          const batch = fromBinary(UsageBatchSchema, data);
          seen.push(...batch.attempts.map(({ attemptId }) => attemptId));
          journal.onWatermark(batch.journalEpoch, batch.firstSequence + BigInt(batch.attempts.length) - 1n);
        }
      },
    });
    start(bus, neverAgain);
    const ids: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      ids.push(...settle(70));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitFor(() => expect(seen).toHaveLength(ids.length), patience);
    expect(seen).toEqual(ids);
    await vi.waitFor(() => expect(journal.bytes()).toBe(0), patience);
    await bus.close();
  });

  test('of an earlier start are published by the next', async () => {
    const ids = settle(3);
    await journal.close();
    journal = await openHere();
    const bus = new StubbornBus();
    start(bus, neverAgain);
    await vi.waitFor(() => expect(bus.attemptIds()).toEqual(ids), patience);
  });
});

describe('a batch', () => {
  test('that the bus refused is sent again under the same id with the same settlements', async () => {
    const bus = new StubbornBus();
    let refusals = 3;
    bus.refuse = () => refusals-- > 0;
    settle(5);
    start(bus, neverAgain);
    await vi.waitFor(() => expect(bus.sent).toHaveLength(4), patience);
    const [first] = bus.sent;
    for (const message of bus.sent) expect(message).toEqual(first);
    expect(first!.id).toBe(`node_a/${journal.epochs()[0]}/1-5`);
  });

  test('that was refused does not grow by what was settled since', async () => {
    const bus = new StubbornBus();
    bus.refuse = () => bus.sent.length < 3;
    settle(2);
    start(bus, neverAgain);
    await vi.waitFor(() => expect(bus.sent.length).toBeGreaterThan(0), patience);
    settle(2);
    await vi.waitFor(
      () => expect(new Set(bus.sent.map(({ id }) => id.split('/')[2]))).toEqual(new Set(['1-2', '3-4'])),
      patience,
    );
  });

  test('says up to where the ledger had confirmed when it was cut, and is otherwise the same when sent again', async () => {
    const bus = new StubbornBus();
    const epoch = journal.epochs()[0]!;
    settle(2);
    start(bus);
    await vi.waitFor(() => expect(bus.sent.length).toBeGreaterThan(0), patience);
    expect(bus.batches()[0]).toMatchObject({ firstSequence: 1n, confirmedSequence: 0n });
    settle(3);
    await vi.waitFor(() => expect(bus.sent.at(-1)!.id).toContain('/3-5'), patience);
    journal.onWatermark(epoch, 2n);
    const later = () => bus.batches().filter(({ confirmedSequence }) => confirmedSequence === 2n);
    await vi.waitFor(() => expect(later().length).toBeGreaterThan(0), patience);
    const earlier = bus.batches().find(({ firstSequence }) => firstSequence === 3n);
    expect(later()[0]).toEqual({ ...earlier, confirmedSequence: 2n });
  });

  test('goes on behind the ledger’s mark when that stands within it and the file before is gone', async () => {
    await journal.close();
    journal = await openHere({ segmentBytesMax: 1 });
    const bus = new StubbornBus();
    let isFull = true;
    bus.refuse = () => isFull;
    const ids = settle(4);
    start(bus, neverAgain);
    await vi.waitFor(() => expect(bus.sent.length).toBeGreaterThan(0), patience);
    expect(bus.sent[0]!.id).toContain('/1-4');
    journal.onWatermark(journal.epochs()[0]!, 2n);
    await vi.waitFor(() => expect(bus.sent.at(-1)!.id).toContain('/3-4'), patience);
    const last = bus.batches().at(-1)!;
    expect(last.attempts.map(({ attemptId }) => attemptId)).toEqual(ids.slice(2));
    isFull = false;
  });

  test('that the bus took is sent again until the ledger shows it', async () => {
    const bus = new StubbornBus();
    settle(2);
    start(bus);
    await vi.waitFor(() => expect(bus.sent.length).toBeGreaterThanOrEqual(3), patience);
    journal.onWatermark(journal.epochs()[0]!, 2n);
    await vi.waitFor(() => expect(bus.sent.at(-1)!.id).toContain('/1-2'), patience);
    settle(1);
    await vi.waitFor(() => expect(bus.sent.at(-1)!.id).toContain('/3-3'), patience);
    const confirmedAt = bus.sent.findIndex(({ id }) => id.endsWith('/3-3'));
    await vi.waitFor(() => expect(bus.sent.length).toBeGreaterThan(confirmedAt + 2), patience);
    expect(bus.sent.slice(confirmedAt).every(({ id }) => id.endsWith('/3-3'))).toBe(true);
  });

  test('waits for a bus that is away, and one that it had taken follows soon after its return', async () => {
    const bus = new StubbornBus();
    start(bus, { ...neverAgain, returnGraceMs: 20 });
    settle(1);
    await vi.waitFor(() => expect(bus.sent).toHaveLength(1), patience);
    bus.away = true;
    settle(1);
    await vi.waitFor(() => expect(bus.missed).toBe(true), patience);
    bus.away = false;
    const sent = () => bus.sent.map(({ id }) => id.split('/')[2]);
    await vi.waitFor(() => expect(sent()).toEqual(['1-1', '2-2', '1-1']), patience);
  });
});

describe('closing', () => {
  test('hands over what is left', async () => {
    const bus = new StubbornBus();
    start(bus, { ...neverAgain, lingerMs: 60_000, lookMs: 60_000 });
    const ids = settle(1000);
    await publisher!.close();
    expect(bus.attemptIds()).toEqual(ids);
  });

  test('does not wait for a bus that keeps refusing', async () => {
    const bus = new StubbornBus();
    bus.refuse = () => true;
    start(bus, { ...neverAgain, flushMsMax: 50 });
    settle(1);
    await publisher!.close();
    const count = bus.sent.length;
    expect(count).toBeGreaterThan(0);
  });
});
