// The settings of a request, both ways: `generationConfig` and what belongs to it. Extras keep the object as it was sent; what has a
// canonical name is laid over it.
import { defined, isObject, type JsonObject, objectOf, wrongType } from '../../json/values.ts';
import { effortBudgets, effortOf } from '../../turn/reasoning.ts';
import type { ResponseFormat, TurnRequest } from '../../turn/request.ts';
import type { Unsupported } from '../dialect.ts';
import { modelNamed } from './models.ts';
import { readSchema, writeSchema } from './schema.ts';
import { named } from './wire.ts';

/** Settings whose value is the same on both sides. */
export const plainSettings = [
  { wire: 'temperature', name: 'temperature' },
  { wire: 'topP', name: 'topP' },
  { wire: 'topK', name: 'topK' },
  { wire: 'maxOutputTokens', name: 'maxOutputTokens' },
  { wire: 'candidateCount', name: 'choices' },
  { wire: 'seed', name: 'seed' },
  { wire: 'presencePenalty', name: 'presencePenalty' },
  { wire: 'frequencyPenalty', name: 'frequencyPenalty' },
] as const satisfies readonly { readonly wire: string; readonly name: keyof TurnRequest }[];

type Settings = Partial<TurnRequest>;
const JSON_TYPE = 'application/json';
const SEED_MAX = 2 ** 31 - 1;

export function decodeGeneration(wire: JsonObject): Settings {
  const plain = plainSettings.map(({ wire: field, name }) => [name, numberAt(wire, field)]);
  return defined({
    ...Object.fromEntries(plain),
    stop: decodeStop(wire.stopSequences),
    logprobs: wire.responseLogprobs === true ? { top: numberAt(wire, 'logprobs') ?? 0 } : undefined,
    responseFormat: decodeFormat(wire),
    ...decodeThinking(named(wire.thinkingConfig)),
  });
}

function numberAt(wire: JsonObject, field: string): number | undefined {
  const value = wire[field];
  if (value == null) return undefined;
  if (typeof value !== 'number') throw wrongType(`generationConfig.${field}`, 'a number');
  return value;
}

function decodeStop(stop: unknown): readonly string[] | undefined {
  if (stop == null) return undefined;
  if (Array.isArray(stop) && stop.every((text) => typeof text === 'string')) return stop;
  throw wrongType('generationConfig.stopSequences', 'a list of strings');
}

function decodeFormat(wire: JsonObject): ResponseFormat | undefined {
  const { responseMimeType: type, responseJsonSchema, responseSchema } = wire;
  if (type === 'text/plain') return { kind: 'text' };
  if (type !== JSON_TYPE) return undefined;
  const schema = isObject(responseJsonSchema)
    ? responseJsonSchema
    : isObject(responseSchema)
      ? readSchema(responseSchema)
      : undefined;
  return schema === undefined ? { kind: 'json' } : { kind: 'schema', fields: { name: 'answer', schema } };
}

function decodeThinking({ thinkingBudget, thinkingLevel, includeThoughts }: JsonObject): Settings {
  const budget = typeof thinkingBudget === 'number' ? thinkingBudget : undefined;
  const level = typeof thinkingLevel === 'string' ? thinkingLevel.toLowerCase() : undefined;
  const isLevel = level !== undefined && level !== 'thinking_level_unspecified';
  return defined({
    reasoningEffort: budget === 0 ? 'none' : isLevel ? level : undefined,
    // Below zero the model decides.
    reasoningTokens: budget !== undefined && budget > 0 ? budget : undefined,
    showReasoning: typeof includeThoughts === 'boolean' ? includeThoughts : undefined,
  });
}

export function encodeGeneration(
  request: TurnRequest,
  own: JsonObject,
  unsupported: Unsupported,
): JsonObject {
  const { extras, stop, logprobs } = request;
  const plain = plainSettings.map(({ wire, name }) => [wire, request[name]]);
  const isOwn = extras.generationConfig !== undefined;
  const settings = {
    ...own,
    ...defined({
      ...Object.fromEntries(plain),
      stopSequences: stop,
      ...(logprobs === undefined || isOwn
        ? {}
        : { responseLogprobs: true, logprobs: logprobs.top > 0 ? logprobs.top : undefined }),
      ...(isOwn ? {} : encodeFormat(request.responseFormat)),
    }),
  };
  const thinking = isOwn ? {} : encodeThinking(request, unsupported);
  return Object.keys(thinking).length === 0 ? settings : { ...settings, thinkingConfig: thinking };
}

