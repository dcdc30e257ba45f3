// What a provider says in a realtime session, as far as it matters here: that a response began, what it used when it ended, what
// a transcription used, and errors. Everything else passes without being read.
import type { ErrorCode, SignalboxError } from '#shared/errors.ts';
import { errorInStream, redact } from '../dialects/read-error.ts';
import { scanObject, stringAt, wantedKeys } from '../json/scan.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../json/values.ts';
import type { Outcome } from '../meter/ledger.ts';
import type { FoundUsage } from '../turn/usage.ts';
import { realtimeUsage } from './usage.ts';

export type ServerEvent =
  | { readonly type: 'response-start'; readonly id: string }
  | {
      readonly type: 'response-end';
      readonly id: string;
      readonly outcome: Outcome;
      readonly errorCode: ErrorCode | '';
      readonly found: FoundUsage | undefined;
    }
  | { readonly type: 'transcription-end'; readonly id: string; readonly found: FoundUsage | undefined }
  /** The provider's words without what looks like a credential; undefined where there was nothing to take out. */
  | { readonly type: 'error'; readonly error: SignalboxError; readonly cleaned: string | undefined };

const QUOTE = 0x22;
const typeKeys = wantedKeys('type');

const readers: Readonly<Record<string, (event: JsonObject) => ServerEvent>> = {
  'response.created': (event) => ({ type: 'response-start', id: textOf(objectOf(event.response).id) }),
  'response.done': readResponse,
  'conversation.item.input_audio_transcription.completed': (event) => ({
    type: 'transcription-end',
    id: textOf(event.item_id),
    found: realtimeUsage(event.usage),
  }),
  error: readErrorEvent,
};

/** Undefined for what need not be known, and for what cannot be read. */
export function readServerEvent(bytes: Buffer): ServerEvent | undefined {
  try {
    const { type } = scanObject(bytes, typeKeys).members;
    if (type === undefined || bytes[type.start] !== QUOTE) return undefined;
    const name = stringAt(bytes, type);
    if (!Object.hasOwn(readers, name)) return undefined;
    const event: unknown = JSON.parse(bytes.toString('utf8'));
    return isObject(event) ? readers[name]!(event) : undefined;
  } catch {
    return undefined;
  }
}

const outcomes: Readonly<Record<string, Outcome>> = { cancelled: 'cancelled', failed: 'failed' };

function readResponse(event: JsonObject): ServerEvent {
  const response = objectOf(event.response);
  const outcome = outcomes[textOf(response.status)] ?? 'completed';
  const { error } = objectOf(response.status_details);
  return {
    type: 'response-end',
    id: textOf(response.id),
    outcome,
    errorCode: outcome === 'failed' ? errorInStream(error).code : '',
    found: realtimeUsage(response.usage),
  };
}

function readErrorEvent(event: JsonObject): ServerEvent {
  const error = objectOf(event.error);
  const message = textOf(error.message);
  const clean = redact(message);
  const cleaned =
    clean === message ? undefined : JSON.stringify({ ...event, error: { ...error, message: clean } });
  return { type: 'error', error: errorInStream(event), cleaned };
}

/** A session that cannot even be opened says so in its first message. */
export function requireWelcome(first: Buffer): void {
  const event = readServerEvent(first);
  if (event?.type === 'error') throw event.error;
}
