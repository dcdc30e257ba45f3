// Which of a provider's keys carries a request: of those that have room and are not resting, the first in the order of the provider's
// strategy. A provider without keys is called without one, since local servers need none.
import type { ProviderEntry, ProviderKey } from '../snapshot/snapshot.ts';
import type { KeyUsage } from './key-usage.ts';
import { keyMember, keySubject } from './members.ts';
import type { Routing } from './routing-state.ts';
import { strategyNamed } from './strategies/registry.ts';

export type KeyChoice =
  | { readonly kind: 'key'; readonly key: ProviderKey }
  | { readonly kind: 'none-needed' }
  /** Every key is at its limit or resting; the soonest is free again after this time. */
  | { readonly kind: 'exhausted'; readonly retryAfterMs: number };

export interface ChooseKeyOptions {
  readonly state: Routing;
  readonly usage: KeyUsage;
  readonly nowMs: number;
  readonly random: () => number;
  /** Keys that have failed this request already. */
  readonly exclude?: ReadonlySet<ProviderKey>;
}

const noneNeeded: KeyChoice = Object.freeze({ kind: 'none-needed' });

export function chooseKey(provider: ProviderEntry, options: ChooseKeyOptions): KeyChoice {
  const { state, usage, nowMs, exclude } = options;
  if (provider.keys.length === 0) return noneNeeded;
  const free: ProviderKey[] = [];
  let retryAfterMs = Number.POSITIVE_INFINITY;
  for (const key of provider.keys) {
    if (exclude?.has(key)) continue;
    const waitMs = Math.max(usage.waitMs(key, nowMs), state.health.restMs(keySubject(key), nowMs));
    if (waitMs > 0) retryAfterMs = Math.min(retryAfterMs, waitMs);
    else free.push(key);
  }
  if (free.length === 0) {
    return { kind: 'exhausted', retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0 };
  }
  return { kind: 'key', key: free.length === 1 ? free[0]! : best(provider, free, options) };
}

function best(
  { name, keyStrategy }: ProviderEntry,
  keys: readonly ProviderKey[],
  { state, nowMs, random }: ChooseKeyOptions,
): ProviderKey {
  const members = keys.map((key) => keyMember(key, state.health, nowMs));
  const ranked = strategyNamed(keyStrategy).order(members, {
    nowMs,
    random,
    isStream: false,
    inputTokens: 0,
    outputTokensExpected: 0,
    affinity: '',
    cachedTokens: () => 0,
    memory: state.memoryOf(`keys:${name}`),
  });
  return ranked[0]!.member.key;
}
