// Token counts taken apart into a disjoint vector. The input leaves cached tokens out; what was reasoned is counted in the
// output and not told apart.
import type { JsonObject } from '../../json/values.ts';
import { noUsage, tokenCount, type Usage } from '../../turn/usage.ts';

export function readUsage(wire: JsonObject): Usage {
  return {
    ...noUsage,
    input: tokenCount(wire.inputTokens),
    inputCacheRead: tokenCount(wire.cacheReadInputTokens),
    inputCacheWrite: tokenCount(wire.cacheWriteInputTokens),
    output: tokenCount(wire.outputTokens),
  };
}
