import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { type Ask, ask, errorOf, plainSnapshot } from '#test/harness/gateway.ts';
import { deploymentOf, providerOf, routeOf } from '#test/harness/snapshots.ts';
import { gatewayPerTest } from '#test/harness/stage.ts';
import { anthropic } from '../../providers/anthropic.ts';
import { demoProvider } from '../../providers/demo.ts';
import type { Deployment, HedgeSettings, Route } from '../../snapshot/snapshot.ts';

const { provider, gateway } = gatewayPerTest();

/** More than there can be to hedge. */
const always: HedgeSettings = { delayMs: 30, requestShareMax: 10, spendShareMax: 10 };

interface Offer extends Partial<Route> {
  readonly deployment?: Partial<Deployment>;
}

/** A route over models that are scripts, each at a provider of its own. */
function offer(members: readonly string[], { deployment = {}, ...route }: Offer = {}): void {
  const deployments = members.map((script, index) =>
    deploymentOf(script, providerOf(`p${index}`, { baseUrl: provider.baseUrl }), {
      id: `d${index}`,
      ...deployment,
    }),
  );
  gateway.snapshot = plainSnapshot(provider, {
    deployments,
    routes: [{ ...routeOf('smart', members), hedge: always, ...route }],
  });
}

const smart = (options: Ask = {}) => ask(gateway.url, { model: 'smart', ...options });
const counted = async () => {
  const text = await gateway.metrics.render();
  return Object.fromEntries(
    [...text.matchAll(/^signalbox_hedges_total\{outcome="(\w+)"\} (\d+)/gm)].map(([, outcome, count]) => [
      outcome,
      Number(count),
    ]),
  );
};

async function textOf(response: Response): Promise<string> {
  const body = await response.text();
  if (!body.startsWith('data:')) {
    return (JSON.parse(body) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
  }
  const data = body.split('\n\n').flatMap((event) => event.split('data: ')[1] ?? []);
  expect(data.filter((text) => text === '[DONE]')).toHaveLength(1);
  const chunks = data.filter((text) => text !== '[DONE]').map((text) => JSON.parse(text) as Chunk);
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  return chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? '')).join('');
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly content?: string | null } }[];
}

describe.each([
  ['a stream', true],
  ['a whole answer', false],
])('%s that is slow to begin', (_, stream) => {
  test('comes from the second, once and clean, and the first is called off', async () => {
    offer(['never-head', 'ok.chunks-3']);
    const response = await smart({ stream, headers: { 'x-signalbox-debug': 'true' } });
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'p1']);
    expect(response.headers.get('x-signalbox-attempts')).toBe('2');
    expect(response.headers.get('x-signalbox-trail')).toMatch(
      /^d0 at \d+ ms, [^;]+: hedge_lost after \d+ ms; d1 at \d+ ms, beside d0, silent for 30 ms: (asked|answered after \d+ ms)$/,
    );
    expect((await textOf(response)).length).toBeGreaterThan(0);
    expect(gateway.ledger.story).toEqual(['cancelled hedge_lost', 'completed']);
    await expect
      .poll(() => provider.bill().map(({ finished, aborted }) => ({ finished, aborted })))
      .toEqual([
        { finished: false, aborted: true },
        { finished: true, aborted: false },
      ]);
    expect(await counted()).toEqual({ won: 1 });
  });

  test('comes from the first when that is faster after all', async () => {
    offer(['slow-head-80ms.chunks-3', 'never-head']);
    const response = await smart({ stream });
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'p0']);
    await textOf(response);
    await expect.poll(() => gateway.ledger.story).toEqual(['completed', 'cancelled hedge_lost']);
    await expect.poll(() => provider.bill().map(({ aborted }) => aborted)).toEqual([false, true]);
    expect(await counted()).toEqual({ lost: 1 });
  });
});

