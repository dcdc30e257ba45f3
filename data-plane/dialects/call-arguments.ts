// What a tool was called with, for dialects that carry it as an object: a model wrote it as text, and so other dialects' clients send it.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject } from '../json/values.ts';
import { completeArguments } from '../turn/fold.ts';

/** In a request. A call without arguments has an empty object. Throws `invalid_request` for what is no JSON object. */
export function callArguments(text: string, path: string): JsonObject {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below, like what is JSON and no object.
  }
  throw new SignalboxError(
    'invalid_request',
    `The arguments of a tool call in "${path}" have to be a JSON object.`,
    { param: path },
  );
}

/** In an answer. A model may write what is no JSON; the client is to see what it wrote. */
export function argumentsWritten(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(completeArguments(text));
    return isObject(value) ? value : { arguments: value };
  } catch {
    return { arguments: text };
  }
}
