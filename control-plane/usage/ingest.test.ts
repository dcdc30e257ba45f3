// The ledger against a real Postgres: what is delivered is counted once, whatever happens on the way.
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Attempt } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { type Bus, usageSubject } from '#shared/bus/bus.ts';
import { createInProcessBus } from '#shared/bus/in-process.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { startPostgres, type TestPostgres } from '#test/harness/postgres.ts';
import { encodedBatch, madeAttempt, someDayMs } from '#test/harness/usage.ts';
import { type Db, migrateToLatest, openDatabase } from '../store/database.ts';
import { watermarks } from '../store/ledger.ts';
import { dropBefore, ensurePartitions } from '../store/ledger-partitions.ts';
import { usageByGroup, usageTotals } from '../store/ledger-query.ts';
import { type Ingestion, startIngestion } from './ingest.ts';

const log = createLogger('silent');
const patience = { timeout: 20_000, interval: 10 };
let postgres: TestPostgres;
let db: Db;
let bus: Bus;
let metrics: Metrics;
const running: Ingestion[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.removeAll();
});

beforeEach(async () => {
  db = openDatabase(await postgres.createDatabase(), () => undefined);
  await migrateToLatest(db);
  bus = createInProcessBus({ log, redelivery: { msMin: 5, msMax: 50 } });
  metrics = new Metrics();
  return async () => {
    await Promise.all(running.splice(0).map((ingestion) => ingestion.close()));
    await bus.close();
    await db.destroy();
  };
});

async function ingest(): Promise<Ingestion> {
  const ingestion = await startIngestion({ db, bus, log, metrics });
  running.push(ingestion);
  return ingestion;
}

async function send(data: Uint8Array, id: string): Promise<void> {
  await bus.publish({ subject: usageSubject, id, data });
}

function mark(epoch = 'epoch-1', nodeId = 'node_a'): Promise<bigint | undefined> {
  return watermarks(db, nodeId, [epoch]).then((marks) => marks.get(epoch));
}

async function counted(
  name: 'signalbox_ledger_poison_total' | 'signalbox_ledger_failures_total',
): Promise<number> {
  return (await metrics.counter(name).get()).values[0]?.value ?? 0;
}