test('who answers in this process can be overtaken, and can overtake', async () => {
  const here = providerOf('demo', { kind: demoProvider });
  const there = providerOf('there', { baseUrl: provider.baseUrl });
  const routeOver = (members: readonly string[]) => ({ ...routeOf(members[0]!, members), hedge: always });
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [
      deploymentOf('slow', here, { upstreamModel: 'demo-slow' }),
      deploymentOf('fast', here, { upstreamModel: 'demo' }),
      deploymentOf('never', there, { upstreamModel: 'never-head' }),
    ],
    routes: [routeOver(['slow', 'ok']), routeOver(['never', 'fast'])].map((route, index) => ({
      ...route,
      slug: `smart-${index}`,
    })),
  });
  for (const model of ['smart-0', 'smart-1']) {
    await textOf(await ask(gateway.url, { model }));
  }
  await expect
    .poll(() => gateway.ledger.story)
    .toEqual(['cancelled hedge_lost', 'completed', 'cancelled hedge_lost', 'completed']);
});

test('what the second could not be asked for is told when it is the answer', async () => {
  const claude = providerOf('claude', { baseUrl: provider.baseUrl, kind: anthropic('anthropic') });
  const members = ['never-head', 'ok.chunks-3'];
  offer(members);
  const { routes } = gateway.snapshot!;
  gateway.snapshot = plainSnapshot(provider, {
    deployments: [
      deploymentOf(members[0]!, providerOf('p0', { baseUrl: provider.baseUrl })),
      deploymentOf(members[1]!, claude),
    ],
    routes: [routes.get('smart')!],
  });
  const response = await smart({ more: { logprobs: true, 'x-gateway': { drop_unsupported: true } } });
  expect(response.headers.get('x-signalbox-provider')).toBe('claude');
  expect(response.headers.get('x-signalbox-dropped')).toBe('logprobs');
});

describe('when nothing can be written down', () => {
  const refusal = new SignalboxError('ledger_unavailable', 'The disk is full.');

  test('a second attempt is not made, and the first goes on', async () => {
    offer(['slow-head-90ms', 'ok'], { deployment: { concurrencyMax: 1 } });
    const asked = smart();
    await expect.poll(() => gateway.ledger.story, { interval: 5 }).toEqual(['open']);
    gateway.ledger.refusal = refusal;
    const response = await asked;
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'p0']);
    expect(gateway.ledger.story).toEqual(['completed']);
    expect(provider.bill()).toHaveLength(1);
    gateway.ledger.refusal = undefined;
    // Its place is free again.
    expect((await ask(gateway.url, { model: 'ok' })).status).toBe(200);
  });

  test('the first is not made either, as always', async () => {
    offer(['ok', 'ok.chunks-9']);
    gateway.ledger.refusal = refusal;
    const response = await smart();
    expect([response.status, (await errorOf(response)).code]).toEqual([503, 'ledger_unavailable']);
  });
});

test('is left alone when it begins in time', async () => {
  offer(['ok', 'ok.chunks-9'], { hedge: { ...always, delayMs: 60_000 } });
  await textOf(await smart({ stream: true }));
  expect(gateway.ledger.story).toEqual(['completed']);
  expect(await counted()).toEqual({});
});

