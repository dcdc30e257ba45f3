// Several nodes and what they make of each other's news: in one process with a clock that the test moves, and over a real NATS server.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Bus, healthSubject } from '#shared/bus/bus.ts';
import { createInProcessBroadcast } from '#shared/bus/in-process-broadcast.ts';
import { openJetStreamBus } from '#shared/bus/jetstream.ts';
import { joinBroadcasts } from '#shared/bus/joint-broadcast.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { encodeDigest } from '#shared/health/digest.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { asked, digestOf, failedOften, reportOf } from '#test/harness/health-reports.ts';
import { type NatsServer, startNats } from '#test/harness/nats.ts';
import { RoutingState } from '../routing-state.ts';
import type { HealthBook } from './health-book.ts';
import { type HealthSharing, type HealthSharingOptions, startHealthSharing } from './sharing.ts';
import type { Subject } from './vitals.ts';

const log = createLogger('silent');
const it: readonly Subject[] = ['deployment:m:p:m', 'provider:p'];
const [deployment] = it as [Subject];

interface Node {
  readonly health: HealthBook;
  readonly sharing: HealthSharing;
  readonly metrics: Metrics;
}

const running: HealthSharing[] = [];

function startNode(nodeId: string, options: Pick<HealthSharingOptions, 'broadcast' | 'clock'>): Node {
  const { health } = new RoutingState();
  const metrics = new Metrics();
  const random = () => 0.5;
  const sharing = startHealthSharing({ health, nodeId, region: '', random, log, metrics, ...options });
  running.push(sharing);
  return { health, sharing, metrics };
}

afterEach(() => {
  for (const sharing of running.splice(0)) sharing.close();
});

describe('nodes of one fleet', () => {
  const clock: Clock = { wallMs: () => 1_900_000_000_000 + Date.now(), monotonicMs: () => Date.now() };
  let broadcast: ReturnType<typeof createInProcessBroadcast>;
  let nodes: Record<'a' | 'b' | 'c', Node>;

  beforeEach(async () => {
    vi.useFakeTimers({ now: 1_000_000 });
    broadcast = createInProcessBroadcast(log);
    const start = (name: string) => startNode(name, { broadcast, clock });
    nodes = { a: start('a'), b: start('b'), c: start('c') };
    await pass(limits.healthDigestMs * 1.5);
  });
  afterEach(() => vi.useRealTimers());

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  const at = () => clock.monotonicMs();
  const breakerAt = (node: Node) => node.health.read(deployment, at()).breaker;

  test('hear at once, and not a second later, that one of them has shut someone off', async () => {
    failedOften(nodes.a.health, it, at());
    expect(breakerAt(nodes.a)).toBe('open');
    await pass(limits.healthUrgentMs + 10);
    expect([breakerAt(nodes.b), breakerAt(nodes.c)]).toEqual(['half-open', 'half-open']);
  });

  test('let one request find out whether the trouble is only another’s, and go on when it succeeds', async () => {
    const { health } = nodes.b;
    failedOften(nodes.a.health, it, at());
    await pass(200);
    expect(health.isAvailable(deployment, at())).toBe(true);
    health.began(it, true, at());
    expect(health.isAvailable(deployment, at())).toBe(false);
    health.ended(it, {
      nowMs: at(),
      outcome: 'success',
      latencyMs: 10,
      isStream: true,
      firstByteMs: 5,
      tokens: 0,
      error: undefined,
    });
    expect(health.isAvailable(deployment, at())).toBe(true);
    expect(breakerAt(nodes.b)).toBe('closed');
    // The other goes on having its trouble; that changes nothing here.
    for (let round = 0; round < 20; round += 1) {
      await pass(1000);
      asked(nodes.a.health, it, 'failure', at());
      asked(health, it, 'success', at());
      expect(breakerAt(nodes.b)).toBe('closed');
    }
  });

  test('ask no more when their own request fails as well', async () => {
    const { health } = nodes.b;
    failedOften(nodes.a.health, it, at());
    await pass(200);
    asked(health, it, 'failure', at());
    expect(health.isAvailable(deployment, at())).toBe(false);
    expect(breakerAt(nodes.b)).toBe('open');
  });

  test('ask no more when two others have shut it off, until their pauses are over', async () => {
    failedOften(nodes.a.health, it, at());
    failedOften(nodes.b.health, it, at());
    await pass(200);
    const { health } = nodes.c;
    expect(health.isAvailable(deployment, at())).toBe(false);
    expect(health.read(deployment, at()).coolingUntilMs).toBeGreaterThan(at());
    await pass(limits.breakerPauseMsMin);
    expect(health.isAvailable(deployment, at())).toBe(true);
    expect(breakerAt(nodes.c)).toBe('half-open');
  });

  test('come back with the one that found it well again', async () => {
    failedOften(nodes.a.health, it, at());
    await pass(limits.breakerPauseMsMin + 100);
    for (let probe = 0; probe < limits.breakerProbesMax; probe += 1)
      asked(nodes.a.health, it, 'success', at());
    expect(breakerAt(nodes.a)).toBe('closed');
    await pass(1500);
    expect(breakerAt(nodes.b)).toBe('closed');
  });

  test('rest a key that told one of them to wait', async () => {
    nodes.a.health.rest('key:k', at() + 5000, at());
    await pass(200);
    const resting = nodes.b.health.read('key:k', at()).coolingUntilMs - at();
    expect(resting).toBeGreaterThan(4500);
    expect(resting).toBeLessThanOrEqual(5000);
  });

  test('know how fast someone is whom only others have asked', async () => {
    for (let times = 0; times < 10; times += 1) asked(nodes.a.health, it, 'success', at());
    await pass(1500);
    const vitals = nodes.c.health.read(deployment, at());
    expect(vitals.weight).toBeGreaterThan(4);
    expect(vitals.firstByteMs).toBeCloseTo(10);
  });

  test('forget what a node said that has fallen silent', async () => {
    failedOften(nodes.a.health, it, at());
    await pass(200);
    nodes.a.sharing.close();
    expect(breakerAt(nodes.b)).toBe('half-open');
    await pass(limits.healthDigestLifeMs);
    expect(breakerAt(nodes.b)).toBe('closed');
  });

  test('speak no oftener than they should, however much happens', async () => {
    let heard = 0;
    broadcast.listen(healthSubject, () => {
      heard += 1;
    });
    for (let step = 0; step < 100; step += 1) {
      nodes.a.health.rest(`key:k${step}`, at() + 60_000, at());
      await pass(10);
    }
    expect(heard).toBeGreaterThanOrEqual(9);
    expect(heard).toBeLessThanOrEqual(16);
  });

  test('are not moved by what is no digest, nor by their own', async () => {
    const open = [reportOf(deployment, { breaker: 'open', openMs: 60_000, troubledMs: 1 })];
    const sayings = [
      Buffer.from('nonsense'),
      encodeDigest(digestOf('', open)),
      encodeDigest(digestOf('b', open, { boot: 2n ** 62n })),
    ];
    for (const saying of sayings) broadcast.announce(healthSubject, saying);
    await pass(50);
    expect(breakerAt(nodes.b)).toBe('closed');
    expect(await nodes.b.metrics.render()).toMatch(/digests_total\{outcome="refused"\} 2/);
  });

  test('who hear each other over two buses count every digest once', async () => {
    const both = joinBroadcasts([broadcast, createInProcessBroadcast(log)]);
    const [one, other] = [
      startNode('one', { broadcast: both, clock }),
      startNode('other', { broadcast: both, clock }),
    ];
    await pass(limits.healthDigestMs * 5.5);
    const outcomes = async ({ metrics }: Node) =>
      Object.fromEntries(
        [...(await metrics.render()).matchAll(/digests_total\{outcome="(\w+)"\} (\d+)/g)].map((match) => [
          match[1],
          Number(match[2]),
        ]),
      );
    // Five of the other one over each bus, and five of the three that have only the first.
    for (const node of [one, other])
      expect(await outcomes(node)).toEqual({ sent: 5, taken: 5 + 3 * 5, known: 5 });
  });

  test('show in their metrics whom they ask', async () => {
    failedOften(nodes.a.health, it, at());
    await pass(200);
    expect(await nodes.a.metrics.render()).toContain('signalbox_breaker_state{provider="p"} 2');
  });
});

