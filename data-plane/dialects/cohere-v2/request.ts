// A canonical request in Cohere's words. Most are OpenAI's with other names; a tool can be demanded but not by its name, so that
// one alone is offered instead.
import { defined, type JsonObject } from '../../json/values.ts';
import { effortBudgets } from '../../turn/reasoning.ts';
import type { ResponseFormat, Tool, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget } from '../dialect.ts';
import { checkFields, refuse, type UnknownField } from '../unknown-fields.ts';
import { encodeMessages } from './conversation.ts';

export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const unsupported = target?.unsupported ?? refuse;
  checkFields(request, unknownFields, unsupported);
  return {
    model: request.model,
    messages: encodeMessages(request.messages, { model: request.model, unsupported }),
    ...encodeTools(request),
    ...defined({
      response_format: encodeFormat(request.responseFormat),
      max_tokens: request.maxOutputTokens,
      temperature: request.temperature,
      p: request.topP,
      k: request.topK,
      seed: request.seed,
      frequency_penalty: request.frequencyPenalty,
      presence_penalty: request.presencePenalty,
      stop_sequences: request.stop,
      thinking: encodeThinking(request),
      logprobs: request.logprobs === undefined ? undefined : true,
    }),
    stream: request.stream,
  };
}

/** What Cohere cannot be asked. */
const unknownFields: readonly UnknownField[] = [
  {
    field: 'choices',
    isAsked: ({ choices }) => (choices ?? 1) !== 1,
    reason: 'this model gives one answer at a time.',
  },
  {
    field: 'parallelToolCalls',
    isAsked: ({ parallelToolCalls, tools }) => parallelToolCalls === false && tools.length > 0,
    reason: 'this model decides by itself how many tools it calls at once.',
  },
  {
    field: 'logprobs',
    isAsked: ({ logprobs }) => (logprobs?.top ?? 0) > 0,
    reason: 'this model tells how likely the tokens it chose were, and not which others there were.',
  },
  {
    field: 'verbosity',
    isAsked: ({ verbosity = 'medium' }) => verbosity !== 'medium',
    reason: 'this model takes no verbosity.',
  },
];

function encodeTools({ tools, toolChoice }: TurnRequest): JsonObject {
  if (tools.length === 0) return {};
  const named = typeof toolChoice === 'object' ? tools.filter(({ name }) => name === toolChoice.name) : [];
  const offered = named.length > 0 ? named : tools;
  const isDemanded = toolChoice === 'required' || typeof toolChoice === 'object';
  return {
    tools: offered.map(encodeTool),
    ...(isDemanded ? { tool_choice: 'REQUIRED' } : {}),
    ...(toolChoice === 'none' ? { tool_choice: 'NONE' } : {}),
    ...(offered.every(isStrict) ? { strict_tools: true } : {}),
  };
}

function encodeTool({ name, description, parameters }: Tool): JsonObject {
  const schema = parameters ?? { type: 'object', properties: {} };
  return { type: 'function', function: { ...defined({ name, description }), parameters: schema } };
}

/** Cohere is strict with all tools or none, and only where each demands something. */
function isStrict({ strict, parameters }: Tool): boolean {
  const required = parameters?.required;
  return strict === true && Array.isArray(required) && required.length > 0;
}

function encodeFormat(format: ResponseFormat | undefined): JsonObject | undefined {
  if (format?.kind === 'json') return { type: 'json_object' };
  return format?.kind === 'schema' ? { type: 'json_object', json_schema: format.fields.schema } : undefined;
}

/** Models think as long as they like unless there is a budget; those that never think have no such switch. */
function encodeThinking({ model, reasoningEffort, reasoningTokens }: TurnRequest): JsonObject | undefined {
  if (reasoningEffort === undefined && reasoningTokens === undefined) return undefined;
  if (reasoningEffort === 'none' || reasoningTokens === 0) {
    return model.includes('reasoning') ? { type: 'disabled' } : undefined;
  }
  const isUnbounded = reasoningTokens === undefined && unboundedEfforts.includes(reasoningEffort ?? '');
  const budget = reasoningTokens ?? effortBudgets[reasoningEffort ?? ''];
  return { type: 'enabled', ...(isUnbounded ? {} : defined({ token_budget: budget })) };
}

const unboundedEfforts = ['high', 'xhigh', 'max'];
