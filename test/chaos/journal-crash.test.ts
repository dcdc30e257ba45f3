// Killing the process that writes the journal, at any moment, again and again, loses no attempt and invents none.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openJournal } from '#data-plane/meter/journal.ts';
import { Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { settledAttempts } from '#test/harness/journal.ts';

const ROUNDS = 20;
const writer = fileURLToPath(new URL('./journal-writer.ts', import.meta.url));

/** Runs the writer until it has said a random number of lines, then kills it; returns all it said. */
function runUntilKilled(directory: string): Promise<string[]> {
  const enough = 1 + Math.floor(Math.random() * 20_000);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    let bytes = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > enough) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', () => resolve(Buffer.concat(chunks).toString().split('\n').slice(0, -1)));
  });
}

test(`a journal killed ${ROUNDS} times has every attempt that was opened, settled exactly once`, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-crash-'));
  const openedIds = new Set<string>();
  const settledIds = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const line of await runUntilKilled(directory)) {
      const [verb, id] = line.split(' ');
      (verb === 'o' ? openedIds : settledIds).add(id!);
    }
  }
  const options = {
    nodeId: 'node_a',
    region: 'eu',
    clock: systemClock,
    log: createLogger('silent'),
    metrics: new Metrics(),
  };
  const journal = await openJournal({ directory, ...options });
  const attempts = await settledAttempts(journal);
  const outcomes = new Map(attempts.map(({ attemptId, outcome }) => [attemptId, outcome]));
  expect(attempts).toHaveLength(outcomes.size);
  for (const id of openedIds) expect(outcomes.has(id), `${id} was opened`).toBe(true);
  for (const id of settledIds) expect(outcomes.get(id), `${id} was settled`).toBe(Outcome.COMPLETED);
  const interrupted = attempts.filter(({ outcome }) => outcome === Outcome.INTERRUPTED);
  expect(interrupted.length).toBeGreaterThan(0);
  // Each round has at most nine attempts open when it dies.
  expect(interrupted.length).toBeLessThanOrEqual(ROUNDS * 9);
  await journal.close();
  rmSync(directory, { recursive: true });
});
