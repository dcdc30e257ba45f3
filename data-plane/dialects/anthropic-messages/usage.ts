// Token counts taken apart into a disjoint vector. Anthropic's input_tokens leave cached tokens out, so the three are summed
// by nobody here; thinking is counted inside the output. A stream's last report holds for everything it names: its counts
// are sums already.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import { type FoundUsage, outputTotal, tokenCount, type Usage } from '../../turn/usage.ts';

/** What is known after one more report; undefined while there was none. */
export function mergeUsage(before: JsonObject | undefined, report: unknown): JsonObject | undefined {
  if (!isObject(report)) return before;
  const said = Object.entries(report).filter(([, value]) => value !== null);
  if (said.length === 0) return before;
  return { ...before, ...Object.fromEntries(said) };
}

export function foundUsage(wire: JsonObject | undefined): FoundUsage | undefined {
  return wire === undefined ? undefined : { usage: readUsage(wire), raw: JSON.stringify(wire) };
}

export function readUsage(wire: JsonObject): Usage {
  const whole = tokenCount(wire.output_tokens);
  const outputReasoning = Math.min(whole, tokenCount(objectOf(wire.output_tokens_details).thinking_tokens));
  return {
    input: tokenCount(wire.input_tokens),
    inputCacheRead: tokenCount(wire.cache_read_input_tokens),
    inputCacheWrite: tokenCount(wire.cache_creation_input_tokens),
    inputAudio: 0,
    output: whole - outputReasoning,
    outputReasoning,
    outputAudio: 0,
  };
}

export function writeUsage(usage: Usage): JsonObject {
  return {
    input_tokens: usage.input + usage.inputAudio,
    cache_creation_input_tokens: usage.inputCacheWrite,
    cache_read_input_tokens: usage.inputCacheRead,
    output_tokens: outputTotal(usage),
    ...(usage.outputReasoning === 0
      ? {}
      : { output_tokens_details: { thinking_tokens: usage.outputReasoning } }),
  };
}
