// A token that is good for a while: fetched when it is first needed, renewed in the background before it runs out, and by one
// fetch at a time however many requests wait for it. Requests wait only where there is no token that still works. A fetch that
// failed is not repeated for a moment, so that a server which refuses is not asked once per request.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';

export interface FetchedToken<Value> {
  readonly value: Value;
  /** On the wall clock. */
  readonly expiresAtMs: number;
}

export interface RenewedToken<Value> {
  /** A promise only where it has to be fetched first; it rejects with what kept it from coming. */
  current(): Value | Promise<Value>;
}

export interface RenewedTokenOptions<Value> {
  readonly clock: Clock;
  fetch(): Promise<FetchedToken<Value>>;
}

/** Renewed so long before it runs out, or in the last quarter of its life where that is shorter. */
const RENEW_AHEAD_MS_MAX = 5 * 60_000;
/** Its last seconds are nobody's: clocks differ, and a request takes a while to arrive. */
const UNSAFE_MS_MAX = 10_000;
/** After a fetch that failed. */
const RETRY_MS = 5_000;

export function renewedToken<Value>(options: RenewedTokenOptions<Value>): RenewedToken<Value> {
  return new Renewed(options);
}

interface Held<Value> {
  readonly value: Value;
  readonly renewAtMs: number;
  readonly uselessAtMs: number;
}

interface Failure {
  readonly error: SignalboxError;
  readonly retryAtMs: number;
}

class Renewed<Value> implements RenewedToken<Value> {
  readonly #options: RenewedTokenOptions<Value>;
  #held: Held<Value> | undefined;
  #failure: Failure | undefined;
  #fetching: Promise<Value> | undefined;

  constructor(options: RenewedTokenOptions<Value>) {
    this.#options = options;
  }

  current(): Value | Promise<Value> {
    const nowMs = this.#options.clock.wallMs();
    const held = this.#held;
    if (held === undefined || nowMs >= held.uselessAtMs) return this.#fetched(nowMs);
    // Whether the renewal works is a matter for later: this token does.
    if (nowMs >= held.renewAtMs) this.#fetched(nowMs).catch(() => {});
    return held.value;
  }

  #fetched(nowMs: number): Promise<Value> {
    if (this.#fetching) return this.#fetching;
    if (this.#failure && nowMs < this.#failure.retryAtMs) return Promise.reject(this.#failure.error);
    this.#fetching = this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<Value> {
    const { clock, fetch } = this.#options;
    try {
      const { value, expiresAtMs } = await fetch();
      const nowMs = clock.wallMs();
      const aheadMs = Math.min(RENEW_AHEAD_MS_MAX, Math.max(0, expiresAtMs - nowMs) / 4);
      this.#held = {
        value,
        renewAtMs: expiresAtMs - aheadMs,
        uselessAtMs: expiresAtMs - Math.min(UNSAFE_MS_MAX, aheadMs),
      };
      this.#failure = undefined;
      return value;
    } catch (thrown) {
      const error = SignalboxError.from(thrown);
      this.#failure = { error, retryAtMs: clock.wallMs() + RETRY_MS };
      throw error;
    }
  }
}
