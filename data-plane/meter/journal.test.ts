import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { batchesOf, madeIntent, madeSettlement, settledAttempts } from '#test/harness/journal.ts';
import { type Journal, type JournalOptions, openJournal } from './journal.ts';

let directory: string;
const opened: Journal[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-journal-'));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((journal) => journal.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function openHere(options: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await openJournal({
    directory,
    nodeId: 'node_a',
    region: 'eu',
    clock: systemClock,
    log: createLogger('silent'),
    metrics: new Metrics(),
    ...options,
  });
  opened.push(journal);
  return journal;
}

function segmentFiles(): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.segment'))
    .toSorted();
}

function settleOne(journal: Journal, attemptNumber = 1): string {
  const intent = madeIntent({ attemptNumber });
  journal.ledger.open(intent).settle(madeSettlement());
  return intent.attemptId;
}

function idsOf(attempts: readonly { attemptId: string }[]): string[] {
  return attempts.map(({ attemptId }) => attemptId);
}

/** The files as a crash would leave them: copied while the journal is open, into a folder for the next boot. */
function crashed(): string {
  const copy = mkdtempSync(join(tmpdir(), 'signalbox-journal-'));
  for (const name of segmentFiles()) writeFileSync(join(copy, name), readFileSync(join(directory, name)));
  return copy;
}

describe('an attempt', () => {
  test('is in a file before open and settle return', async () => {
    const journal = await openHere();
    const size = () => statSync(join(directory, segmentFiles()[0]!)).size;
    const before = size();
    const attempt = journal.ledger.open(madeIntent());
    const afterOpen = size();
    expect(afterOpen).toBeGreaterThan(before);
    attempt.settle(madeSettlement());
    expect(size()).toBeGreaterThan(afterOpen);
  });

  test('is settled once, by the first who says so', async () => {
    const journal = await openHere();
    const attempt = journal.ledger.open(madeIntent());
    attempt.settle(madeSettlement({ outcome: 'cancelled' }));
    attempt.settle(madeSettlement({ outcome: 'completed' }));
    expect(await settledAttempts(journal)).toMatchObject([{ outcome: Outcome.CANCELLED }]);
  });

  test('left open by a crash is settled as interrupted at the next start, once', async () => {
    const journal = await openHere();
    const settled = settleOne(journal);
    const intent = madeIntent();
    journal.ledger.open(intent);
    const copy = crashed();
    const next = await openHere({ directory: copy });
    const attempts = await settledAttempts(next);
    expect(idsOf(attempts)).toEqual([settled, intent.attemptId]);
    expect(attempts[1]).toMatchObject({
      outcome: Outcome.INTERRUPTED,
      errorCode: 'interrupted',
      keyId: 'key_a',
    });
    expect(attempts[1]?.usage).toBeUndefined();
    await next.close();
    const third = await openHere({ directory: copy });
    expect(idsOf(await settledAttempts(third))).toEqual([settled, intent.attemptId]);
  });
});