describe('when attempts fail', () => {
  test('before the delay, the next is asked at once, as always', async () => {
    offer(['error-503', 'ok'], { hedge: { ...always, delayMs: 60_000 } });
    await textOf(await smart());
    expect(gateway.ledger.story).toEqual(['failed upstream_overloaded', 'completed']);
  });

  test('both of them, the one after them is asked', async () => {
    offer(['slow-head-80ms.error-503', 'slow-head-20ms.error-500', 'ok.chunks-2']);
    const response = await smart({ headers: { 'x-signalbox-debug': 'true' } });
    expect([response.status, response.headers.get('x-signalbox-attempts')]).toEqual([200, '3']);
    expect(response.headers.get('x-signalbox-trail')).toContain('d2');
    expect(gateway.ledger.story).toEqual([
      'failed upstream_overloaded',
      'failed upstream_error',
      'completed',
    ]);
    expect(await counted()).toEqual({ failed: 1 });
  });

  test('and nobody else is left, the client hears the more informative of the two', async () => {
    offer(['slow-head-80ms.error-503', 'slow-head-20ms.error-401']);
    const response = await smart();
    expect(response.status).toBeGreaterThanOrEqual(500);
    expect(gateway.ledger.story).toEqual(['failed upstream_overloaded', 'failed upstream_unauthorized']);
  });

  test('the second finding the caller at fault takes no answer away from the first', async () => {
    offer(['slow-head-90ms.chunks-2', 'error-400']);
    const response = await smart();
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([200, 'p0']);
    expect(gateway.ledger.story).toEqual(['completed', expect.stringMatching(/^failed /)]);
  });

  test('the first finding the caller at fault ends it, in its own words', async () => {
    offer(['slow-head-80ms.error-400', 'never-head', 'ok']);
    const response = await smart();
    expect([response.status, response.headers.get('x-signalbox-provider')]).toEqual([400, 'p0']);
    expect(gateway.ledger.story).toEqual([expect.stringMatching(/^failed /), 'cancelled hedge_lost']);
  });

  test('of the second after it has won, the stream ends with an error, or goes on at a third', async () => {
    const members = ['never-head', 'cut-after-2', 'ok.chunks-3'];
    offer(members);
    expect(await (await smart({ stream: true })).text()).toContain('"code":"upstream_truncated"');
    expect(gateway.ledger.story).toEqual(['cancelled hedge_lost', 'failed upstream_truncated']);
    offer(members, { streamRecovery: 'continue' });
    expect((await textOf(await smart({ stream: true }))).length).toBeGreaterThan(0);
    expect(gateway.ledger.story.slice(2)).toEqual([
      'cancelled hedge_lost',
      'failed upstream_truncated',
      'completed',
    ]);
  });
});

describe('when it has to stop', () => {
  test('because the client leaves, both are called off and nothing is held', async () => {
    offer(['never-head', 'never-head.fin'], { concurrencyMax: 2, deployment: { concurrencyMax: 1 } });
    const leaving = new AbortController();
    const asked = smart({ signal: leaving.signal });
    await expect.poll(() => gateway.ledger.story).toEqual(['open', 'open']);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => gateway.gateway.inFlight).toBe(0);
    expect(gateway.ledger.story).toEqual(['cancelled client_closed', 'cancelled client_closed']);
    await expect.poll(() => provider.bill().every(({ aborted }) => aborted)).toBe(true);
    // Both places are free again: the same request gets as far as before.
    const again = new AbortController();
    const repeated = smart({ signal: again.signal });
    await expect.poll(() => gateway.ledger.story.slice(2)).toEqual(['open', 'open']);
    again.abort();
    await expect(repeated).rejects.toThrow();
  });

  test('because the time is up, both end with that', async () => {
    offer(['never-head', 'never-head.fin'], { timeoutMs: 150 });
    const response = await smart();
    expect(response.status).toBe(504);
    expect(gateway.ledger.story).toEqual(['failed deadline_exceeded', 'failed deadline_exceeded']);
  });

  test('because this instance does, both end with that', async () => {
    offer(['never-head', 'never-head.fin']);
    const asked = smart();
    await expect.poll(() => gateway.ledger.story).toEqual(['open', 'open']);
    await gateway.gateway.close({ drainMs: 0 });
    expect((await asked).status).toBe(503);
    expect(gateway.ledger.story).toEqual(['failed draining', 'failed draining']);
  });

  test('each has the time that it would have alone', async () => {
    offer(['never-head', 'never-head.fin', 'ok'], { deployment: { timeoutMs: 90 } });
    await textOf(await smart());
    expect(gateway.ledger.story).toEqual(['failed upstream_timeout', 'failed upstream_timeout', 'completed']);
  });
});
