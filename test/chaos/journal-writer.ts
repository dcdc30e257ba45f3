// A process that opens and settles attempts as fast as it can until it is killed, and says on its standard output what it
// has been promised: "o <id>" after an attempt was opened, "s <id>" after it was settled.
import { once } from 'node:events';
import { openJournal } from '#data-plane/meter/journal.ts';
import type { OpenAttempt } from '#data-plane/meter/ledger.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { madeIntent, madeSettlement } from '#test/harness/journal.ts';

const IN_FLIGHT = 8;

const journal = await openJournal({
  directory: process.argv[2]!,
  nodeId: 'node_a',
  region: 'eu',
  clock: systemClock,
  log: createLogger('silent'),
  metrics: new Metrics(),
  segmentBytesMax: 64 * 1024,
});

const inFlight: { id: string; attempt: OpenAttempt }[] = [];

function step(): string {
  const intent = madeIntent();
  const attempt = journal.ledger.open(intent);
  inFlight.push({ id: intent.attemptId, attempt });
  const said = `o ${intent.attemptId}\n`;
  if (inFlight.length <= IN_FLIGHT) return said;
  const [finished] = inFlight.splice(Math.floor(Math.random() * inFlight.length), 1);
  finished!.attempt.settle(madeSettlement());
  return `${said}s ${finished!.id}\n`;
}

for (;;) {
  if (!process.stdout.write(step())) await once(process.stdout, 'drain');
}
