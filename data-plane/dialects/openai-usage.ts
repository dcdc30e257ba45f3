// Token counts of the compatible vendors taken apart into a disjoint vector. They agree on the names and not on the sums:
// most count reasoning inside completion_tokens, xAI outside; most count cached tokens inside prompt_tokens, a few outside.
// The vendor need not be known: total_tokens tells which sum was meant.
import { type ScannedObject, scanObject, wantedKeys } from '../json/scan.ts';
import { isObject, type JsonObject } from '../json/values.ts';
import { type FoundUsage, inputTotal, outputTotal, tokenCount, type Usage } from '../turn/usage.ts';

/** The members in which usage may stand, for those who scan for more in the same pass. */
export const usageKeys = ['usage', 'x_groq'] as const;
const topKeys = wantedKeys(...usageKeys);
const groqKeys = wantedKeys('usage');

/** The usage of a chunk that has been parsed; its text is read again only where there is any. */
export function findUsage(chunk: JsonObject, text: string): FoundUsage | undefined {
  const mayHaveUsage = isObject(chunk.usage) || (isObject(chunk.x_groq) && isObject(chunk.x_groq.usage));
  if (!mayHaveUsage) return undefined;
  const json = Buffer.from(text);
  return usageAt(json, scanObject(json, topKeys).members);
}

/** The usage of a body in which these members were found. */
export function usageAt(json: Buffer, members: ScannedObject['members']): FoundUsage | undefined {
  const own =
    members.usage === undefined ? '' : json.toString('utf8', members.usage.start, members.usage.end);
  if (own.startsWith('{')) return parseUsage(own);
  const groq = members.x_groq;
  if (groq === undefined || json[groq.start] !== 0x7b) return undefined;
  const nested = scanObject(json, groqKeys, groq.start, groq.end).members.usage;
  const text = nested === undefined ? '' : json.toString('utf8', nested.start, nested.end);
  return text.startsWith('{') ? parseUsage(text) : undefined;
}

function parseUsage(raw: string): FoundUsage | undefined {
  const value: unknown = JSON.parse(raw);
  return isObject(value) && Object.keys(value).length > 0 ? { usage: readUsage(value), raw } : undefined;
}

export function readUsage(wire: JsonObject): Usage {
  const prompt = tokenCount(wire.prompt_tokens);
  const completion = tokenCount(wire.completion_tokens);
  const total = tokenCount(wire.total_tokens);
  const promptDetails = isObject(wire.prompt_tokens_details) ? wire.prompt_tokens_details : {};
  const outputDetails = isObject(wire.completion_tokens_details) ? wire.completion_tokens_details : {};

  const cacheRead = tokenCount(
    promptDetails.cached_tokens ??
      wire.prompt_cache_hit_tokens ??
      wire.cached_tokens ??
      wire.cache_read_input_tokens,
  );
  const cacheWrite = tokenCount(promptDetails.cache_write_tokens ?? wire.cache_creation_input_tokens);
  const reasoning = tokenCount(outputDetails.reasoning_tokens);
  const cache = cacheRead + cacheWrite;

  const plain = prompt + completion;
  const reasoningIsOutside =
    reasoning > 0 && (total === plain + reasoning || (total === 0 && reasoning > completion));
  const cacheIsOutside = cache > 0 && (total === plain + cache || (total === 0 && cache > prompt));
  const [inputCacheRead, inputCacheWrite, inputAudio, input] = take(
    cacheIsOutside ? prompt + cache : prompt,
    cacheRead,
    cacheWrite,
    tokenCount(promptDetails.audio_tokens),
  );
  const [outputReasoning, outputAudio, , output] = take(
    reasoningIsOutside ? completion + reasoning : completion,
    reasoning,
    tokenCount(outputDetails.audio_tokens),
    0,
  );
  return { input, inputCacheRead, inputCacheWrite, inputAudio, output, outputReasoning, outputAudio };
}

export function writeUsage(usage: Usage): Record<string, unknown> {
  const prompt = inputTotal(usage);
  const completion = outputTotal(usage);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: usage.inputCacheRead,
      audio_tokens: usage.inputAudio,
      ...(usage.inputCacheWrite === 0 ? {} : { cache_write_tokens: usage.inputCacheWrite }),
    },
    completion_tokens_details: {
      reasoning_tokens: usage.outputReasoning,
      audio_tokens: usage.outputAudio,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** Parts of a whole, in order, and what is left: a vendor whose details exceed its sum cannot make anything negative. */
function take(whole: number, first: number, second: number, third: number): [number, number, number, number] {
  const one = Math.min(first, whole);
  const two = Math.min(second, whole - one);
  const three = Math.min(third, whole - one - two);
  return [one, two, three, whole - one - two - three];
}
