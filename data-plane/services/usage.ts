// What answers say they used. Services agree less than conversations do: tokens under either of OpenAI's two namings, seconds,
// units of a vendor's own, or nothing. Tokens are taken apart like those of turns; everything else stays in the raw object.
import { type Member, scanArray } from '../json/scan.ts';
import { isObject, type JsonObject, objectOf } from '../json/values.ts';
import { noUsage, type Usage } from '../turn/usage.ts';

export interface TokenMeters {
  /** The meter of what comes out; sound is charged differently from words. */
  readonly output: 'output' | 'outputAudio';
}

/** Undefined where no tokens are named. */
export function readTokens(wire: unknown, { output }: TokenMeters = { output: 'output' }): Usage | undefined {
  if (!isObject(wire)) return undefined;
  const total = count(wire.total_tokens);
  const said = count(wire.prompt_tokens) ?? count(wire.input_tokens);
  const produced = count(wire.completion_tokens) ?? count(wire.output_tokens) ?? 0;
  const whole = said ?? (total === undefined ? undefined : Math.max(total - produced, 0));
  if (whole === undefined) return undefined;
  const details = detailsOf(wire);
  const inputAudio = Math.min(count(details.audio_tokens) ?? 0, whole);
  const inputCacheRead = Math.min(count(details.cached_tokens) ?? 0, whole - inputAudio);
  const input = whole - inputAudio - inputCacheRead;
  return { ...noUsage, input, inputAudio, inputCacheRead, [output]: produced };
}

/** Tokens that a vendor names in words of its own. */
export function inputTokens(value: unknown): Usage | undefined {
  const input = count(value);
  return input === undefined ? undefined : { ...noUsage, input };
}

/** Our own count, for answers that say nothing of what they used. */
export function counted(units: JsonObject): string {
  return JSON.stringify({ counted: units });
}

/** How many items the list at this place has, which may be long and needs not be read for it; 0 where there is none. */
export function itemsAt(bytes: Buffer, place: Member | undefined): number {
  const isList = place !== undefined && bytes[place.start] === BRACKET_OPEN;
  return isList ? scanArray(bytes, place.start, place.end).length : 0;
}

const BRACKET_OPEN = 0x5b;

/** OpenAI writes the word in singular for transcriptions and in plural for pictures. */
function detailsOf(wire: JsonObject): JsonObject {
  return objectOf(wire.input_tokens_details ?? wire.input_token_details ?? wire.prompt_tokens_details);
}

function count(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER);
}
