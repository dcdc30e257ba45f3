// Three data planes with a Redis beside NATS: they hear of each other's troubles while either is away, and neither of them, frozen, is felt
// by a caller.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/cluster.ts';
import type { RedisServer } from '#test/harness/redis.ts';
import { callsAt, HealthStage, slowestUsual } from './health-stage.ts';

let stage: HealthStage;
let redis: RedisServer;

beforeAll(async () => {
  stage = await HealthStage.start({ withRedis: true });
  redis = stage.cluster.redis!;
  await stage.cluster.must('POST', '/api/v1/routes', {
    slug: 'quickest',
    strategy: 'least-latency',
    models: [{ model: 'm' }],
  });
  await stage.everyoneAnswers('quickest');
});

beforeEach(async () => {
  await stage.begin();
  await everyoneHearsTwice();
});

afterEach(async () => {
  redis.signal('SIGCONT');
});

afterAll(() => stage?.stop());

/** Over NATS and over Redis: each data plane gets digests that it has already. */
async function everyoneHearsTwice(): Promise<void> {
  const before = await stage.digests('known');
  await waitFor('digests over both buses', async () =>
    (await stage.digests('known')).every((count, index) => count > before[index]!),
  );
}

async function respond(url: string, more: Record<string, unknown> = {}): Promise<Response> {
  return fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stage.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'quickest', input: 'hello', ...more }),
  });
}

describe.each([
  { away: 'NATS', stop: () => stage.cluster.nats.stop(), start: () => stage.cluster.nats.start() },
  { away: 'Redis', stop: () => redis.stop(), start: () => redis.start() },
])('while $away is stopped', ({ stop, start }) => {
  beforeEach(() => stop());
  afterEach(() => start());

  test('what one data plane finds out the others avoid within a second', async () => {
    expect(await stage.letOneFindOut()).toBeLessThan(1000);
    const others = stage.urls.slice(1);
    const before = await callsAt(stage.first);
    for (let round = 0; round < 20; round += 1)
      for (const url of others) expect(await stage.ask(url)).toMatchObject({ status: 200, whole: true });
    // Each of them may find out for itself with one request, at the pause's beginning and at its end.
    expect((await callsAt(stage.first)) - before).toBeLessThanOrEqual(2 * others.length);
    expect(await stage.digests('refused')).toEqual([0, 0, 0]);
  });
});

test('while Redis is frozen every request is answered as fast as before, and digests go over it again afterwards', async () => {
  const chat = (url: string) => async () => {
    expect(await stage.ask(url, 'quickest')).toMatchObject({ status: 200, whole: true });
  };
  // Every one of these is to be kept in Redis.
  const kept = (url: string) => async () => {
    const response = await respond(url);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: 'completed' });
  };
  const rounds = Array.from({ length: 50 });
  const measure = async () => ({
    chat: await slowestUsual(rounds.flatMap(() => stage.urls.map(chat))),
    kept: await slowestUsual(rounds.flatMap(() => stage.urls.map(kept))),
  });
  await measure();
  const before = await measure();
  // The last before the freeze: a key keeps only so many.
  const { id } = (await (await respond(stage.urls[0]!)).json()) as { id: string };
  redis.signal('SIGSTOP');
  // First over connections that are silent, and then while new ones are sought.
  const frozen = [await measure(), await measure()];
  const refused = await respond(stage.urls[0]!, { previous_response_id: id });
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: { code: 'response_store_unavailable' } });
  // A wait for Redis would be a second; what is left between the two is the noise of a small machine with other work to do.
  const noiseMs = 300;
  for (const { chat: chatMs, kept: keptMs } of frozen) {
    expect(chatMs).toBeLessThan(4 * before.chat + noiseMs);
    expect(keptMs).toBeLessThan(4 * before.kept + noiseMs);
  }
  redis.signal('SIGCONT');
  await everyoneHearsTwice();
  await waitFor('what was kept to be known again', async () => {
    return (await respond(stage.urls[1]!, { previous_response_id: id })).status === 200;
  });
});