describe('a batch', () => {
  test('becomes rows, daily sums and a higher mark', async () => {
    const attempts = [
      madeAttempt({
        outcome: Outcome.FAILED,
        upstreamStatus: 500,
        errorCode: 'upstream_error',
        usage: undefined,
      }),
      madeAttempt({ attemptNumber: 2 }),
    ];
    await ingest();
    await send(encodedBatch({ attempts }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    const rows = await db.selectFrom('attempts').selectAll().orderBy('attempt_number').execute();
    expect(rows).toMatchObject([
      {
        outcome: 'failed',
        usage_known: false,
        input_tokens: 0n,
        cost_nanodollars: null,
        error_code: 'upstream_error',
      },
      {
        outcome: 'completed',
        usage_known: true,
        input_tokens: 10n,
        day: '2026-03-14',
        tags: ['chat'],
        region: 'eu',
      },
    ]);
    expect(await usageTotals(db, {})).toMatchObject({
      requests: 1n,
      attempts: 2n,
      completed: 1n,
      failed: 1n,
      input_tokens: 10n,
      output_tokens: 20n,
      cost_nanodollars: null,
      unpriced_attempts: 2n,
    });
  });

  test('of text that Postgres cannot store is taken in without the characters at fault', async () => {
    const attempts = [
      madeAttempt({ requestedModel: 'a\0b', tags: ['\0'], rawUsage: '{"x":"\\u0000"}' }),
      madeAttempt(),
    ];
    await ingest();
    await send(encodedBatch({ attempts }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    const rows = await db.selectFrom('attempts').select(['requested_model', 'tags', 'raw_usage']).execute();
    expect(rows).toContainEqual({
      requested_model: 'a\ufffdb',
      tags: ['\ufffd'],
      raw_usage: '{"x":"\\u0000"}',
    });
  });

  test('that cannot be read is parked once and does not block what follows', async () => {
    await ingest();
    await send(Buffer.from('not a batch'), 'broken');
    await send(encodedBatch({ attempts: [madeAttempt()] }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(1n), patience);
    await send(Buffer.from('not a batch'), 'broken');
    await send(encodedBatch({ first: 2, attempts: [madeAttempt()] }), 'b2');
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    const parked = await db.selectFrom('usage_poison').select(['message_id', 'data']).execute();
    expect(parked).toEqual([{ message_id: 'broken', data: Buffer.from('not a batch') }]);
    expect(await counted('signalbox_ledger_poison_total')).toBe(1);
  });

  test('with one attempt that cannot be stored keeps the others, and the mark passes it', async () => {
    const faulty = [
      madeAttempt({ attemptId: 'no-uuid' }),
      madeAttempt({ startedAtMs: 0n }),
      madeAttempt({ outcome: 99 as Outcome }),
      madeAttempt({ attemptNumber: 2 ** 31 }),
    ];
    await ingest();
    await send(encodedBatch({ attempts: [madeAttempt(), ...faulty, madeAttempt()] }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(6n), patience);
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 2n });
    const parked = await db.selectFrom('usage_poison').select('message_id').orderBy('message_id').execute();
    expect(parked.map(({ message_id: id }) => id)).toEqual(['b1#1', 'b1#2', 'b1#3', 'b1#4']);
  });

  test('of a day without partition makes one', async () => {
    const startedAtMs = BigInt(Date.parse('2021-12-31T23:59:59.999Z'));
    await ingest();
    await send(encodedBatch({ attempts: [madeAttempt({ startedAtMs }), madeAttempt()] }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    const days = await usageByGroup(db, { groupBy: 'day', limit: 10 });
    expect(days.map(({ group, attempts }) => [group, attempts])).toEqual([
      ['2026-03-14', 1n],
      ['2021-12-31', 1n],
    ]);
  });
});

describe('what a journal says was confirmed to it', () => {
  const attempts = Array.from({ length: 6 }, () => madeAttempt());

  test('is not waited for by a ledger that has forgotten it, which says what it lost', async () => {
    const error = vi.spyOn(log, 'error');
    await ingest();
    await send(encodedBatch({ first: 21, attempts: attempts.slice(0, 2) }), 'b1');
    await vi.waitFor(async () => expect(await usageTotals(db, {})).toMatchObject({ attempts: 2n }), patience);
    expect(await mark()).toBe(0n);
    expect(error).not.toHaveBeenCalled();
    await send(encodedBatch({ first: 31, confirmed: 30, attempts: attempts.slice(2, 4) }), 'b2');
    await vi.waitFor(async () => expect(await mark()).toBe(32n), patience);
    expect(await db.selectFrom('usage_spans').selectAll().execute()).toEqual([]);
    expect(error).toHaveBeenCalledExactlyOnceWith(
      { attempts: 28, journals: [{ nodeId: 'node_a', epoch: 'epoch-1', missing: 28 }] },
      expect.stringContaining('backup'),
    );
    await send(encodedBatch({ first: 33, confirmed: 32, attempts: attempts.slice(4) }), 'b3');
    await vi.waitFor(async () => expect(await mark()).toBe(34n), patience);
    expect(error).toHaveBeenCalledOnce();
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 6n });
  });

  test('is passed only after what the same delivery still brings from below it', async () => {
    await send(encodedBatch({ first: 5, confirmed: 4, attempts: attempts.slice(4) }), 'b1');
    await send(encodedBatch({ first: 3, confirmed: 4, attempts: attempts.slice(2, 5) }), 'b2');
    await ingest();
    await vi.waitFor(async () => expect(await mark()).toBe(6n), patience);
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 4n });
  });

  test('is parked when no journal can have come that far', async () => {
    await ingest();
    await send(encodedBatch({ confirmed: 2 ** 60, attempts: attempts.slice(0, 1) }), 'far');
    await send(encodedBatch({ first: 2 ** 60, attempts: attempts.slice(0, 1) }), 'farther');
    await send(encodedBatch({ attempts: attempts.slice(0, 1) }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(1n), patience);
    const parked = await db.selectFrom('usage_poison').select('message_id').orderBy('message_id').execute();
    expect(parked.map(({ message_id: id }) => id)).toEqual(['far', 'farther']);
  });
});

describe('a database that is away', () => {
  test('delays usage and loses none', async () => {
    await ingest();
    await send(encodedBatch({ attempts: [madeAttempt()] }), 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(1n), patience);
    await postgres.stop();
    await send(encodedBatch({ first: 2, attempts: [madeAttempt()] }), 'b2');
    await vi.waitFor(
      async () => expect(await counted('signalbox_ledger_failures_total')).toBeGreaterThan(0),
      patience,
    );
    await postgres.start();
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 2n });
  });
});

describe('partitions', () => {
  test('are made by many at once without conflict', async () => {
    const days = ['2026-01-01', '2026-01-02', '2026-01-03'];
    await Promise.all(Array.from({ length: 8 }, () => ensurePartitions(db, days)));
    expect(await dropBefore(db, '2026-01-03')).toEqual(['2026-01-01', '2026-01-02']);
    expect(await dropBefore(db, '2026-01-03')).toEqual([]);
  });

  test('that were dropped for their age do not let a late duplicate be counted again', async () => {
    await ingest();
    const data = encodedBatch({ attempts: [madeAttempt()] });
    await send(data, 'b1');
    await vi.waitFor(async () => expect(await mark()).toBe(1n), patience);
    await dropBefore(db, '2026-03-15');
    await send(data, 'b1-again');
    await send(
      encodedBatch({ first: 2, attempts: [madeAttempt({ startedAtMs: BigInt(someDayMs) + 1n })] }),
      'b2',
    );
    await vi.waitFor(async () => expect(await mark()).toBe(2n), patience);
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 2n });
  });
});