describe('three nodes over NATS', () => {
  let server: NatsServer;
  let buses: readonly Bus[];
  let nodes: readonly [Node, Node, Node];

  const nowMs = () => systemClock.monotonicMs();
  const breakers = () => nodes.map(({ health }) => health.read(deployment, nowMs()).breaker);

  beforeAll(async () => {
    server = await startNats();
    const open = () => openJetStreamBus({ url: server.url, clientName: 'test', log, bytesMax: 10_000_000 });
    buses = [open(), open(), open()];
    const connected = () => expect(buses.map(({ state }) => state)).toEqual(buses.map(() => 'connected'));
    await vi.waitFor(connected, { timeout: 20_000 });
  });
  beforeEach(async () => {
    const start = (index: number) =>
      startNode(`node-${index}`, { broadcast: buses[index]!.broadcast, clock: systemClock });
    nodes = [start(0), start(1), start(2)];
    const hearing = async ({ metrics }: Node) => /outcome="taken"/.test(await metrics.render());
    await expect
      .poll(async () => Promise.all(nodes.map(hearing)), { timeout: 5000 })
      .toEqual([true, true, true]);
  });
  afterAll(async () => {
    await server.kill('SIGCONT');
    await Promise.all(buses.map((bus) => bus.close()));
    await server[Symbol.asyncDispose]();
  });

  test('one learns that someone is ill, and within a second the others know', async () => {
    const learnedMs = nowMs();
    failedOften(nodes[0].health, it, learnedMs);
    await expect.poll(breakers, { interval: 5, timeout: 5000 }).toEqual(['open', 'half-open', 'half-open']);
    expect(nowMs() - learnedMs).toBeLessThan(1000);
    for (const { health } of nodes.slice(1)) asked(health, it, 'failure', nowMs());
    expect(nodes.map(({ health }) => health.isAvailable(deployment, nowMs()))).toEqual([false, false, false]);
  });

  test('a server that is frozen changes no decision and holds none up', async () => {
    const { health } = nodes[1];
    asked(health, it, 'success', nowMs());
    await server.kill('SIGSTOP');
    const before = median(decisionTimes(health));
    failedOften(nodes[0].health, it, nowMs());
    const frozen: number[] = [];
    const endMs = nowMs() + 1500;
    await vi.waitUntil(
      () => {
        frozen.push(...decisionTimes(health));
        asked(health, it, 'success', nowMs());
        return nowMs() > endMs;
      },
      { interval: 20, timeout: 10_000 },
    );
    expect(breakers().slice(1)).toEqual(['closed', 'closed']);
    // Microseconds both; a wait for the server would be milliseconds at least.
    expect(percentile(frozen, 0.99)).toBeLessThan(before * 50 + 0.5);
    await server.kill('SIGCONT');
  });
});

function decisionTimes(health: HealthBook): number[] {
  return Array.from({ length: 100 }, () => {
    const startMs = performance.now();
    const atMs = systemClock.monotonicMs();
    health.isAvailable(deployment, atMs);
    health.read(deployment, atMs);
    return performance.now() - startMs;
  });
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor((values.length - 1) * share)]!;
}
