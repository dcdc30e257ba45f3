// How long a vendor asks to wait, wherever it says so: a header in seconds, as a date or in milliseconds, a detail of the
// body, or a phrase of the message.
import { systemClock } from '#shared/clock.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../json/values.ts';
import type { UpstreamHeaders } from './dialect.ts';

/** A vendor that asks for more is not waited for; a day says as much. */
const WAIT_MS_MAX = 24 * 60 * 60 * 1000;

export function retryAfterMs(headers: UpstreamHeaders, body: unknown, message: string): number | undefined {
  const waits = [
    fromNumber(headers['retry-after-ms'], 1),
    fromHeader(headers['retry-after'], headers.date),
    fromDetails(body),
    fromMessage(message),
  ];
  const wait = waits.find((candidate) => candidate !== undefined);
  return wait === undefined ? undefined : Math.min(Math.max(0, Math.ceil(wait)), WAIT_MS_MAX);
}

function fromHeader(value: string | undefined, date: string | undefined): number | undefined {
  const seconds = fromNumber(value, 1000);
  if (seconds !== undefined || value === undefined) return seconds;
  const until = Date.parse(value);
  if (Number.isNaN(until)) return undefined;
  // The vendor's own clock, where it gave one: ours may differ.
  const sent = Date.parse(date ?? '');
  return until - (Number.isNaN(sent) ? systemClock.wallMs() : sent);
}

function fromNumber(value: string | undefined, factor: number): number | undefined {
  return value !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * factor : undefined;
}

function fromDetails(body: unknown): number | undefined {
  const outer = Array.isArray(body) ? body[0] : body;
  const error: JsonObject = isObject(outer) && isObject(outer.error) ? outer.error : {};
  const delays = objectsIn(error.details).map((detail) => textOf(detail.retryDelay));
  return durationMs(delays.find((delay) => delay !== '') ?? '');
}

function fromMessage(message: string): number | undefined {
  return durationMs(
    /(?:try again|retry)(?: after)? in ((?:[\d.]+ ?(?:ms|h|m|s))+)/i.exec(message)?.[1] ?? '',
  );
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationMs(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?) ?(ms|h|m|s)/g)];
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitsMs[unit!]!, 0);
}
