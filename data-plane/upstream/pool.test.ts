import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeProvider, startFakeProvider } from '#test/harness/fake-provider/index.ts';
import { freePort } from '#test/harness/process.ts';
import {
  type ObservedExchange,
  type ObserveOptions,
  observe,
  originAt,
} from '#test/harness/upstream-exchange.ts';
import { createUpstreamClient, type UpstreamClient, type UpstreamClientOptions } from './client.ts';

let provider: FakeProvider;
let client: UpstreamClient;

beforeEach(async () => {
  provider = await startFakeProvider();
});
afterEach(async () => {
  client.close();
  await provider.stop();
});

function use(options: UpstreamClientOptions = {}) {
  client = createUpstreamClient(options);
  return (model: string, change: Partial<ObserveOptions> = {}): ObservedExchange => {
    const body = [Buffer.from(JSON.stringify({ model, messages: [] }))];
    return observe(client, { origin: originAt(provider.port), body, ...change });
  };
}

describe('more exchanges than connections', () => {
  test('are all served, in order, over no more than the limit', async () => {
    const call = use({ connectionsPerOriginMax: 4 });
    const finished: number[] = [];
    const exchanges = Array.from({ length: 200 }, async (_, index) => {
      const { body } = await call('ok').over;
      expect(body).toContain('word5');
      finished.push(index);
    });
    await Promise.all(exchanges);
    expect(provider.load().accepted).toBe(4);
    for (const [place, index] of finished.entries()) expect(Math.abs(place - index)).toBeLessThanOrEqual(8);
  });

  test('fail when none becomes free in time, without having been sent', async () => {
    const call = use({ connectionsPerOriginMax: 1, connectTimeoutMs: 200 });
    call('never-head');
    const { error, call: waiting } = await call('ok').over;
    expect(error).toMatchObject({
      code: 'upstream_timeout',
      message: expect.stringContaining('All 1 connections'),
    });
    expect(waiting.requestSent).toBe(false);
    expect(provider.requests()).toHaveLength(1);
  });

  test('go on when a connection breaks', async () => {
    const call = use({ connectionsPerOriginMax: 1 });
    const broken = call('cut-at-byte-0');
    const next = call('ok');
    expect((await broken.over).code).toBe('upstream_unreachable');
    expect((await next.over).ended).toBe(true);
  });

  test('to a server that refuses connections all fail', async () => {
    const call = use({ connectionsPerOriginMax: 2 });
    const origin = originAt(await freePort());
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => call('ok', { origin }).over));
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(['upstream_unreachable']));
  });
});

test('a connection that came too late for anybody is kept for the next', async () => {
  const lookups = [Promise.resolve(['127.0.0.1']), Promise.withResolvers<string[]>()] as const;
  let asked = 0;
  const call = use({ resolve: () => (asked++ === 0 ? lookups[0] : lookups[1].promise) });
  const origin = originAt(provider.port, { host: 'provider.test' });
  await call('ok', { origin }).over;
  // The third exchange waits for a second connection, and gets the first one back before that is there.
  await Promise.all([call('ok', { origin }).over, call('ok', { origin }).over]);
  const busy = call('slow-head-400ms', { origin });
  await expect.poll(() => provider.load().inFlight).toBe(1);
  lookups[1].resolve(['127.0.0.1']);
  await busy.over;
  expect(provider.load()).toMatchObject({ accepted: 2, open: 2 });
});

describe('an exchange given up before it has a connection', () => {
  test('while the name is resolved calls the dialling off', async () => {
    const resolving = Promise.withResolvers<readonly string[]>();
    const call = use({ resolve: () => resolving.promise });
    const origin = originAt(provider.port, { host: 'provider.test' });
    const exchange = call('ok', { origin });
    exchange.call.pause();
    exchange.call.abort();
    resolving.resolve(['127.0.0.1']);
    expect((await call('ok').over).ended).toBe(true);
    expect(provider.load().accepted).toBe(1);
    expect(exchange.callbacks).toEqual([]);
  });

  test('while it stands in line leaves the line', async () => {
    const call = use({ connectionsPerOriginMax: 1 });
    const first = call('slow-head-100ms');
    const second = call('ok');
    const third = call('ok');
    second.call.abort();
    expect((await first.over).ended).toBe(true);
    expect((await third.over).ended).toBe(true);
    expect(provider.requests()).toHaveLength(2);
    expect(second.callbacks).toEqual([]);
  });

  test('paused there begins paused', async () => {
    const call = use();
    const paused = call('ok');
    paused.call.pause();
    expect((await call('slow-head-100ms').over).ended).toBe(true);
    expect(paused.callbacks).toEqual([]);
    paused.call.resume();
    expect((await paused.over).callbacks).toEqual(['head', 'data', 'end']);
  });
});

test('a storm of aborts and time-outs leaves the full capacity behind', async () => {
  const call = use({ connectionsPerOriginMax: 8 });
  for (let round = 0; round < 10; round++) {
    const storm = Array.from({ length: 20 }, (_, index) =>
      call(index % 2 === 0 ? 'never-head' : 'pause-1ms', { headTimeoutMs: 5 }),
    );
    for (const [index, exchange] of storm.entries()) if (index % 3 !== 0) exchange.call.abort();
    await Promise.all(storm.filter((exchange) => exchange.callbacks.length > 0).map(({ over }) => over));
    for (const exchange of storm) exchange.call.abort();
  }
  await expect.poll(() => provider.load().inFlight).toBe(0);
  const exchanges = Array.from({ length: 8 }, () => call('slow-head-50ms'));
  await expect.poll(() => provider.load().inFlight).toBe(8);
  for (const exchange of exchanges) expect((await exchange.over).ended).toBe(true);
});