function encodeFormat(format: ResponseFormat | undefined): JsonObject {
  if (format === undefined || format.kind === 'text') return {};
  const schema = format.kind === 'schema' ? writeSchema(objectOf(format.fields.schema)) : undefined;
  if (schema === undefined) return { responseMimeType: JSON_TYPE };
  const field = schema.form === 'schema' ? 'responseSchema' : 'responseJsonSchema';
  return { responseMimeType: JSON_TYPE, [field]: schema.schema };
}

export function checkSettings(request: TurnRequest, unsupported: Unsupported): TurnRequest {
  const { choices, stream, seed, parallelToolCalls, verbosity, ...others } = request;
  const keeps = {
    choices: choices === undefined || choices === 1 || !stream,
    seed: seed === undefined || Math.abs(seed) <= SEED_MAX,
  };
  if (!keeps.choices) unsupported('choices', 'this model streams one answer at a time.');
  if (!keeps.seed) unsupported('seed', 'a seed of this model has no more than 31 bits.');
  if (parallelToolCalls === false && request.tools.length > 0) {
    unsupported('parallelToolCalls', 'nobody can keep this model from calling several tools at once.');
  }
  if (verbosity !== undefined && verbosity !== 'medium') {
    unsupported('verbosity', 'this model is not told how much to say.');
  }
  return {
    ...others,
    stream,
    ...defined({ choices: keeps.choices ? choices : undefined, seed: keeps.seed ? seed : undefined }),
  };
}

function encodeThinking(request: TurnRequest, unsupported: Unsupported): JsonObject {
  const { thinking } = modelNamed(request.model);
  const { reasoningEffort: effort, reasoningTokens: tokens, showReasoning } = request;
  const isAsked = tokens !== undefined || (effort !== undefined && effort !== 'none');
  if (thinking === 'none') {
    if (isAsked)
      unsupported(
        tokens === undefined ? 'reasoningEffort' : 'reasoningTokens',
        'this model does not reason.',
      );
    return {};
  }
  const amount =
    thinking === 'budget' ? encodeBudget(request, unsupported) : encodeLevel(request, unsupported);
  return { ...amount, ...(showReasoning === undefined ? {} : { includeThoughts: showReasoning }) };
}

function encodeBudget(
  { model, reasoningEffort: effort, reasoningTokens: tokens }: TurnRequest,
  unsupported: Unsupported,
): JsonObject {
  const { budgetMin = 0, budgetMax = Number.POSITIVE_INFINITY, canRest } = modelNamed(model);
  const asked = tokens ?? (effort === undefined || effort === 'none' ? undefined : effortBudgets[effort]);
  if (asked !== undefined) return { thinkingBudget: Math.min(Math.max(asked, budgetMin), budgetMax) };
  if (effort === undefined) return {};
  if (effort === 'none' && canRest === true) return { thinkingBudget: 0 };
  unsupported(
    'reasoningEffort',
    effort === 'none' ? 'this model always reasons.' : `"${effort}" is no effort that this model knows.`,
  );
  return {};
}

function encodeLevel(
  { model, reasoningEffort, reasoningTokens: tokens }: TurnRequest,
  unsupported: Unsupported,
): JsonObject {
  const effort = reasoningEffort ?? (tokens === undefined ? undefined : effortOf(tokens));
  if (effort === undefined) return {};
  if (!Object.hasOwn(effortBudgets, effort)) {
    const reason =
      effort === 'none'
        ? 'this model always reasons; "minimal" is the least.'
        : `"${effort}" is no effort that this model knows.`;
    unsupported('reasoningEffort', reason);
    return {};
  }
  return { thinkingLevel: modelNamed(model).levels?.[effort] ?? effort };
}
