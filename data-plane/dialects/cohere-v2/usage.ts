// Token counts as Cohere bills them. They report two: what the model read and wrote, their own preamble included, and what is
// billed. Cached tokens are counted among the former and are no part of what is billed, so they make no meter of their own.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import { type FoundUsage, noUsage, tokenCount, type Usage } from '../../turn/usage.ts';

/** Undefined where nothing was counted, as in an answer that failed. */
export function foundUsage(wire: unknown): FoundUsage | undefined {
  if (!isObject(wire) || Object.keys(wire).length === 0) return undefined;
  return { usage: readUsage(wire), raw: JSON.stringify(wire) };
}

function readUsage(wire: JsonObject): Usage {
  const billed = objectOf(wire.billed_units);
  const counted = objectOf(wire.tokens);
  return {
    ...noUsage,
    input: tokenCount(billed.input_tokens ?? counted.input_tokens),
    output: tokenCount(billed.output_tokens ?? counted.output_tokens),
  };
}
