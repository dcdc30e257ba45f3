// How much each provider key was used during the last minute, as far as this node knows. It lives outside the snapshot,
// because a configuration change must not forget it. The minute slides in steps of a second: 60 buckets and their sums,
// so asking costs a few additions however busy the key is. Keys without limits are not tracked at all.
import type { ProviderKey } from '../snapshot/snapshot.ts';

const BUCKETS = 60;
const BUCKET_MS = 1000;
const WINDOW_MS = BUCKETS * BUCKET_MS;

export class KeyUsage {
  readonly #windows = new Map<string, Window>();

  /** 0 when the key may be used now, else how long until its oldest use has slid out of the minute. */
  waitMs(key: ProviderKey, nowMs: number): number {
    if (!isLimited(key)) return 0;
    const window = this.#windows.get(key.id);
    if (!window) return 0;
    window.advance(nowMs);
    return Math.max(
      window.waitMs(window.requests, key.rpm, nowMs),
      window.waitMs(window.tokens, key.tpm, nowMs),
    );
  }

  countRequest(key: ProviderKey, nowMs: number): void {
    if (isLimited(key)) this.#window(key.id, nowMs).requests.add(nowMs, 1);
  }

  countTokens(key: ProviderKey, tokens: number, nowMs: number): void {
    if (isLimited(key)) this.#window(key.id, nowMs).tokens.add(nowMs, tokens);
  }

  /** How many keys are being watched. */
  get size(): number {
    return this.#windows.size;
  }

  #window(keyId: string, nowMs: number): Window {
    const known = this.#windows.get(keyId);
    if (known) {
      known.advance(nowMs);
      return known;
    }
    this.#forgetIdle(nowMs);
    const fresh = new Window(nowMs);
    this.#windows.set(keyId, fresh);
    return fresh;
  }

  /** Keys come and go with configuration; a window nobody used for a minute says nothing any more. */
  #forgetIdle(nowMs: number): void {
    for (const [keyId, window] of this.#windows) {
      if (window.isIdle(nowMs)) this.#windows.delete(keyId);
    }
  }
}

function isLimited(key: ProviderKey): boolean {
  return key.rpm > 0 || key.tpm > 0;
}

class Window {
  readonly requests = new Meter();
  readonly tokens = new Meter();
  #bucket: number;

  constructor(nowMs: number) {
    this.#bucket = Math.floor(nowMs / BUCKET_MS);
  }

  advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    const passed = Math.min(bucket - this.#bucket, BUCKETS);
    for (let step = 0; step < passed; step++) {
      this.requests.clear(bucket - step);
      this.tokens.clear(bucket - step);
    }
    if (passed > 0) this.#bucket = bucket;
  }

  waitMs(meter: Meter, limit: number, nowMs: number): number {
    if (limit === 0 || meter.sum < limit) return 0;
    const intoBucketMs = nowMs - this.#bucket * BUCKET_MS;
    return meter.bucketsUntilBelow(limit, this.#bucket) * BUCKET_MS - intoBucketMs;
  }

  isIdle(nowMs: number): boolean {
    return nowMs - this.#bucket * BUCKET_MS > WINDOW_MS;
  }
}

class Meter {
  readonly #buckets = new Float64Array(BUCKETS);
  sum = 0;

  add(nowMs: number, amount: number): void {
    const index = Math.floor(nowMs / BUCKET_MS) % BUCKETS;
    this.#buckets[index] = this.#buckets[index]! + amount;
    this.sum += amount;
  }

  clear(bucket: number): void {
    const index = bucket % BUCKETS;
    this.sum -= this.#buckets[index]!;
    this.#buckets[index] = 0;
  }

  /** After how many steps of the window the sum is below the limit. */
  bucketsUntilBelow(limit: number, current: number): number {
    let left = this.sum;
    for (let step = 1; step <= BUCKETS; step++) {
      left -= this.#buckets[(current + step) % BUCKETS]!;
      if (left < limit) return step;
    }
    return BUCKETS;
  }
}
