import { describe, expect, test } from 'vitest';
import { type Ask, ask, goodKey, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropic } from '../../providers/anthropic.ts';
import { compatible } from '../../providers/compatible.ts';
import type { Deployment, HedgeSettings, Route } from '../../snapshot/snapshot.ts';

const { provider, gateway } = gatewayPerTest();

const always: HedgeSettings = { delayMs: 20, requestShareMax: 10, spendShareMax: 10 };
/** One that is slow, and one that is not. */
const members = ['slow-head-60ms', 'ok.chunks-3'];

function offer(route: Partial<Route> = {}, deployments: readonly Partial<Deployment>[] = []): void {
  gateway.snapshot = plainSnapshot(provider, {
    deployments: members.map((script, index) =>
      deploymentOf(script, providerOf(`p${index}`, { baseUrl: provider.baseUrl }), {
        id: `d${index}`,
        ...deployments[index],
      }),
    ),
    routes: [{ ...routeOf('smart', members), hedge: always, ...route }],
  });
}

async function answer(options: Ask = {}): Promise<string | null> {
  const response = await ask(gateway.url, { model: 'smart', ...options });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get('x-signalbox-provider');
}

const hedges = async (outcome: string) => {
  const text = await gateway.metrics.render();
  return Number(
    new RegExp(`^signalbox_hedges_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0,
  );
};

describe('the share of a route', () => {
  test('of requests is kept, however many are slow', async () => {
    offer({ hedge: { ...always, requestShareMax: 0.1 } });
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => answer()));
    }
    const second = gateway.ledger.entries.filter(({ intent }) => intent.deployment === 'd1').length;
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(10);
    expect((await hedges('won')) + (await hedges('lost'))).toBe(second);
    expect(await hedges('no_budget')).toBe(100 - second);
  });

  test('of what it costs is kept, by what answers have come to', async () => {
    const price = { input: 10, inputCacheRead: 10, output: 10 };
    offer({ hedge: { ...always, spendShareMax: 0.001 } }, [{ price }, { price }]);
    for (let request = 0; request < 5; request += 1) await answer();
    expect(await hedges('no_budget')).toBe(5);
    offer({ hedge: always }, [{ price }, { price }]);
    await Promise.all(Array.from({ length: 60 }, () => answer()));
    await answer();
    expect(await hedges('won')).toBeGreaterThan(0);
  });

  test('is not taken where there is no room at once', async () => {
    offer({}, [{}, { concurrencyMax: 1, waitingMax: 100, waitMsMax: 10_000 }]);
    const holding = new AbortController();
    provider.setBehaviour('never-head', { model: members[1]!, times: 1 });
    const held = ask(gateway.url, { model: members[1]!, signal: holding.signal }).catch(() => undefined);
    await expect.poll(() => provider.bill().length).toBe(1);
    expect(await answer()).toBe('p0');
    expect(await hedges('no_target')).toBe(1);
    holding.abort();
    await held;
  });
});

describe('how long is waited', () => {
  test('is what nineteen of twenty streams need, once that is known', async () => {
    offer({ hedge: { ...always, delayMs: undefined } });
    provider.setBehaviour('slow-head-1ms', { model: members[0]! });
    // Whoever is asked beside the first by chance, while everybody is measured, does not win.
    provider.setBehaviour('never-head', { model: members[1]! });
    for (let request = 0; request < 30; request += 1) expect(await answer({ stream: true })).toBe('p0');
    await expect.poll(() => gateway.ledger.story.includes('open')).toBe(false);
    const before = gateway.ledger.entries.length;
    provider.setBehaviour('never-head', { model: members[0]! });
    provider.setBehaviour('ok', { model: members[1]! });
    expect(await answer({ stream: true })).toBe('p1');
    expect(gateway.ledger.story.slice(before)).toEqual(['cancelled hedge_lost', 'completed']);
    expect(gateway.ledger.entries.at(-1)!.intent.trail).toMatch(/^beside d0, silent for \d+ ms$/);
  });

  test('is for whole answers what somebody has set, and nothing else', async () => {
    offer({ hedge: { ...always, delayMs: undefined } });
    for (let request = 0; request < 25; request += 1) await answer();
    expect(provider.bill().every(({ model }) => model === members[0])).toBe(true);
  });
});

describe('what must not be sent twice is not', () => {
  test.each<[string, object]>([
    ['several answers', { n: 2 }],
    ['an answer that is kept', { store: true }],
    ['a search that the provider runs', { web_search_options: {} }],
    ['a tool that the provider runs', { tools: [{ type: 'web_search' }] }],
    [
      'an uploaded file',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
    ],
  ])('%s', async (_, more) => {
    offer();
    await answer({ more });
    expect(provider.bill()).toHaveLength(1);
    expect(await hedges('no_target')).toBe(0);
  });

  test('a response of the Responses API', async () => {
    offer();
    await post('/v1/responses', { model: 'smart', input: 'Hello' });
    expect(provider.bill()).toHaveLength(1);
  });

  test('while embeddings are', async () => {
    const kind = compatible('openai', { services: ['embeddings'] });
    const at = (name: string) => providerOf(name, { baseUrl: provider.baseUrl, kind });
    offer({}, [{ provider: at('one') }, { provider: at('two') }]);
    const response = await post('/v1/embeddings', { model: 'smart', input: 'Hello' });
    expect(response.headers.get('x-signalbox-attempts')).toBe('2');
  });

  async function post(path: string, body: object): Promise<Response> {
    const response = await fetch(gateway.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${goodKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await response.text();
    return response;
  }
});

test('who cannot be asked for a field is not asked beside anybody either', async () => {
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  offer({}, [{}, { provider: claude }]);
  expect(await answer({ more: { logprobs: true } })).toBe('p0');
  expect(gateway.ledger.story).toEqual(['completed']);
  expect(await hedges('no_target')).toBe(1);
});
