// Three data planes that know of each other's troubles: what one has found out spares the others' callers the waiting, one's own trouble
// is not everybody's, and without NATS each decides as it would alone. Only what a caller, an operator and a scraper can see is looked at.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, waitFor } from '#test/harness/cluster.ts';
import { type FakeProviderProcess, startFakeProviderProcess } from '#test/harness/fake-provider/process.ts';
import { complete } from '#test/harness/traffic.ts';

interface ProviderStatus {
  readonly provider: string;
  readonly state: string;
  readonly score: number | null;
  readonly success_share: number | null;
  readonly nodes: readonly { readonly id: string; readonly state: string }[];
}

let cluster: Cluster;
let first: FakeProviderProcess;
let second: FakeProviderProcess;
let key: string;

beforeAll(async () => {
  [cluster, first, second] = await Promise.all([
    Cluster.start({ controlPlanes: 2, dataPlanes: 3 }),
    startFakeProviderProcess(),
    startFakeProviderProcess(),
  ]);
  for (const [name, { baseUrl }] of Object.entries({ first, second })) {
    await cluster.must('POST', '/api/v1/providers', {
      name,
      type: 'openai-compatible',
      base_url: baseUrl,
      allow_private_network: true,
      api_keys: [`sk-${name}-provider-key`],
    });
  }
  await cluster.must('POST', '/api/v1/models', { name: 'm', provider: 'first', model: 'gpt', priority: 1 });
  await cluster.must('POST', '/api/v1/models', { name: 'm', provider: 'second', model: 'gpt', priority: 2 });
  ({ key } = await cluster.must<{ key: string }>('POST', '/api/v1/keys', { name: 'application' }));
  for (const url of urls()) await waitFor(`${url} to answer`, async () => (await ask(url)).status === 200);
});

beforeEach(async () => {
  // Well, and known to be: whatever the test before has done is over.
  await waitFor('everyone to ask the first provider', async () => {
    await Promise.all(urls().map((url) => ask(url)));
    return (await breakers()).every((level) => level === 0);
  });
  await Promise.all([first.reset(), second.reset()]);
});

afterEach(async () => {
  await cluster.nats.kill('SIGCONT');
  await first.setBehaviour('ok');
});

afterAll(async () => {
  await cluster?.stop();
  await Promise.all([first?.stop(), second?.stop()]);
});

const urls = () => cluster.dataPlanes.map(({ url }) => url);
const ask = (url: string) =>
  complete(url, key, { model: 'm', messages: [{ role: 'user', content: 'hello' }] });

/** 0 closed, 1 half open, 2 open, by data plane. Only the deployment at the first provider ever fails here. */
function breakers(): Promise<readonly number[]> {
  return Promise.all(
    urls().map(async (url) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const count = (state: string) =>
        Number(
          new RegExp(`^signalbox_breakers\\{kind="deployment",state="${state}"\\} (\\d+)$`, 'm').exec(
            text,
          )?.[1],
        );
      return count('open') > 0 ? 2 : count('half-open');
    }),
  );
}

async function statusOfFirst(replica: number): Promise<ProviderStatus | undefined> {
  const { body } = await cluster.admin<{ items: ProviderStatus[] }>('GET', '/api/v1/providers/status', {
    replica,
  });
  return body.items.find(({ provider }) => provider === 'first');
}

const callsAt = async (provider: FakeProviderProcess) =>
  (await provider.requests()).filter(({ path }) => path.endsWith('/chat/completions')).length;

describe('a provider that fails', () => {
  test('is found out by one data plane, and within a second the others avoid it', async () => {
    await first.setBehaviour('error-500');
    const [one, ...others] = urls() as [string, ...string[]];
    await waitFor('the first data plane to shut it off', async () => {
      expect((await ask(one)).status).toBe(200);
      return (await breakers())[0] === 2;
    });
    const learnedMs = performance.now();
    await waitFor('the others to know', async () => (await breakers()).every((level) => level > 0));
    expect(performance.now() - learnedMs).toBeLessThan(1000);
    const before = await callsAt(first);
    for (let round = 0; round < 20; round += 1)
      for (const url of others) expect(await ask(url)).toMatchObject({ status: 200, whole: true });
    // Each of them may find out for itself with one request, at the pause's beginning and at its end.
    expect((await callsAt(first)) - before).toBeLessThanOrEqual(2 * others.length);
    expect(await callsAt(second)).toBeGreaterThanOrEqual(20 * others.length);
  });

  test('is shown by every control plane as it is, and as well again when it is', async () => {
    await first.setBehaviour('error-500');
    await waitFor('all data planes to shut it off', async () => {
      await Promise.all(urls().map((url) => ask(url)));
      return (await breakers()).every((level) => level === 2);
    });
    for (const replica of [0, 1]) {
      await waitFor('the status to say so', async () => {
        await Promise.all(urls().map((url) => ask(url)));
        const status = await statusOfFirst(replica);
        return status?.nodes.length === 3 && status.state !== 'up' && (status.success_share ?? 1) < 0.9;
      });
    }
    await first.setBehaviour('ok');
    await waitFor('everyone to ask it again', async () => {
      await Promise.all(urls().map((url) => ask(url)));
      return (await breakers()).every((level) => level === 0);
    });
    await waitFor('no data plane to be called down', async () => {
      const status = await statusOfFirst(1);
      return status?.nodes.length === 3 && status.nodes.every(({ state }) => state !== 'down');
    });
  });
});

test('while NATS is frozen every request is answered as fast as before', async () => {
  const measure = async () => {
    const times: number[] = [];
    for (let round = 0; round < 100; round += 1) {
      for (const url of urls()) {
        const startMs = performance.now();
        expect(await ask(url)).toMatchObject({ status: 200, whole: true });
        times.push(performance.now() - startMs);
      }
    }
    return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)]!;
  };
  await measure();
  const before = await measure();
  await cluster.nats.kill('SIGSTOP');
  const frozen = await measure();
  // A wait for NATS would be seconds; what is left between the two is the noise of a small machine.
  expect(frozen).toBeLessThan(4 * before + 50);
});
