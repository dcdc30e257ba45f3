// Token counts taken apart into a disjoint vector. Google counts cached tokens inside the prompt, thoughts outside the answer, and what
// its own tools fed the model outside both. Every chunk of a stream reports the sums so far, so the last report holds.
import { isObject, type JsonObject, objectsIn } from '../../json/values.ts';
import { type FoundUsage, inputTotal, tokenCount, type Usage } from '../../turn/usage.ts';
import { named } from './wire.ts';

/** The counts of an answer or a chunk of one; undefined when it has none. */
export function findUsage(answer: JsonObject): FoundUsage | undefined {
  const wire = answer.usageMetadata ?? answer.usage_metadata;
  if (!isObject(wire) || Object.keys(wire).length === 0) return undefined;
  return { usage: readUsage(named(wire)), raw: JSON.stringify(wire) };
}

export function readUsage(wire: JsonObject): Usage {
  const prompt = tokenCount(wire.promptTokenCount);
  const inputCacheRead = Math.min(prompt, tokenCount(wire.cachedContentTokenCount));
  const cachedAudio = audioIn(wire.cacheTokensDetails);
  const inputAudio = Math.min(
    prompt - inputCacheRead,
    Math.max(0, audioIn(wire.promptTokensDetails) - cachedAudio),
  );
  const answer = tokenCount(wire.candidatesTokenCount);
  const outputAudio = Math.min(answer, audioIn(wire.candidatesTokensDetails));
  return {
    input: prompt - inputCacheRead - inputAudio + tokenCount(wire.toolUsePromptTokenCount),
    inputCacheRead,
    inputCacheWrite: 0,
    inputAudio,
    output: answer - outputAudio,
    outputReasoning: tokenCount(wire.thoughtsTokenCount),
    outputAudio,
  };
}

export function writeUsage(usage: Usage): JsonObject {
  const promptTokenCount = inputTotal(usage);
  const candidatesTokenCount = usage.output + usage.outputAudio;
  const { inputAudio, inputCacheRead, outputAudio, outputReasoning } = usage;
  return {
    promptTokenCount,
    candidatesTokenCount,
    totalTokenCount: promptTokenCount + candidatesTokenCount + outputReasoning,
    ...(inputCacheRead === 0 ? {} : { cachedContentTokenCount: inputCacheRead }),
    ...(inputAudio === 0 ? {} : { promptTokensDetails: byModality(promptTokenCount, inputAudio) }),
    ...(outputAudio === 0 ? {} : { candidatesTokensDetails: byModality(candidatesTokenCount, outputAudio) }),
    ...(outputReasoning === 0 ? {} : { thoughtsTokenCount: outputReasoning }),
  };
}

function byModality(whole: number, audio: number): readonly JsonObject[] {
  return [
    { modality: 'TEXT', tokenCount: whole - audio },
    { modality: 'AUDIO', tokenCount: audio },
  ];
}

/** Some ways of asking give numbers for words. */
const audioNames: readonly unknown[] = ['AUDIO', 4];

function audioIn(details: unknown): number {
  return objectsIn(details)
    .map(named)
    .filter(({ modality }) => audioNames.includes(modality))
    .reduce((sum, { tokenCount: tokens }) => sum + tokenCount(tokens), 0);
}
