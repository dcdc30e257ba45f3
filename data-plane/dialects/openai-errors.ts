// Errors as OpenAI has them in completions: inside an answer that came with a success status, and as clients expect them.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../framing/frame.ts';
import { isObject, type JsonObject, objectsIn } from '../json/values.ts';
import { errorInStream } from './read-error.ts';

/** The error that a body or a chunk carries although its status was a success; undefined when it carries none. */
export function errorInAnswer(answer: JsonObject): SignalboxError | undefined {
  if (isError(answer.error)) return errorInStream(answer);
  // MiniMax answers 200 and says in a field of its own that it is no answer.
  const { base_resp: outcome, choices } = answer;
  const isRefusal = isObject(outcome) && typeof outcome.status_code === 'number' && outcome.status_code !== 0;
  if (isRefusal && objectsIn(choices).length === 0) return errorInStream({ message: outcome.status_msg });
  for (const choice of objectsIn(answer.choices)) {
    if (isError(choice.error)) return errorInStream(choice.error);
    if (choice.finish_reason === 'error' || choice.finish_reason === 'insufficient_system_resource') {
      return errorInStream({ message: `The provider stopped with the reason "${choice.finish_reason}".` });
    }
  }
  return undefined;
}

export function renderError(error: SignalboxError): Record<string, unknown> {
  return {
    error: { message: error.message, type: error.kind.type, param: error.param ?? null, code: error.code },
  };
}

/** OpenAI's SDKs raise on an `error` member; a `[DONE]` behind it would make a broken answer look whole. */
export function renderStreamError(error: SignalboxError): Frame[] {
  return [{ data: JSON.stringify(renderError(error)) }];
}

function isError(value: unknown): boolean {
  return (typeof value === 'string' && value !== '') || (isObject(value) && Object.keys(value).length > 0);
}