describe('a batch', () => {
  test('holds consecutive settlements of one epoch, within the limits', async () => {
    const journal = await openHere({ segmentBytesMax: 100_000 });
    const ids = Array.from({ length: 1500 }, () => settleOne(journal));
    const batches = await batchesOf(journal.logs()[0]!, journal);
    expect(idsOf(batches.flatMap(({ attempts }) => attempts))).toEqual(ids);
    let next = 1n;
    for (const batch of batches) {
      expect(batch).toMatchObject({
        nodeId: 'node_a',
        region: 'eu',
        journalEpoch: journal.epochs()[0],
        firstSequence: next,
      });
      expect(batch.attempts.length).toBeLessThanOrEqual(limits.usageBatchRecordsMax);
      next += BigInt(batch.attempts.length);
    }
    expect(segmentFiles().length).toBeGreaterThan(5);
  });

  test('of large records stays below the size that the bus takes', async () => {
    const journal = await openHere();
    for (let index = 0; index < 40; index += 1) {
      journal.ledger.open(madeIntent()).settle(madeSettlement({ rawUsage: 'x'.repeat(20_000) }));
    }
    const log = journal.logs()[0]!;
    const cut = await log.cut({
      from: log.start,
      firstSequence: 1,
      lastSequence: 40,
      sender: journal.sender,
    });
    expect(cut!.data.length).toBeLessThanOrEqual(limits.usageBatchBytesMax);
    expect(await settledAttempts(journal)).toHaveLength(40);
  });

  test('ends at the same settlement when it is cut again after the ledger has confirmed more', async () => {
    const journal = await openHere();
    for (let index = 0; index < 300; index += 1) {
      journal.ledger.open(madeIntent()).settle(madeSettlement({ rawUsage: 'x'.repeat(2_000) }));
    }
    const log = journal.logs()[0]!;
    const cut = async (regionLength: number) => {
      const sender = { nodeId: 'node_a', region: 'x'.repeat(regionLength) };
      return (await log.cut({ from: log.start, firstSequence: 1, lastSequence: 300, sender }))!;
    };
    // Names of such lengths that, with one byte more of anything, one settlement less would fit.
    const { data, lastSequence } = await cut(0);
    const room = limits.usageBatchBytesMax - limits.journalRecordBytesMax - data.length;
    const exact = Math.round(room + data.length / lastSequence);
    const lengths = Array.from({ length: 17 }, (_, index) => exact - 8 + index);
    const before = await Promise.all(lengths.map(cut));
    journal.onWatermark(log.epoch, 200n);
    const after = await Promise.all(lengths.map(cut));
    expect(after.map((batch) => batch.lastSequence)).toEqual(before.map((batch) => batch.lastSequence));
  });
});

describe('damage in the middle of a file', () => {
  test('costs the records it hit; those behind it are published under new numbers', async () => {
    const journal = await openHere();
    const ids = Array.from({ length: 9 }, (_, index) => settleOne(journal, index + 1));
    const copy = crashed();
    const file = join(copy, segmentFiles()[0]!);
    const bytes = readFileSync(file);
    const hit = bytes.indexOf(ids[4]!, bytes.indexOf(ids[4]!) + 1);
    bytes.fill(0xff, hit, hit + 10);
    writeFileSync(file, bytes);
    const error = vi.fn();
    const log = {
      ...createLogger('silent'),
      error,
      warn: vi.fn(),
      debug: vi.fn(),
    } as unknown as JournalOptions['log'];
    const next = await openHere({ directory: copy, log });
    expect(error).toHaveBeenCalledWith(expect.objectContaining({ file }), expect.stringContaining('damaged'));
    const attempts = await settledAttempts(next);
    expect(idsOf(attempts).toSorted()).toEqual(ids.toSorted());
    expect(
      attempts.filter(({ outcome }) => outcome === Outcome.INTERRUPTED).map(({ attemptId }) => attemptId),
    ).toEqual([ids[4]]);
    const [old, live] = next.logs();
    expect([old?.lastSequence, live?.lastSequence]).toEqual([4, 5]);
    next.onWatermark(old!.epoch, 4n);
    expect(next.epochs()).toEqual([live?.epoch]);
  });
});

