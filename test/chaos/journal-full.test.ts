// A disk that takes no more, in the middle of a record: nothing starts that could not be accounted for, nothing that ran
// is lost, and all is well again when there is room.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { openJournal } from '#data-plane/meter/journal.ts';
import { Outcome } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { systemClock } from '#shared/clock.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { settledAttempts } from '#test/harness/journal.ts';

const filler = fileURLToPath(new URL('./journal-filler.ts', import.meta.url));
// Not the length of a whole number of records: the last write is taken in part.
const BYTES_MAX = 40_000;

// Only Linux lets one process set another's limits.
test.runIf(process.platform === 'linux')(
  'a full disk refuses attempts, keeps settlements, and recovers',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-full-'));

    const child = spawn('prlimit', [`--fsize=${BYTES_MAX}:`, process.execPath, filler, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    const lines = (word: string) =>
      said.split('\n').flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));

    await vi.waitFor(() => expect(lines('refused').length).toBeGreaterThan(3), { timeout: 20_000 });
    expect(new Set(lines('refused'))).toEqual(new Set(['ledger_unavailable']));
    execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:']);
    expect(await ended).toBe(0);

    const options = {
      nodeId: 'node_a',
      region: 'eu',
      clock: systemClock,
      log: createLogger('silent'),
      metrics: new Metrics(),
    };
    const journal = await openJournal({ directory, ...options });
    const attempts = await settledAttempts(journal);
    expect(attempts.map(({ attemptId }) => attemptId).toSorted()).toEqual(lines('opened').toSorted());
    expect(attempts.every(({ outcome }) => outcome === Outcome.COMPLETED)).toBe(true);
    expect(attempts.length).toBeGreaterThan(50);
    await journal.close();
    rmSync(directory, { recursive: true });
  },
);
