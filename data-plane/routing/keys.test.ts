import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '#shared/errors.ts';
import { providerKeyOf, providerOf } from '#test/harness/snapshots.ts';
import { seededRandom } from '#test/harness/vitals.ts';
import { chooseKey } from './choose-key.ts';
import { isAboutKey, mostInformative } from './failures.ts';
import { KeyUsage } from './key-usage.ts';
import { keySubject } from './members.ts';
import { RoutingState } from './routing-state.ts';

const MINUTE = 60_000;

describe('the use of a key', () => {
  test('that has no limits is not tracked', () => {
    const usage = new KeyUsage();
    const key = providerKeyOf('free');
    usage.countRequest(key, 0);
    usage.countTokens(key, 1_000_000, 0);
    expect(usage.waitMs(key, 0)).toBe(0);
    expect(usage.size).toBe(0);
  });

  test('is free again when its oldest request has slid out of the minute', () => {
    const usage = new KeyUsage();
    const key = providerKeyOf('k', { rpm: 2 });
    usage.countRequest(key, 500);
    usage.countRequest(key, 10_000);
    const waitMs = usage.waitMs(key, 20_000);
    expect(waitMs).toBe(40_000);
    expect(usage.waitMs(key, 20_000 + waitMs - 1)).toBeGreaterThan(0);
    expect(usage.waitMs(key, 20_000 + waitMs)).toBe(0);
  });

  test('counts tokens beside requests', () => {
    const usage = new KeyUsage();
    const key = providerKeyOf('k', { tpm: 100 });
    usage.countTokens(key, 99, 0);
    expect(usage.waitMs(key, 1)).toBe(0);
    usage.countTokens(key, 1, 1);
    expect(usage.waitMs(key, 1)).toBeGreaterThan(0);
  });

  test('of keys that nobody uses any more is forgotten', () => {
    const usage = new KeyUsage();
    for (let index = 0; index < 50; index++) usage.countRequest(providerKeyOf(`old${index}`, { rpm: 1 }), 0);
    usage.countRequest(providerKeyOf('new', { rpm: 1 }), 3 * MINUTE);
    expect(usage.size).toBe(1);
  });

  test('agrees with a list of all requests, to the second', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(15_000), tokens: fc.nat(50) }), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (list) => {
        const usage = new KeyUsage();
        const key = providerKeyOf('k', { rpm: 5, tpm: 120 });
        const seen: { second: number; tokens: number }[] = [];
        let nowMs = 0;
        for (const { afterMs, tokens } of list) {
          nowMs += afterMs;
          const second = Math.floor(nowMs / 1000);
          const recent = seen.filter((entry) => entry.second > second - 60);
          const spent = recent.reduce((sum, entry) => sum + entry.tokens, 0);
          const waitMs = usage.waitMs(key, nowMs);
          expect(waitMs === 0).toBe(recent.length < 5 && spent < 120);
          expect(waitMs).toBeLessThanOrEqual(MINUTE);
          if (waitMs > 0) continue;
          usage.countRequest(key, nowMs);
          usage.countTokens(key, tokens, nowMs);
          seen.push({ second, tokens });
        }
      }),
    );
  });
});

describe('choosing a key', () => {
  test('needs none where there is none', () => {
    const choice = chooseKey(providerOf('local'), {
      state: new RoutingState(),
      usage: new KeyUsage(),
      nowMs: 0,
      random: () => 0,
    });
    expect(choice.kind).toBe('none-needed');
  });

  test('skips keys without headroom and those that have failed', () => {
    const usage = new KeyUsage();
    const [full, failed, good] = [providerKeyOf('a', { rpm: 1 }), providerKeyOf('b'), providerKeyOf('c')];
    usage.countRequest(full!, 0);
    const provider = providerOf('p', { keys: [full!, failed!, good!] });
    for (const chance of [0, 0.5, 0.99]) {
      const choice = chooseKey(provider, {
        state: new RoutingState(),
        usage,
        nowMs: 1,
        random: () => chance,
        exclude: new Set([failed!]),
      });
      expect(choice).toEqual({ kind: 'key', key: good });
    }
  });

  test('says when the first of its full keys is free again', () => {
    const usage = new KeyUsage();
    const keys = [providerKeyOf('a', { rpm: 1 }), providerKeyOf('b', { rpm: 1 })];
    usage.countRequest(keys[0]!, 30_000);
    usage.countRequest(keys[1]!, 10_000);
    const choice = chooseKey(providerOf('p', { keys }), {
      state: new RoutingState(),
      usage,
      nowMs: 30_000,
      random: () => 0,
    });
    expect(choice).toEqual({ kind: 'exhausted', retryAfterMs: 40_000 });
  });

  test('gives keys that are free in proportion to their weights, and none to weight 0 while others are there', () => {
    const keys = [3, 1, 0].map((weight, index) => providerKeyOf(String(index), { weight }));
    const options = { state: new RoutingState(), usage: new KeyUsage(), nowMs: 0, random: seededRandom(1) };
    const counts = [0, 0, 0];
    for (let round = 0; round < 4000; round += 1) {
      const choice = chooseKey(providerOf('p', { keys }), options);
      if (choice.kind === 'key') counts[keys.indexOf(choice.key)]! += 1;
    }
    expect(counts[2]).toBe(0);
    expect(counts[0]! / 4000).toBeGreaterThan(0.72);
    expect(counts[0]! / 4000).toBeLessThan(0.78);
  });

  test('leaves a key alone that is resting', () => {
    const state = new RoutingState();
    const [resting, good] = [providerKeyOf('a'), providerKeyOf('b')];
    state.health.rest(keySubject(resting!), 5000, 0);
    const options = { state, usage: new KeyUsage(), random: () => 0.5 };
    const both = providerOf('p', { keys: [resting!, good!] });
    expect(chooseKey(both, { ...options, nowMs: 100 })).toEqual({ kind: 'key', key: good });
    const alone = providerOf('p', { keys: [resting!] });
    expect(chooseKey(alone, { ...options, nowMs: 100 })).toEqual({ kind: 'exhausted', retryAfterMs: 4900 });
    expect(chooseKey(alone, { ...options, nowMs: 5000 }).kind).toBe('key');
  });
});

describe('the failure a caller is told', () => {
  const failure = (code: ConstructorParameters<typeof SignalboxError>[0], retryAfterMs?: number) =>
    new SignalboxError(code, code, retryAfterMs === undefined ? {} : { retryAfterMs });

  test('is the one that waiting mends, with the earliest time', () => {
    const told = mostInformative([
      failure('upstream_unreachable'),
      failure('upstream_rate_limited', 20_000),
      failure('upstream_rate_limited', 5_000),
      failure('upstream_error', 1),
    ]);
    expect(told).toMatchObject({ code: 'upstream_rate_limited', retryAfterMs: 5_000 });
  });

  test('is the preferred target’s among equals', () => {
    const first = failure('upstream_error');
    expect(mostInformative([first, failure('upstream_invalid'), failure('upstream_error')])).toBe(first);
  });

  test('is the only one there is', () => {
    expect(mostInformative([failure('upstream_unauthorized')])?.code).toBe('upstream_unauthorized');
    expect(mostInformative([])).toBeUndefined();
  });

  test('may be mended by another key only where the key is at fault or full', () => {
    expect(isAboutKey(failure('upstream_unauthorized'))).toBe(true);
    expect(isAboutKey(failure('upstream_rate_limited'))).toBe(true);
    expect(isAboutKey(failure('upstream_error'))).toBe(false);
  });
});
