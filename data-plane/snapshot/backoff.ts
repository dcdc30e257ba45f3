// How long to wait before trying again: full jitter over an exponentially growing ceiling, so that a thousand nodes that
// lost the same control plane come back spread out instead of together.
import { backoffCeilingMs } from '#shared/backoff.ts';
import { limits } from '#shared/limits.ts';

const reconnectBounds = { msMin: limits.syncReconnectMsMin, msMax: limits.syncReconnectMsMax };

/** `failures` counts from 1; `random` gives a number from 0 up to, not including, 1. */
export function backoffMs(failures: number, random: () => number): number {
  return random() * backoffCeilingMs(failures, reconnectBounds);
}

/** At least what the control plane asked for, and up to half as much again, so that those turned away do not return as one. */
export function throttledMs(retryAfterMs: number, random: () => number): number {
  return Math.min(retryAfterMs, limits.syncReconnectMsMax) * (1 + random() / 2);
}
