// What a provider's own headers say of its limits: how much is left, and when a limit that is used up is lifted. OpenAI and those like it
// write `x-ratelimit-remaining-tokens`, Anthropic `anthropic-ratelimit-tokens-remaining`, others leave out the `x-` or what it is a
// limit of. Nothing here is required, and nothing is believed that makes no sense.
import { limits } from '#shared/limits.ts';
import type { HealthBook } from './health-book.ts';
import type { Subject } from './vitals.ts';

export type LimitHeaders = Readonly<Record<string, string | undefined>>;

export interface Headroom {
  /** What is left of the tightest limit, as a share; undefined when no limit was told together with what is left of it. */
  readonly headroom: number | undefined;
  /** For how long the account need not be asked; undefined when nothing is used up. */
  readonly restMs: number | undefined;
}

/** What an answer says of the account, told to the health book, and the share that is left. `nowMs` is the book's clock. */
export function noteHeaders(
  health: HealthBook,
  subject: Subject,
  headers: LimitHeaders,
  nowMs: number,
): number | undefined {
  const { headroom, restMs } = readHeadroom(headers);
  if (headroom !== undefined) health.noteHeadroom(subject, headroom, nowMs);
  if (restMs !== undefined && restMs > 0) health.rest(subject, nowMs + restMs, nowMs);
  return headroom;
}

export function readHeadroom(headers: LimitHeaders): Headroom {
  const quotas = quotasIn(headers);
  const shares = quotas.flatMap(({ limit, remaining }) =>
    limit === undefined || remaining === undefined || limit <= 0 ? [] : [clampShare(remaining / limit)],
  );
  const usedUp = quotas.filter(({ remaining }) => remaining !== undefined && remaining <= 0);
  const headroom = shares.length === 0 ? undefined : Math.min(...shares);
  return { headroom: usedUp.length > 0 ? 0 : headroom, restMs: restOf(usedUp, headers) };
}

interface Quota {
  limit?: number;
  remaining?: number;
  resetMs?: number;
}

type Part = 'limit' | 'remaining' | 'reset';

/** What is limited (requests, tokens, …) stands behind the part, or before it. */
const forms: readonly RegExp[] = [
  /^(?:x-)?ratelimit-(?<part>limit|remaining|reset)(?:-(?<what>[a-z0-9-]+))?$/,
  /^anthropic-ratelimit-(?<what>[a-z0-9-]+)-(?<part>limit|remaining|reset)$/,
];

function quotasIn(headers: LimitHeaders): readonly Quota[] {
  const quotas = new Map<string, Quota>();
  // The provider's own clock, for the moments it names: ours may differ.
  const sentAtMs = Date.parse(headers.date ?? '');
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !name.includes('ratelimit-')) continue;
    const found = forms.map((form) => form.exec(name)?.groups).find((groups) => groups !== undefined);
    if (found === undefined) continue;
    const what = found.what ?? '';
    const quota = quotas.get(what) ?? {};
    note(quota, found.part as Part, value, sentAtMs);
    quotas.set(what, quota);
  }
  return [...quotas.values()];
}

function note(quota: Quota, part: Part, value: string, sentAtMs: number): void {
  const number = part === 'reset' ? resetMs(value, sentAtMs) : countOf(value);
  if (number === undefined) return;
  if (part === 'reset') quota.resetMs = number;
  else quota[part] = number;
}

/** A limit that says when it is lifted is believed, within bounds; Retry-After is the more exact where both are there. */
function restOf(usedUp: readonly Quota[], headers: LimitHeaders): number | undefined {
  if (usedUp.length === 0) return undefined;
  const asked = secondsOf(headers['retry-after']);
  const resets = usedUp.flatMap(({ resetMs: ms }) => (ms === undefined ? [] : [ms]));
  const restMs = asked ?? (resets.length === 0 ? undefined : Math.max(...resets));
  return restMs === undefined ? undefined : Math.min(Math.max(0, restMs), USED_UP_REST_MS_MAX);
}

/** Many limits fill up again bit by bit, long before they are whole, which is what a reset tells. */
const USED_UP_REST_MS_MAX = Math.min(60_000, limits.healthRestMsMax);
/** Larger numbers are moments: seconds since 1970 of this century, and milliseconds. */
const EPOCH_SECONDS_MIN = 1e9;
const EPOCH_MS_MIN = 1e12;

/** Some add the policy behind the number: `100, 100;w=60`. */
function countOf(value: string): number | undefined {
  const digits = /^\s*(\d+(?:\.\d+)?)/.exec(value)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** `1m6.5s`, `120ms`, seconds, a moment as a number, or a date. */
function resetMs(value: string, sentAtMs: number): number | undefined {
  const seconds = secondsOf(value);
  if (seconds !== undefined) {
    const number = seconds / 1000;
    if (number < EPOCH_SECONDS_MIN) return seconds;
    return untilMs(number >= EPOCH_MS_MIN ? number : number * 1000, sentAtMs);
  }
  if (/^\s*(\d+(\.\d+)?(ms|s|m|h|d))+\s*$/.test(value)) return durationMs(value);
  return /^\d{4}-\d\d-\d\dT/.test(value.trim()) ? untilMs(Date.parse(value.trim()), sentAtMs) : undefined;
}

function untilMs(atMs: number, sentAtMs: number): number | undefined {
  return Number.isNaN(atMs) || Number.isNaN(sentAtMs) ? undefined : Math.max(0, atMs - sentAtMs);
}

function secondsOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * 1000 : undefined;
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitsMs[unit!]!, 0);
}

function clampShare(share: number): number {
  return Math.min(1, Math.max(0, share));
}
