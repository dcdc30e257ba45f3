// Three data planes that know of each other's troubles: what one has found out spares the others' callers the waiting, one's own trouble
// is not everybody's, and without NATS each decides as it would alone. Only what a caller, an operator and a scraper can see is looked at.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/cluster.ts';
import { callsAt, HealthStage, slowestUsual } from './health-stage.ts';

interface ProviderStatus {
  readonly provider: string;
  readonly state: string;
  readonly score: number | null;
  readonly success_share: number | null;
  readonly nodes: readonly { readonly id: string; readonly state: string }[];
}

let stage: HealthStage;

beforeAll(async () => {
  stage = await HealthStage.start({ controlPlanes: 2 });
});

beforeEach(() => stage.begin());

afterEach(() => stage.cluster.nats.kill('SIGCONT'));

afterAll(() => stage?.stop());

async function statusOfFirst(replica: number): Promise<ProviderStatus | undefined> {
  const { body } = await stage.cluster.admin<{ items: ProviderStatus[] }>('GET', '/api/v1/providers/status', {
    replica,
  });
  return body.items.find(({ provider }) => provider === 'first');
}

describe('a provider that fails', () => {
  test('is found out by one data plane, and within a second the others avoid it', async () => {
    expect(await stage.letOneFindOut()).toBeLessThan(1000);
    const others = stage.urls.slice(1);
    const before = await callsAt(stage.first);
    for (let round = 0; round < 20; round += 1)
      for (const url of others) expect(await stage.ask(url)).toMatchObject({ status: 200, whole: true });
    // Each of them may find out for itself with one request, at the pause's beginning and at its end.
    expect((await callsAt(stage.first)) - before).toBeLessThanOrEqual(2 * others.length);
    expect(await callsAt(stage.second)).toBeGreaterThanOrEqual(20 * others.length);
  });

  test('is shown by every control plane as it is, and as well again when it is', async () => {
    await stage.first.setBehaviour('error-500');
    await waitFor('all data planes to shut it off', async () => {
      await Promise.all(stage.urls.map((url) => stage.ask(url)));
      return (await stage.breakers()).every((level) => level === 2);
    });
    for (const replica of [0, 1]) {
      await waitFor('the status to say so', async () => {
        await Promise.all(stage.urls.map((url) => stage.ask(url)));
        const status = await statusOfFirst(replica);
        return status?.nodes.length === 3 && status.state !== 'up' && (status.success_share ?? 1) < 0.9;
      });
    }
    await stage.first.setBehaviour('ok');
    await waitFor('everyone to ask it again', async () => {
      await Promise.all(stage.urls.map((url) => stage.ask(url)));
      return (await stage.breakers()).every((level) => level === 0);
    });
    await waitFor('no data plane to be called down', async () => {
      const status = await statusOfFirst(1);
      return status?.nodes.length === 3 && status.nodes.every(({ state }) => state !== 'down');
    });
  });
});

test('while NATS is frozen every request is answered as fast as before', async () => {
  const calls = Array.from({ length: 100 }, () =>
    stage.urls.map((url) => async () => {
      expect(await stage.ask(url)).toMatchObject({ status: 200, whole: true });
    }),
  ).flat();
  const measure = () => slowestUsual(calls);
  await measure();
  const before = await measure();
  await stage.cluster.nats.kill('SIGSTOP');
  const frozen = await measure();
  // A wait for NATS would be seconds; what is left between the two is the noise of a small machine.
  expect(frozen).toBeLessThan(4 * before + 50);
});
