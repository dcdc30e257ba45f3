import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import { createLogger } from '#shared/log.ts';
import { Metrics } from '#shared/metrics.ts';
import { asked, failedOften } from '#test/harness/health-reports.ts';
import { deploymentOf, providerOf, snapshotOf } from '#test/harness/snapshots.ts';
import { deploymentSubject } from '../members.ts';
import { RoutingState } from '../routing-state.ts';
import type { HealthBook } from './health-book.ts';
import { type ProbeFinding, type Probing, startProbing } from './probes.ts';
import type { Subject } from './vitals.ts';

const clock: Clock = { wallMs: () => Date.now(), monotonicMs: () => Date.now() };
const remote = providerOf('remote', { baseUrl: 'http://127.0.0.1:9/v1' });
const deployment = deploymentOf('m', remote);
const unused = providerOf('unused', { baseUrl: 'http://127.0.0.1:9/v1' });
const snapshot = snapshotOf({
  deployments: [deployment, deploymentOf('local', providerOf('local'))],
  providers: [unused],
});
const it: readonly Subject[] = [deploymentSubject(deployment), 'provider:remote'];

let health: HealthBook;
let metrics: Metrics;
let probing: Probing;
/** When each provider was probed. */
let probed: [provider: string, atMs: number][];
let answer: (provider: string) => Promise<ProbeFinding>;

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  ({ health } = new RoutingState());
  metrics = new Metrics();
  probed = [];
  answer = async () => 'up';
  probing = startProbing({
    health,
    snapshot: () => snapshot,
    probe: (provider) => {
      probed.push([provider, Date.now()]);
      return answer(provider);
    },
    clock,
    random: () => 0.5,
    log: createLogger('silent'),
    metrics,
  });
  asked(health, it, 'success', Date.now());
  await pass(1000);
});
afterEach(() => {
  probing.close();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const breaker = (subject: Subject) => health.read(subject, Date.now()).breaker;
/** Opens again and again, so that the pause is long. */
function openForLong(): void {
  failedOften(health, it, Date.now());
  for (let round = 0; round < 5; round += 1) {
    vi.setSystemTime(health.read('provider:remote', Date.now()).coolingUntilMs);
    asked(health, it, 'failure', Date.now());
  }
}

describe('a provider', () => {
  test('that is being used is not probed', async () => {
    for (let minute = 0; minute < 5; minute += 1) {
      for (let second = 0; second < 60; second += 10) {
        asked(health, it, 'success', Date.now());
        await pass(10_000);
      }
    }
    expect(probed).toEqual([]);
  });

  test('that nobody asks is probed about once a minute; one that no deployment leads to never is', async () => {
    await pass(20 * limits.probeIdleMs);
    expect(new Set(probed.map(([provider]) => provider))).toEqual(new Set(['remote']));
    expect(probed.length).toBeGreaterThan(15);
    expect(probed.length).toBeLessThanOrEqual(20);
    expect(health.read('provider:remote', Date.now()).isReachable).toBe(true);
    expect(health.read('provider:remote', Date.now()).weight).toBeLessThan(0.01);
  });

  test('that is shut off is probed every few seconds', async () => {
    answer = async () => 'down';
    openForLong();
    const openMs = Date.now();
    await pass(20_000);
    const times = probed.map(([, atMs]) => atMs).filter((atMs) => atMs > openMs);
    expect(times.length).toBeGreaterThanOrEqual(7);
    const gaps = times.slice(1).map((atMs, index) => atMs - times[index]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(limits.probeOpenMs);
    expect(health.read('provider:remote', Date.now())).toMatchObject({ isReachable: false, warmth: 0.1 });
  });

  test('that was down and is up again is let off the rest of its pause, with its deployments', async () => {
    answer = async () => 'down';
    openForLong();
    await pass(5000);
    expect(it.map(breaker)).toEqual(['open', 'open']);
    answer = async () => 'up';
    await pass(3000);
    expect(it.map(breaker)).toEqual(['half-open', 'half-open']);
    expect(it.map((subject) => health.isAvailable(subject, Date.now()))).toEqual([true, true]);
  });

  test('that was up all along stays shut off: a probe cannot see why its requests fail', async () => {
    openForLong();
    await pass(10_000);
    expect(probed.length).toBeGreaterThan(2);
    expect(it.map(breaker)).toEqual(['open', 'open']);
  });

  test('that is down is shut off no longer for it', async () => {
    answer = async () => {
      throw new Error('connection refused');
    };
    openForLong();
    const { coolingUntilMs } = health.read('provider:remote', Date.now());
    await pass(10_000);
    expect(health.read('provider:remote', Date.now()).coolingUntilMs).toBe(coolingUntilMs);
  });

  test('that does not answer a probe counts as down, and is not probed twice at once', async () => {
    answer = () => new Promise(() => {});
    openForLong();
    await pass(limits.probeMsMax - 1000);
    expect(probed).toHaveLength(1);
    await pass(1500);
    expect(health.read('provider:remote', Date.now()).isReachable).toBe(false);
    expect(await metrics.render()).toContain('probes_total{provider="remote",finding="down"} 1');
  });

  test('that answers a request after a failed probe is reachable', async () => {
    answer = async () => 'down';
    await pass(2 * limits.probeIdleMs);
    expect(health.read('provider:remote', Date.now()).isReachable).toBe(false);
    await pass(10);
    asked(health, it, 'success', Date.now());
    expect(health.read('provider:remote', Date.now()).isReachable).toBe(true);
  });
});

test('after closing nobody is probed', async () => {
  probing.close();
  await pass(10 * limits.probeIdleMs);
  expect(probed).toEqual([]);
});
