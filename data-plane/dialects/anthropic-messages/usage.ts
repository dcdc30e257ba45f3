// Token counts taken apart into a disjoint vector. Anthropic's input_tokens leave cached tokens out, so the three are summed
// by nobody here; thinking is counted inside the output. A stream's last report holds for everything it names: its counts
// are sums already.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import { outputTotal, type Usage } from '../../turn/usage.ts';

export interface FoundUsage {
  readonly usage: Usage;
  readonly raw: string;
}

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
  const whole = count(wire.output_tokens);
  const outputReasoning = Math.min(whole, count(objectOf(wire.output_tokens_details).thinking_tokens));
  return {
    input: count(wire.input_tokens),
    inputCacheRead: count(wire.cache_read_input_tokens),
    inputCacheWrite: count(wire.cache_creation_input_tokens),
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

function count(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER) : 0;
}
