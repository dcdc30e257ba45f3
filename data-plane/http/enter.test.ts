import { expect, test } from 'vitest';
import { ask, errorOf, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';

const { provider, gateway } = gatewayPerTest();

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