describe('whatever the order, the repetition and the cut of deliveries, to one replica or several', () => {
  interface Delivery {
    readonly epoch: number;
    readonly first: number;
    readonly count: number;
  }
  const EPOCHS = 3;
  const RECORDS = 24;

  /** Random cuts in random order; then everything once more, so that nothing is missing at the end. */
  const schedules = fc.array(
    fc.record({
      epoch: fc.nat(EPOCHS - 1),
      first: fc.integer({ min: 1, max: RECORDS }),
      count: fc.integer({ min: 1, max: 10 }),
    }),
    { minLength: 5, maxLength: 40 },
  );

  function madeJournals(round: number): Attempt[][] {
    return Array.from({ length: EPOCHS }, (_, epoch) =>
      Array.from({ length: RECORDS }, (_, index) =>
        madeAttempt({
          startedAtMs: BigInt(someDayMs + (index % 2) * 86_400_000),
          attemptNumber: 1 + (index % 3),
          keyId: `key_${round}_${index % 4}`,
          model: `model-${epoch}`,
          outcome: (1 + (index % 4)) as Outcome,
          usage: {
            $typeName: 'signalbox.usage.v1.Usage',
            input: index,
            inputCacheRead: 1,
            inputCacheWrite: 0,
            inputAudio: 0,
            output: epoch,
            outputReasoning: 4_000_000_000,
            outputAudio: 0,
          },
        }),
      ),
    );
  }

  function expectedSums(journals: readonly Attempt[][], key: string) {
    const attempts = journals.flat().filter(({ keyId }) => keyId === key);
    const sum = (of: (attempt: Attempt) => number) =>
      BigInt(attempts.reduce((total, attempt) => total + of(attempt), 0));
    return {
      requests: sum(({ attemptNumber }) => (attemptNumber === 1 ? 1 : 0)),
      attempts: sum(() => 1),
      completed: sum(({ outcome }) => (outcome === Outcome.COMPLETED ? 1 : 0)),
      interrupted: sum(({ outcome }) => (outcome === Outcome.INTERRUPTED ? 1 : 0)),
      input_tokens: sum(({ usage }) => usage?.input ?? 0),
      output_tokens: sum(({ usage }) => usage?.output ?? 0),
      output_reasoning_tokens: sum(({ usage }) => usage?.outputReasoning ?? 0),
      unpriced_attempts: sum(() => 1),
    };
  }

  test('the sums equal the model and every mark reaches the end', async () => {
    await Promise.all([ingest(), ingest(), ingest()]);
    let round = 0;
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        round += 1;
        const journals = madeJournals(round);
        const complete = Array.from({ length: EPOCHS }, (_, epoch) => ({ epoch, first: 1, count: RECORDS }));
        const deliveries: Delivery[] = [...schedule, ...complete];
        for (const [index, { epoch, first, count }] of deliveries.entries()) {
          const attempts = journals[epoch]!.slice(first - 1, first - 1 + count);
          await send(encodedBatch({ epoch: `${round}-${epoch}`, first, attempts }), `${round}/${index}`);
        }
        for (let epoch = 0; epoch < EPOCHS; epoch += 1) {
          await vi.waitFor(
            async () => expect(await mark(`${round}-${epoch}`)).toBe(BigInt(RECORDS)),
            patience,
          );
        }
        for (let key = 0; key < 4; key += 1) {
          const name = `key_${round}_${key}`;
          expect(await usageTotals(db, { key: name })).toMatchObject(expectedSums(journals, name));
        }
        expect(await db.selectFrom('usage_spans').selectAll().execute()).toEqual([]);
      }),
      { numRuns: 25 },
    );
    expect(await counted('signalbox_ledger_failures_total')).toBe(0);
  });

  test('an attempt that comes through two journals is counted once', async () => {
    await Promise.all([ingest(), ingest()]);
    const attempts = Array.from({ length: 50 }, () => madeAttempt());
    for (let copy = 0; copy < 6; copy += 1) {
      await send(
        encodedBatch({ epoch: `epoch-${copy}`, attempts: copy % 2 === 0 ? attempts : attempts.toReversed() }),
        `b${copy}`,
      );
    }
    for (let copy = 0; copy < 6; copy += 1) {
      await vi.waitFor(async () => expect(await mark(`epoch-${copy}`)).toBe(50n), patience);
    }
    expect(await usageTotals(db, {})).toMatchObject({ attempts: 50n, input_tokens: 500n });
  });
});
