import { beforeEach, describe, expect, test } from 'vitest';
import { ask, errorOf, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, principalOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';

// A client that gives up leaves a fresh connection behind, which nobody has to wait for here.
const { provider, gateway } = gatewayPerTest(() => ({ limits: { lingerMs: 50 } }));

const slow = 'slow-head-150ms';

/** A model that takes so many at once, with so many waiting, and perhaps another one behind it. */
function offer(
  capacity: { concurrencyMax: number; waitingMax: number; waitMsMax: number },
  spare = false,
): void {
  const here = providerOf('here', { baseUrl: provider.baseUrl });
  const there = providerOf('there', { baseUrl: provider.baseUrl });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [
      deploymentOf('m', here, { id: 'limited', upstreamModel: slow, ...capacity }),
      ...(spare ? [deploymentOf('m', there, { id: 'spare', upstreamModel: 'ok', priority: 2 })] : []),
    ],
    routes: [routeOf('r', ['m'])],
  });
}

test('no more than the limit are under way at once, and those who wait are answered in the end', async () => {
  offer({ concurrencyMax: 2, waitingMax: 100, waitMsMax: 10_000 });
  const answers = Array.from({ length: 6 }, () => ask(gateway.url, { model: 'm' }));
  const seen: number[] = [];
  const watch = setInterval(() => seen.push(provider.load().inFlight), 5);
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  clearInterval(watch);
  expect(statuses).toEqual(Array.from({ length: 6 }, () => 200));
  expect(Math.max(...seen)).toBe(2);
});

test('who finds the queue full is told when to come again, unless another target has room', async () => {
  offer({ concurrencyMax: 1, waitingMax: 0, waitMsMax: 1000 });
  const first = ask(gateway.url, { model: 'm' });
  await expect.poll(() => provider.load().inFlight).toBe(1);
  const refused = await ask(gateway.url, { model: 'm' });
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
  expect((await errorOf(refused)).code).toBe('queue_full');
  expect((await first).status).toBe(200);

  offer({ concurrencyMax: 1, waitingMax: 0, waitMsMax: 1000 }, true);
  const busy = ask(gateway.url, { model: 'm' });
  await expect.poll(() => provider.load().inFlight).toBe(1);
  const elsewhere = await ask(gateway.url, { model: 'm' });
  expect(elsewhere.headers.get('x-signalbox-provider')).toBe('there');
  expect((await busy).status).toBe(200);
});

test('whoever leaves while waiting leaves the queue, and its place goes to another', async () => {
  offer({ concurrencyMax: 1, waitingMax: 10, waitMsMax: 10_000 });
  const first = ask(gateway.url, { model: 'm' });
  await expect.poll(() => provider.load().inFlight).toBe(1);
  const leaving = new AbortController();
  const gone = ask(gateway.url, { model: 'm', signal: leaving.signal });
  const last = ask(gateway.url, { model: 'm' });
  leaving.abort();
  await expect(gone).rejects.toThrow();
  expect((await first).status).toBe(200);
  expect((await last).status).toBe(200);
  expect(gateway.ledger.story).toEqual(['completed', 'completed']);
});

describe('those who wait for the one place of a provider', () => {
  const keys = {
    'sb-first': principalOf('key_first', { queuePriority: 0 }),
    'sb-a': principalOf('key_a'),
    'sb-b': principalOf('key_b'),
  };

  beforeEach(() => {
    const capacity = { concurrencyMax: 1, waitingMax: 100, waitMsMax: 60_000 };
    const narrow = { ...providerOf('narrow', { baseUrl: provider.baseUrl }), ...capacity };
    gateway.snapshot = plainSnapshot(provider, {
      deployments: [
        deploymentOf('m', narrow, { upstreamModel: 'ok' }),
        deploymentOf('held', narrow, { upstreamModel: 'never-head' }),
      ],
      keys,
    });
  });

  /** Who is asked for, in the order in which they got to the provider once all of them stood in line. */
  async function served(line: readonly (readonly [keyof typeof keys, string, object?])[]): Promise<string[]> {
    const busy = new AbortController();
    const holder = ask(gateway.url, { model: 'held', signal: busy.signal }).catch(() => undefined);
    await expect.poll(() => gateway.ledger.entries.length).toBe(1);
    const answers: Promise<Response>[] = [];
    for (const [key, name, said] of line) {
      answers.push(ask(gateway.url, { model: 'm', key, more: { 'x-gateway': { tags: [name], ...said } } }));
      await expect.poll(() => gateway.gateway.inFlight).toBe(1 + answers.length);
    }
    expect(gateway.ledger.entries).toHaveLength(1);
    busy.abort();
    await holder;
    for (const answer of answers) expect((await answer).status).toBe(200);
    return gateway.ledger.entries.slice(1).flatMap(({ intent }) => intent.tags);
  }

  test('are served by the urgency of their keys, and equally urgent keys take turns', async () => {
    const order = await served([
      ['sb-a', 'a1'],
      ['sb-a', 'a2'],
      ['sb-a', 'a3'],
      ['sb-b', 'b1'],
      ['sb-first', 'urgent'],
      ['sb-b', 'b2'],
    ]);
    expect(order).toEqual(['urgent', 'a1', 'b1', 'a2', 'b2', 'a3']);
  });

  test('are served later when they say that they have time', async () => {
    const order = await served([
      ['sb-first', 'first has time', { priority: 6 }],
      ['sb-a', 'a has much time', { priority: 9 }],
      ['sb-a', 'a has some time', { priority: 7 }],
      ['sb-b', 'b'],
      ['sb-first', 'first', { priority: 0 }],
    ]);
    expect(order).toEqual(['first', 'b', 'first has time', 'a has some time', 'a has much time']);
  });

  test('cannot say that they are more urgent than their key', async () => {
    const more = { 'x-gateway': { priority: 4 } };
    const refused = await ask(gateway.url, { model: 'm', key: 'sb-a', more });
    expect(refused.status).toBe(400);
    expect(await errorOf(refused)).toMatchObject({ code: 'invalid_request', param: 'x-gateway.priority' });
    expect(gateway.ledger.entries).toHaveLength(0);
  });
});

test('a storm of clients that give up leaves the full capacity behind', async () => {
  offer({ concurrencyMax: 2, waitingMax: 100, waitMsMax: 10_000 });
  const storm = Array.from({ length: 40 }, (_, index) =>
    ask(gateway.url, { model: 'm', stream: index % 2 === 0, signal: AbortSignal.timeout(10 + index * 3) })
      .then((answer) => answer.text())
      .catch(() => undefined),
  );
  await Promise.all(storm);
  await expect.poll(() => gateway.gateway.inFlight).toBe(0);
  const both = await Promise.all([ask(gateway.url, { model: 'm' }), ask(gateway.url, { model: 'm' })]);
  expect(both.map(({ status }) => status)).toEqual([200, 200]);
});