describe('the high-water mark of the ledger', () => {
  test('lets go of the segments it has passed, and of no other', async () => {
    const journal = await openHere({ segmentBytesMax: 4_000 });
    for (let index = 0; index < 60; index += 1) settleOne(journal);
    const [epoch] = journal.epochs();
    const before = segmentFiles();
    journal.onWatermark(epoch!, 30n);
    await vi.waitFor(() => expect(segmentFiles().length).toBeLessThan(before.length));
    const attempts = await settledAttempts(journal);
    expect(attempts).toHaveLength(30);
    journal.onWatermark(epoch!, 60n);
    await vi.waitFor(() => expect(segmentFiles()).toEqual([before.at(-1)]));
    expect(journal.bytes()).toBe(0);
  });

  test('does not go back', async () => {
    const journal = await openHere();
    for (let index = 0; index < 3; index += 1) settleOne(journal);
    const [epoch] = journal.epochs();
    journal.onWatermark(epoch!, 2n);
    journal.onWatermark(epoch!, 1n);
    journal.onWatermark('an epoch of somebody else', 9n);
    expect(await settledAttempts(journal)).toHaveLength(1);
  });

  test('does not cost the intent of an attempt that is still running', async () => {
    const journal = await openHere({ segmentBytesMax: 4_000 });
    const intent = madeIntent({ requestId: 'req_long' });
    const long = journal.ledger.open(intent);
    for (let index = 0; index < 30; index += 1) settleOne(journal);
    const before = segmentFiles();
    journal.onWatermark(journal.epochs()[0]!, 30n);
    await vi.waitFor(() => expect(segmentFiles()).not.toContain(before[0]));
    const copy = crashed();
    const next = await openHere({ directory: copy });
    const left = (await settledAttempts(next)).filter(({ requestId }) => requestId === 'req_long');
    expect(left).toMatchObject([{ outcome: Outcome.INTERRUPTED }]);
    long.settle(madeSettlement());
    expect(await settledAttempts(journal)).toMatchObject([
      { requestId: 'req_long', outcome: Outcome.COMPLETED },
    ]);
  });

  test('ends an earlier epoch', async () => {
    const first = await openHere();
    settleOne(first);
    await first.close();
    const second = await openHere();
    expect(second.epochs()).toHaveLength(2);
    expect(second.bytes()).toBeGreaterThan(0);
    second.onWatermark(second.epochs()[0]!, 1n);
    expect(second.epochs()).toHaveLength(1);
    expect(second.bytes()).toBe(0);
    await vi.waitFor(() => expect(segmentFiles()).toHaveLength(1));
  });

  test('that has everything leaves no file behind when the journal is closed', async () => {
    const journal = await openHere();
    settleOne(journal);
    journal.onWatermark(journal.epochs()[0]!, 1n);
    await journal.close();
    expect(segmentFiles()).toEqual([]);
  });
});

describe('a journal that cannot take more', () => {
  test('refuses new attempts when it is full, settles running ones, and goes on when the ledger has caught up', async () => {
    const journal = await openHere({ segmentBytesMax: 4_000, bytesMax: 20_000 });
    const running = journal.ledger.open(madeIntent());
    const fill = () => {
      for (;;) settleOne(journal);
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'ledger_unavailable' }));
    running.settle(madeSettlement());
    const log = journal.logs()[0]!;
    const settled = await settledAttempts(journal);
    expect(settled).toHaveLength(log.lastSequence);
    journal.onWatermark(log.epoch, BigInt(log.lastSequence));
    settleOne(journal);
  });

  test('refuses an attempt that would not fit a batch', async () => {
    const journal = await openHere();
    const tags = Array.from({ length: 70 }, () => 'x'.repeat(1_000));
    expect(() => journal.ledger.open(madeIntent({ tags }))).toThrow(
      expect.objectContaining({ code: 'ledger_unavailable' }),
    );
  });

  test('refuses after it was closed', async () => {
    const journal = await openHere();
    await journal.close();
    expect(() => journal.ledger.open(madeIntent())).toThrow(
      expect.objectContaining({ code: 'ledger_unavailable' }),
    );
  });

  test('is not opened twice', async () => {
    await openHere();
    await expect(openHere()).rejects.toMatchObject({
      code: 'ledger_unavailable',
      message: expect.stringContaining('in use by another process'),
    });
  });
});

test('files that do not belong to the journal are left alone', async () => {
  writeFileSync(join(directory, 'notes.txt'), 'mine');
  const journal = await openHere();
  settleOne(journal);
  await journal.close();
  expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine');
});

test('an empty segment, left by a crash right after it was made, is no obstacle', async () => {
  const journal = await openHere();
  settleOne(journal);
  const copy = crashed();
  const [name] = segmentFiles();
  const following = join(copy, name!.replace('000001', '000002'));
  writeFileSync(following, '');
  truncateSync(following, 0);
  const next = await openHere({ directory: copy });
  expect(await settledAttempts(next)).toHaveLength(1);
});
