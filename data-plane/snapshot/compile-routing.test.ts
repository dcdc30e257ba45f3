// What is said of routing, as requests find it: field by field, with what was left unsaid filled in.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { DeploymentSchema, RouteSchema } from '#proto/signalbox/config/v1/config_pb.ts';
import { limits } from '#shared/limits.ts';
import { strategyNames } from '#shared/routing-strategies.ts';
import { providerOf } from '#test/harness/snapshots.ts';
import { capacityOf, compileDeployment, compileRoute, strategyIn } from './compile-routing.ts';

const provider = providerOf('openai');
const unlimited = { concurrencyMax: 0, waitingMax: 0, waitMsMax: 0 };

function routeOf(message: MessageInitShape<typeof RouteSchema>, reports: string[] = []) {
  return compileRoute(create(RouteSchema, message), (field, code) => void reports.push(`${field} ${code}`));
}

describe('a deployment', () => {
  const compiled = (message: MessageInitShape<typeof DeploymentSchema>) =>
    compileDeployment(create(DeploymentSchema, message), provider);

  test('of which everything is said', () => {
    const deployment = compiled({
      id: 'd',
      model: 'm',
      upstreamModel: 'upstream',
      weight: 3,
      priority: 2,
      timeoutMs: 5000,
      idleTimeoutMs: 700,
      region: 'eu',
      tags: ['chat'],
      strategy: 'random',
      rpm: 500,
      tpm: 200_000n,
      price: { input: 2500, cachedInput: 1250, output: 10_000 },
      concurrency: { max: 7, waitingMax: 3, waitMsMax: 1000 },
      abilities: { names: ['tools', 'json_schema'] },
      contextTokens: 128_000n,
    });
    expect(deployment).toEqual({
      id: 'd',
      model: 'm',
      provider,
      upstreamModel: 'upstream',
      weight: 3,
      priority: 2,
      timeoutMs: 5000,
      idleTimeoutMs: 700,
      region: 'eu',
      tags: ['chat'],
      rpm: 500,
      tpm: 200_000,
      price: { input: 2500, inputCacheRead: 1250, output: 10_000 },
      concurrencyMax: 7,
      waitingMax: 3,
      waitMsMax: 1000,
      abilities: { can: new Set(['tools', 'json_schema', 'json']), contextTokens: 128_000 },
    });
    expect(Object.isFrozen(deployment.price)).toBe(true);
  });

  test('of which nothing is said is unlimited, and nobody knows what it costs', () => {
    expect(compiled({ id: 'd', model: 'm' })).toMatchObject({
      upstreamModel: 'm',
      timeoutMs: limits.upstreamTimeoutMs,
      rpm: 0,
      tpm: 0,
      price: undefined,
      ...unlimited,
    });
  });
});

describe('a route', () => {
  test('of which everything is said', () => {
    const route = routeOf({
      slug: 'r',
      strategy: 'adaptive',
      members: [{ model: 'm', weight: 3, priority: 2 }],
      fallbacks: ['a'],
      contextWindowFallbacks: ['b'],
      contentPolicyFallbacks: ['c'],
      timeoutMs: 90_000,
      failoverTimeoutMultiple: 0.5,
      streamRecovery: 'continue',
      rules: [{ name: 'quick', outcome: { case: 'pin', value: 'a' } }],
      hedge: { delayMs: 800, requestPercent: 5, spendPercent: 10 },
      concurrency: { max: 5, waitingMax: 2, waitMsMax: 3000 },
    });
    expect(route).toMatchObject({
      slug: 'r',
      strategy: 'adaptive',
      members: [{ model: 'm', weight: 3, priority: 2 }],
      fallbacks: ['a'],
      contextWindowFallbacks: ['b'],
      contentPolicyFallbacks: ['c'],
      timeoutMs: 90_000,
      failoverTimeoutMultiple: 0.5,
      streamRecovery: 'continue',
      rules: {
        rules: [
          { title: 'rule "quick"', applies: expect.any(Function), outcome: { kind: 'pin', name: 'a' } },
        ],
        mirrors: [],
      },
      hedge: { delayMs: 800, requestShareMax: 0.05, spendShareMax: 0.1 },
      concurrencyMax: 5,
      waitingMax: 2,
      waitMsMax: 3000,
    });
    expect([route, route?.members[0], route?.contextWindowFallbacks].every(Object.isFrozen)).toBe(true);
  });

  test('of which nothing is said takes all the time there is and breaks off when its stream does', () => {
    expect(routeOf({ slug: 'r' })).toMatchObject({
      strategy: 'priority',
      contextWindowFallbacks: [],
      contentPolicyFallbacks: [],
      timeoutMs: 0,
      failoverTimeoutMultiple: 1,
      streamRecovery: 'error',
      rules: { rules: [], mirrors: [] },
      hedge: undefined,
      ...unlimited,
    });
  });

  test.each([
    [{ strategy: 'dice' }, 'strategy unknown_strategy'],
    [{ strategy: 'simple-shuffle' }, 'strategy unknown_strategy'],
    [{ rules: [{}] }, 'rules[0] unknown_outcome'],
    [{ streamRecovery: 'rewind' }, 'stream_recovery unknown_stream_recovery'],
  ])('%j is refused', (message, report) => {
    const reports: string[] = [];
    expect(routeOf({ slug: 'r', ...message }, reports)).toBeUndefined();
    expect(reports).toEqual([report]);
  });

  test.each([-1, 0, 1, 7, Number.NaN])('a multiple of %d is no less than all of the time', (multiple) => {
    expect(routeOf({ slug: 'r', failoverTimeoutMultiple: multiple })?.failoverTimeoutMultiple).toBe(1);
  });
});

test('every strategy is known, and none means the usual one', () => {
  const never = (): undefined => {
    throw new Error('nothing is to be reported');
  };
  for (const name of strategyNames) expect(strategyIn(name, 'random', 'key_strategy', never)).toBe(name);
  expect(strategyIn('', 'random', 'key_strategy', never)).toBe('random');
  expect(capacityOf(undefined)).toEqual(unlimited);
});
