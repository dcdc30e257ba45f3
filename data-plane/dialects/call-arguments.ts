// What a tool was called with, for dialects that carry it as an object: clients send it as the text that a model wrote.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject } from '../json/values.ts';

/** A call without arguments has an empty object. Throws `invalid_request` for what is no JSON object. */
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
