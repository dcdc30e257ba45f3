// What a realtime session reports as used, taken apart into the disjoint vector: text and audio are told apart, and what was
// cached is inside both.
import { isObject, type JsonObject, objectOf } from '../json/values.ts';
import { type FoundUsage, tokenCount, type Usage } from '../turn/usage.ts';

/** Undefined where there is none, or none in tokens: some transcriptions are counted in seconds. */
export function realtimeUsage(value: unknown): FoundUsage | undefined {
  if (!isObject(value) || (value.input_tokens === undefined && value.output_tokens === undefined))
    return undefined;
  const inputDetails = detailsOf(value, 'input');
  const outputDetails = detailsOf(value, 'output');
  const cachedDetails = objectOf(inputDetails.cached_tokens_details);
  const inputTotal = tokenCount(value.input_tokens);
  const inputCacheRead = Math.min(tokenCount(inputDetails.cached_tokens), inputTotal);
  const uncachedAudio = tokenCount(inputDetails.audio_tokens) - tokenCount(cachedDetails.audio_tokens);
  const inputAudio = between(uncachedAudio, inputTotal - inputCacheRead);
  const outputTotal = tokenCount(value.output_tokens);
  const outputAudio = between(tokenCount(outputDetails.audio_tokens), outputTotal);
  const outputReasoning = between(tokenCount(outputDetails.reasoning_tokens), outputTotal - outputAudio);
  const usage: Usage = {
    input: inputTotal - inputCacheRead - inputAudio,
    inputCacheRead,
    inputCacheWrite: 0,
    inputAudio,
    output: outputTotal - outputAudio - outputReasoning,
    outputReasoning,
    outputAudio,
  };
  return { usage, raw: JSON.stringify(value) };
}

/** Older versions of the API write the plural. */
function detailsOf(usage: JsonObject, side: 'input' | 'output'): JsonObject {
  return objectOf(usage[`${side}_token_details`] ?? usage[`${side}_tokens_details`]);
}

function between(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}
