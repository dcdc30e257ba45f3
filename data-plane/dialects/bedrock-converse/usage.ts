// Token counts taken apart into a disjoint vector. The input leaves cached tokens out; what was reasoned is counted in the
// output and not told apart.
import type { JsonObject } from '../../json/values.ts';
import { noUsage, type Usage } from '../../turn/usage.ts';

export function readUsage(wire: JsonObject): Usage {
  return {
    ...noUsage,
    input: count(wire.inputTokens),
    inputCacheRead: count(wire.cacheReadInputTokens),
    inputCacheWrite: count(wire.cacheWriteInputTokens),
    output: count(wire.outputTokens),
  };
}

function count(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER) : 0;
}
