// How long a vendor asks to wait, wherever it says so: a header in seconds, as a date or in milliseconds, a detail of the
// body, a phrase of the message, or, where a limit was hit, the moment at which that limit is lifted.
import { systemClock } from '#shared/clock.ts';
import { isObject, type JsonObject, objectOf, objectsIn, textOf } from '../json/values.ts';
import type { UpstreamHeaders } from './dialect.ts';

/** A vendor that asks for more is not waited for; a day says as much. */
const WAIT_MS_MAX = 24 * 60 * 60 * 1000;

interface RefusalSaid {
  readonly status: number;
  readonly headers: UpstreamHeaders;
  /** Undefined where it was no JSON. */
  readonly body: unknown;
  readonly message: string;
}

export function retryAfterMs({ status, headers, body, message }: RefusalSaid): number | undefined {
  const outer = Array.isArray(body) ? body[0] : body;
  const error = objectOf(objectOf(outer).error);
  // The vendor's own clock, where it gave one: ours may differ.
  const sent = Date.parse(headers.date ?? '');
  const nowMs = Number.isNaN(sent) ? systemClock.wallMs() : sent;
  const waits = [
    fromNumber(headers['retry-after-ms'], 1),
    momentMs(headers['retry-after'], nowMs),
    fromDetails(error),
    fromMessage(message),
    ...(status === 429 ? [fromLimits(headers, nowMs), fromLimits(headersWithin(error), nowMs)] : []),
  ];
  const wait = waits.find((candidate) => candidate !== undefined);
  return wait === undefined ? undefined : Math.min(Math.max(0, Math.ceil(wait)), WAIT_MS_MAX);
}

/** Numbers above these are moments and not durations: seconds since 1970 of this century, and milliseconds. */
const EPOCH_SECONDS_MIN = 1e9;
const EPOCH_MS_MIN = 1e12;

/** A wait as a number of seconds, as `1m6.5s`, or as a moment: a date, seconds or milliseconds since 1970. */
function momentMs(value: string | undefined, nowMs: number): number | undefined {
  const number = fromNumber(value, 1);
  if (number !== undefined) {
    if (number >= EPOCH_MS_MIN) return number - nowMs;
    return number >= EPOCH_SECONDS_MIN ? number * 1000 - nowMs : number * 1000;
  }
  if (value === undefined) return undefined;
  if (wholeDuration.test(value)) return durationMs(value);
  const until = Date.parse(value);
  return Number.isNaN(until) ? undefined : until - nowMs;
}

function fromNumber(value: string | undefined, factor: number): number | undefined {
  return value !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * factor : undefined;
}

function fromDetails(error: JsonObject): number | undefined {
  const delays = objectsIn(error.details).map((detail) => textOf(detail.retryDelay));
  return durationMs(delays.find((delay) => delay !== '') ?? '');
}

const limitHeader = /^(?:x-|anthropic-)?ratelimit-/;

/** The limits that are used up count, until the last of them is lifted; where none is told to be, the first that will be. */
function fromLimits(headers: UpstreamHeaders, nowMs: number): number | undefined {
  const limits = Object.keys(headers)
    .filter((name) => limitHeader.test(name) && name.includes('reset'))
    .flatMap((name) => {
      const wait = momentMs(headers[name], nowMs);
      return wait === undefined ? [] : [{ wait, left: headers[name.replace('reset', 'remaining')] }];
    });
  const usedUp = limits.filter(({ left }) => left !== undefined && Number(left) <= 0);
  if (usedUp.length > 0) return Math.max(...usedUp.map(({ wait }) => wait));
  return limits.length === 0 ? undefined : Math.min(...limits.map(({ wait }) => wait));
}

/** OpenRouter repeats in its body the headers that the provider behind it sent. */
function headersWithin(error: JsonObject): UpstreamHeaders {
  const headers = objectOf(error.metadata).headers;
  if (!isObject(headers)) return {};
  const named = Object.entries(headers).filter(([, value]) => ['string', 'number'].includes(typeof value));
  return Object.fromEntries(named.map(([name, value]) => [name.toLowerCase(), String(value)]));
}

const amount = String.raw`\d+(?:\.\d+)? ?(?:ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)\b`;
/** Amounts that follow each other: `1m6.5s`, `1 minute 6 seconds`. The word's end is asked for only behind the last. */
const duration = String.raw`(?:\d+(?:\.\d+)?(?:h|m|s)(?=\d) ?)*${amount}(?:(?:,? (?:and )?)${amount})*`;
const wholeDuration = new RegExp(`^\\s*${duration}\\s*$`, 'i');
const phrase = new RegExp(`(?:try again|retry|wait)(?: after| in| for| at least)*:? (${duration})`, 'i');

function fromMessage(message: string): number | undefined {
  return durationMs(phrase.exec(message)?.[1] ?? '');
}

/** By the first letters of a unit's name. */
const unitsMs: readonly (readonly [start: RegExp, ms: number])[] = [
  [/^m(illi)?s/i, 1],
  [/^s/i, 1000],
  [/^m/i, 60_000],
  [/^h/i, 3_600_000],
  [/^d/i, 86_400_000],
];

function durationMs(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/gi)];
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * unitMs(unit), 0);
}

function unitMs(unit: string): number {
  return unitsMs.find(([start]) => start.test(unit))?.[1] ?? 0;
}
