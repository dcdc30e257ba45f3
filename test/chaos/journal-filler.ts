// A process whose files may not grow beyond a size that its parent sets, as on a full disk. It writes attempts until the
// journal refuses, settles what is open, waits until the journal takes attempts again, and ends in good order.
import { setTimeout as delay } from 'node:timers/promises';
import { openJournal } from '#data-plane/meter/journal.ts';
import type { OpenAttempt } from '#data-plane/meter/ledger.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';

const journal = await openJournal({
  directory: process.argv[2]!,
  nodeId: 'node_a',
  region: 'eu',
  clock: systemClock,
  log: createLogger('silent'),
  metrics: new Metrics(),
});

function say(word: string, value: string): void {
  process.stdout.write(`${word} ${value}\n`);
}

function tryOpen(): OpenAttempt | undefined {
  const intent = madeIntent();
  try {
    const attempt = journal.ledger.open(intent);
    say('opened', intent.attemptId);
    return attempt;
  } catch (error) {
    say('refused', (error as { code: string }).code);
    return undefined;
  }
}

const open: OpenAttempt[] = [];
for (let attempt = tryOpen(); attempt !== undefined; attempt = tryOpen()) open.push(attempt);
for (const attempt of open) attempt.settle(madeSettlement());
tryOpen();
let last: OpenAttempt | undefined;
while (last === undefined) {
  await delay(100);
  last = tryOpen();
}
last.settle(madeSettlement());
await journal.close();
