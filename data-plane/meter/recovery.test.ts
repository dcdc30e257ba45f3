import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';
import { openJournal } from './journal.ts';
import { attemptIdOf } from './record.ts';
import { recoverEpochs } from './recovery.ts';

const log = createLogger('silent');
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-recovery-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('a file cut off at any byte gives every whole record, and every attempt is settled or unresolved', async () => {
  const live = join(directory, 'live');
  const options = { nodeId: 'node_a', region: 'eu', clock: systemClock, log, metrics: new Metrics() };
  const journal = await openJournal({ directory: live, ...options });
  const file = readdirSync(live).find((name) => name.endsWith('.segment'))!;
  const [a, b, c] = [madeIntent(), madeIntent(), madeIntent()];
  const history: { bytes: number; open: string[]; settled: number }[] = [];
  const note = (open: string[], settled: number) =>
    history.push({ bytes: statSync(join(live, file)).size, open, settled });
  note([], 0);
  const first = journal.ledger.open(a);
  note([a.attemptId], 0);
  const second = journal.ledger.open(b);
  note([a.attemptId, b.attemptId], 0);
  second.settle(madeSettlement());
  note([a.attemptId], 1);
  const third = journal.ledger.open(c);
  note([a.attemptId, c.attemptId], 1);
  first.settle(madeSettlement());
  note([c.attemptId], 2);
  third.settle(madeSettlement());
  note([], 3);
  await journal.close();

  const cut = join(directory, 'cut');
  mkdirSync(cut);
  copyFileSync(join(live, file), join(cut, file));
  for (let length = statSync(join(cut, file)).size; length >= 0; length -= 1) {
    truncateSync(join(cut, file), length);
    const { open, settled } = history.findLast(({ bytes }) => bytes <= length) ?? { open: [], settled: 0 };
    const recovery = await recoverEpochs(cut, log);
    expect(recovery.unresolved.map(attemptIdOf), `cut at ${length}`).toEqual(open);
    expect(recovery.logs.map(({ lastSequence }) => lastSequence)).toEqual([settled]);
    expect(recovery.displaced).toEqual([]);
  }
});
