// Which of a provider's keys carries a request: by lot among those with headroom, weighted. A provider without keys is
// called without one, since local servers need none.
import type { ProviderEntry, ProviderKey } from '../snapshot/snapshot.ts';
import type { KeyUsage } from './key-usage.ts';

export type KeyChoice =
  | { readonly kind: 'key'; readonly key: ProviderKey }
  | { readonly kind: 'none-needed' }
  /** Every key is at its limit; the soonest is free again after this time. */
  | { readonly kind: 'exhausted'; readonly retryAfterMs: number };

export interface ChooseKeyOptions {
  readonly usage: KeyUsage;
  readonly nowMs: number;
  readonly random: () => number;
  /** Keys that have failed this request already. */
  readonly exclude?: ReadonlySet<ProviderKey>;
}

const noneNeeded: KeyChoice = Object.freeze({ kind: 'none-needed' });

export function chooseKey(provider: ProviderEntry, options: ChooseKeyOptions): KeyChoice {
  const { usage, nowMs, random, exclude } = options;
  if (provider.keys.length === 0) return noneNeeded;
  const free: ProviderKey[] = [];
  let retryAfterMs = Number.POSITIVE_INFINITY;
  for (const key of provider.keys) {
    if (exclude?.has(key)) continue;
    const waitMs = usage.waitMs(key, nowMs);
    if (waitMs > 0) retryAfterMs = Math.min(retryAfterMs, waitMs);
    else free.push(key);
  }
  if (free.length === 0) {
    return { kind: 'exhausted', retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 0 };
  }
  return { kind: 'key', key: free.length === 1 ? free[0]! : drawByWeight(free, random) };
}

function drawByWeight(keys: readonly ProviderKey[], random: () => number): ProviderKey {
  const total = keys.reduce((sum, key) => sum + key.weight, 0);
  if (total === 0) return keys[Math.floor(random() * keys.length)]!;
  let point = random() * total;
  for (const key of keys) {
    point -= key.weight;
    if (point < 0) return key;
  }
  return keys.findLast((key) => key.weight > 0)!;
}
