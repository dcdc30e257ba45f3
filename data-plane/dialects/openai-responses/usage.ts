// Token counts of a response taken apart into a disjoint vector. At OpenAI cached tokens are inside the input and reasoning is
// inside the output; of hosts that count otherwise, the total tells which sum was meant.
import { type ScannedObject, scanObject, wantedKeys } from '../../json/scan.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import {
  type FoundUsage,
  inputTotal,
  noUsage,
  outputTotal,
  tokenCount,
  type Usage,
} from '../../turn/usage.ts';

const usageKey = wantedKeys('usage');

/** The usage of a response that has been parsed; its text is read again only where there is any. */
export function findUsage(response: JsonObject, text: Buffer): FoundUsage | undefined {
  return isObject(response.usage) ? usageAt(text, scanObject(text, usageKey).members) : undefined;
}

/** The usage of a response in which these members were found. */
export function usageAt(json: Buffer, members: ScannedObject['members']): FoundUsage | undefined {
  const place = members.usage;
  const raw = place === undefined ? '' : json.toString('utf8', place.start, place.end);
  if (!raw.startsWith('{')) return undefined;
  const value: unknown = JSON.parse(raw);
  return isObject(value) && Object.keys(value).length > 0 ? { usage: readUsage(value), raw } : undefined;
}

export function readUsage(wire: JsonObject): Usage {
  const said = { input: tokenCount(wire.input_tokens), output: tokenCount(wire.output_tokens) };
  const total = tokenCount(wire.total_tokens);
  const inputDetails = objectOf(wire.input_tokens_details);
  const outputDetails = objectOf(wire.output_tokens_details);
  const reasoning = tokenCount(outputDetails.reasoning_tokens);
  const isOutside =
    reasoning > 0 &&
    (total === said.input + said.output + reasoning || (total === 0 && reasoning > said.output));
  const output = isOutside ? said.output + reasoning : said.output;
  const inputCacheRead = Math.min(tokenCount(inputDetails.cached_tokens), said.input);
  const inputCacheWrite = Math.min(tokenCount(inputDetails.cache_write_tokens), said.input - inputCacheRead);
  const inputAudio = Math.min(
    tokenCount(inputDetails.audio_tokens),
    said.input - inputCacheRead - inputCacheWrite,
  );
  const outputReasoning = Math.min(reasoning, output);
  const outputAudio = Math.min(tokenCount(outputDetails.audio_tokens), output - outputReasoning);
  return {
    input: said.input - inputCacheRead - inputCacheWrite - inputAudio,
    inputCacheRead,
    inputCacheWrite,
    inputAudio,
    output: output - outputReasoning - outputAudio,
    outputReasoning,
    outputAudio,
  };
}

export function writeUsage(usage: Usage | undefined): JsonObject {
  const known = usage ?? noUsage;
  const input = inputTotal(known);
  const output = outputTotal(known);
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: known.inputCacheRead, cache_write_tokens: known.inputCacheWrite },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: known.outputReasoning },
    total_tokens: input + output,
  };
}
