// Thousands of requests, half of them streams, while providers are killed and come back at random, as long as one stays up: not one
// fails, and of streams that can be gone on with not one breaks off. FAILOVER_REQUESTS says how many.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '#test/harness/cluster.ts';
import { type Answer, startTraffic } from '#test/harness/traffic.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import { FailoverStage } from './failover-stage.ts';

const requests = Number(process.env.FAILOVER_REQUESTS ?? 20_000);
const LOOPS = 4;

let stage: FailoverStage;

beforeAll(async () => {
  stage = await FailoverStage.start();
});

afterAll(() => stage?.stop());

/** Kills one of those that are up, or brings one back, again and again; one is always up. Returns how often it killed. */
async function trouble(isOver: () => boolean): Promise<number> {
  const random = seededRandom(7);
  let kills = 0;
  while (!isOver()) {
    const up = stage.members.filter(({ provider }) => provider !== undefined);
    const down = stage.members.filter(({ provider }) => provider === undefined);
    const isKill = up.length > 1 && (down.length === 0 || random() < 0.5);
    const from = isKill ? up : down;
    const member = from[Math.floor(random() * from.length)]!;
    if (isKill) await stage.kill(member);
    else await stage.revive(member);
    kills += isKill ? 1 : 0;
    const pauseMs = 200 + random() * 600;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return kills;
}

test('nothing fails while one is up', { timeout: 10 * 60_000 }, async () => {
  const options = { urls: () => [stage.url], key: stage.key, loops: LOOPS, streamed: 0.5 };
  const strategy = 'round-robin';
  const plain = startTraffic({ ...options, model: await stage.route({ strategy }) });
  const recovering = await stage.route({ strategy, stream_recovery: 'continue' });
  const steady = startTraffic({ ...options, model: recovering });
  const count = () => plain.answers.length + steady.answers.length;
  // A share of what has been asked lately is what failing over may cost; from the first request on there would be none.
  await waitFor('some traffic', () => count() >= requests / 10);
  const kills = await trouble(() => count() >= requests);
  const all = await Promise.all([plain.stop(), steady.stop()]);
  const failed = (answers: readonly Answer[]) =>
    answers.filter(({ status, whole }) => status !== 200 || !whole);
  const [ofPlain, ofSteady] = all.map(failed);
  expect(kills).toBeGreaterThan(3);
  // A stream that broke off after its first byte, and says so.
  const isCut = ({ status, streamed, detail }: Answer) =>
    streamed && status === 200 && detail.includes('"error"');
  expect(ofPlain!.filter((answer) => !isCut(answer))).toEqual([]);
  expect(ofSteady).toEqual([]);
});
