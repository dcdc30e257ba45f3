// Errors as OpenAI's Responses API has them: inside an answer that came with a success status, and as clients expect them. A stream
// that has begun ends with two events: `error`, on which SDKs raise, and `response.failed`, by which clients that follow the
// response know how it ended.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { isObject, type JsonObject } from '../../json/values.ts';
import { errorInStream } from '../read-error.ts';

/** The error that a response carries although its status was a success; undefined when it carries none. */
export function errorInAnswer(response: JsonObject): SignalboxError | undefined {
  const { error, status } = response;
  if ((isObject(error) && Object.keys(error).length > 0) || (typeof error === 'string' && error !== '')) {
    return errorInStream({ error });
  }
  if (status !== 'failed' && status !== 'cancelled') return undefined;
  return errorInStream({ message: `The provider ended the response with the status "${status}".` });
}

/** An `error` event: OpenAI's documents show its fields beside the type, its servers send them one level below. */
export function errorInEvent({ type: _, ...event }: JsonObject): SignalboxError {
  return errorInStream(isObject(event.error) ? event.error : event);
}

export function renderError(error: SignalboxError): Record<string, unknown> {
  return {
    error: { message: error.message, type: error.kind.type, param: error.param ?? null, code: error.code },
  };
}

/** What a stream was, as far as it got. */
export interface Progress {
  /** The number that the next event gets. */
  readonly nextSequence: number;
  /** The response as it stands; undefined while nothing was said of it. */
  readonly response: JsonObject | undefined;
}

export function renderStreamError(
  error: SignalboxError,
  { nextSequence, response }: Progress = { nextSequence: 0, response: undefined },
): Frame[] {
  const fields = { code: error.code, message: error.message, param: error.param ?? null };
  const said = frame('error', nextSequence, fields);
  if (response === undefined) return [said];
  return [said, frame('response.failed', nextSequence + 1, { response: failed(response, error) })];
}

export function frame(type: string, sequence: number, fields: JsonObject): Frame {
  return { event: type, data: JSON.stringify({ type, sequence_number: sequence, ...fields }) };
}

const codes: Readonly<Record<string, string>> = { capacity: 'rate_limit_exceeded', caller: 'invalid_prompt' };

function failed(response: JsonObject, error: SignalboxError): JsonObject {
  const code = codes[error.kind.fault] ?? 'server_error';
  return { ...response, status: 'failed', error: { code, message: error.message } };
}
