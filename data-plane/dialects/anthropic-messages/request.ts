// A client's body as a canonical request and back. Whatever has no canonical name is carried in extras under its own name.
// Encoding starts from the extras and lays the canonical values over them, so that decode followed by encode gives back the
// body as it was; without extras it writes what a client of this dialect would have written.
import { parseJson } from '../../json/parse.ts';
import {
  defined,
  isObject,
  type JsonObject,
  objectOf,
  rest,
  textOf,
  withExtras,
  wrongType,
} from '../../json/values.ts';
import { effortBudgets, effortOf } from '../../turn/reasoning.ts';
import type { ResponseFormat, Tool, ToolChoice, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget, FieldNames, RequestHead } from '../dialect.ts';
import { scalarAt, unrestored } from '../plain-fields.ts';
import { checkFields, refuse, type UnknownField } from '../unknown-fields.ts';
import { encodeConversation } from './conversation.ts';
import { decodeMessage, decodeSystem } from './message.ts';
import { modelNamed } from './models.ts';

export const fieldNames: FieldNames = {
  maxOutputTokens: 'max_tokens',
  topP: 'top_p',
  topK: 'top_k',
  serviceTier: 'service_tier',
  stop: 'stop_sequences',
  endUser: 'metadata.user_id',
  toolChoice: 'tool_choice',
  parallelToolCalls: 'tool_choice.disable_parallel_tool_use',
  responseFormat: 'output_config.format',
  reasoningEffort: 'output_config.effort',
  reasoningTokens: 'thinking.budget_tokens',
  showReasoning: 'thinking.display',
};

const TEMPERATURE_MAX = 1;
const BUDGET_MIN = 1024;

/** Throws `invalid_json` or `invalid_request` naming the field. */
export function decode(head: RequestHead): TurnRequest {
  const wire = parseJson(head.body);
  if (!isObject(wire)) throw wrongType('', 'an object');
  if (!Array.isArray(wire.messages)) throw wrongType('messages', 'a list');
  const choice = objectOf(wire.tool_choice);
  const config = objectOf(wire.output_config);
  const toolChoice = decodeToolChoice(choice);
  const format = decodeFormat(config.format ?? wire.output_format);
  const thinking = objectOf(wire.thinking);
  const metadata = objectOf(wire.metadata);
  const known = defined({
    maxOutputTokens: scalarAt(wire, 'max_tokens', 'number'),
    temperature: scalarAt(wire, 'temperature', 'number'),
    topP: scalarAt(wire, 'top_p', 'number'),
    topK: scalarAt(wire, 'top_k', 'number'),
    serviceTier: serviceTiers[textOf(wire.service_tier)],
    stop: decodeStop(wire.stop_sequences),
    endUser: typeof metadata.user_id === 'string' ? metadata.user_id : undefined,
    toolChoice,
    parallelToolCalls:
      typeof choice.disable_parallel_tool_use === 'boolean' ? !choice.disable_parallel_tool_use : undefined,
    responseFormat: format,
    ...decodeReasoning(thinking, config),
  });
  return {
    model: head.model,
    stream: head.stream,
    messages: [
      ...decodeSystem(wire.system),
      ...wire.messages.flatMap((message, index) => decodeMessage(message, index)),
    ],
    tools: Array.isArray(wire.tools) ? wire.tools.map(decodeTool) : [],
    ...known,
    extras: spellings(wire, toolChoice !== undefined),
  };
}

/** Every field that encoding would not write from the canonical values alone, exactly as it was sent. */
function spellings(wire: JsonObject, hasToolChoice: boolean): JsonObject {
  const isRestored: Readonly<Record<string, boolean>> = {
    model: true,
    messages: true,
    system: typeof wire.system === 'string' || Array.isArray(wire.system),
    stream: wire.stream === true,
    tools: Array.isArray(wire.tools) && wire.tools.length > 0,
    tool_choice: hasToolChoice,
    max_tokens: wire.max_tokens != null,
    temperature: wire.temperature != null,
    top_p: wire.top_p != null,
    top_k: wire.top_k != null,
    stop_sequences: wire.stop_sequences != null,
  };
  return unrestored(wire, isRestored);
}

/** What each of Anthropic's tiers is called elsewhere. */
const serviceTiers: Readonly<Record<string, string>> = { auto: 'auto', standard_only: 'default' };

export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const { extras, model } = request;
  const unsupported = target?.unsupported ?? refuse;
  checkFields(request, unknownFields, unsupported);
  const { system, messages } = encodeConversation(request.messages, unsupported);
  const limit = request.maxOutputTokens ?? modelNamed(model).outputTokensMax;
  const isOwn = extras.thinking !== undefined || extras.output_config !== undefined;
  const reasoning = isOwn ? {} : encodeReasoning(request, limit, target);
  const format = request.responseFormat?.kind === 'schema' && extras.output_format === undefined;
  const config = {
    ...objectOf(extras.output_config),
    ...objectOf(reasoning.output_config),
    ...(format ? { format: encodeFormat(request.responseFormat) } : {}),
  };
  const choice = encodeToolChoice(request);
  return {
    ...extras,
    model,
    max_tokens: limit,
    ...(system === undefined ? {} : { system }),
    messages,
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(encodeTool) }),
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...defined({
      temperature:
        request.temperature === undefined ? undefined : Math.min(request.temperature, TEMPERATURE_MAX),
      top_p: request.topP,
      top_k: request.topK,
      service_tier: encodeTier(request),
      stop_sequences: request.stop,
      thinking: reasoning.thinking,
    }),
    ...(request.endUser === undefined
      ? {}
      : { metadata: { ...objectOf(extras.metadata), user_id: request.endUser } }),
    ...(Object.keys(config).length === 0 ? {} : { output_config: config }),
    ...(request.stream ? { stream: true } : {}),
  };
}

/** What Claude cannot be asked. */
const unknownFields: readonly UnknownField[] = [
  {
    field: 'choices',
    isAsked: ({ choices }) => (choices ?? 1) !== 1,
    reason: 'this model gives one answer at a time.',
  },
  { field: 'seed', isAsked: ({ seed }) => seed !== undefined, reason: 'this model has no seed.' },
  {
    field: 'presencePenalty',
    isAsked: ({ presencePenalty = 0 }) => presencePenalty !== 0,
    reason: 'this model has no penalties.',
  },
  {
    field: 'frequencyPenalty',
    isAsked: ({ frequencyPenalty = 0 }) => frequencyPenalty !== 0,
    reason: 'this model has no penalties.',
  },
  {
    field: 'logprobs',
    isAsked: ({ logprobs }) => logprobs !== undefined,
    reason: 'this model does not tell how likely its tokens were.',
  },
  {
    field: 'verbosity',
    isAsked: ({ verbosity = 'medium' }) => verbosity !== 'medium',
    reason: 'this model takes no verbosity.',
  },
  {
    field: 'responseFormat',
    isAsked: ({ responseFormat }) => responseFormat?.kind === 'json',
    reason: 'this model takes a JSON schema, and no JSON without one.',
  },
];

/** Other vendors' tiers have no equal here, and are a matter of price and speed alone. */
function encodeTier({ serviceTier, extras }: TurnRequest): unknown {
  if (extras.service_tier !== undefined) return extras.service_tier;
  return Object.keys(serviceTiers).find((tier) => serviceTiers[tier] === serviceTier);
}

interface EncodedReasoning {
  readonly thinking?: JsonObject;
  readonly output_config?: JsonObject;
}

function encodeReasoning(
  request: TurnRequest,
  limit: number,
  target: EncodeTarget | undefined,
): EncodedReasoning {
  const { model, reasoningEffort, reasoningTokens, messages, toolChoice } = request;
  const unsupported = target?.unsupported ?? refuse;
  const field = reasoningTokens === undefined ? 'reasoningEffort' : 'reasoningTokens';
  const effort = reasoningEffort ?? (reasoningTokens === undefined ? 'none' : effortOf(reasoningTokens));
  if (effort === 'none') return {};
  if (toolChoice === 'required' || typeof toolChoice === 'object') {
    unsupported(field, 'this model cannot reason when a tool is demanded.');
    return {};
  }
  const wanted = reasoningTokens ?? effortBudgets[effort];
  if (wanted === undefined) {
    unsupported(field, `"${effort}" is no effort that this model knows.`);
    return {};
  }
  // Between a tool's call and the answer, thinking goes on only where the client has kept its signature.
  if (isBetweenTools(messages) && !isSigned(messages)) {
    target?.leftOut?.(field);
    return {};
  }
  if (modelNamed(model).isAdaptive) {
    const display =
      request.showReasoning === undefined ? {} : { display: shown[String(request.showReasoning)] };
    return {
      thinking: { type: 'adaptive', ...display },
      output_config: { effort: effort === 'minimal' ? 'low' : effort },
    };
  }
  if (limit <= BUDGET_MIN) {
    unsupported(field, `this model needs a limit above ${BUDGET_MIN} tokens to reason.`);
    return {};
  }
  const budget = Math.max(
    BUDGET_MIN,
    Math.min(wanted, reasoningTokens === undefined ? Math.floor(limit / 2) : limit - 1),
  );
  return { thinking: { type: 'enabled', budget_tokens: budget } };
}

const shown: Readonly<Record<string, string>> = { true: 'summarized', false: 'omitted' };

function isBetweenTools(messages: TurnRequest['messages']): boolean {
  return messages.at(-1)?.role === 'tool';
}

/** Whether the last thing the model said begins with its own reasoning, as it has to. */
function isSigned(messages: TurnRequest['messages']): boolean {
  const last = messages.findLast(({ role }) => role === 'assistant');
  const first = last?.parts[0];
  return first?.kind === 'reasoning' && first.signature?.maker === 'anthropic';
}

function decodeReasoning(thinking: JsonObject, config: JsonObject): Partial<TurnRequest> {
  const isShown = Object.keys(shown).find((key) => shown[key] === thinking.display);
  const display = isShown === undefined ? {} : { showReasoning: isShown === 'true' };
  if (thinking.type === 'disabled') return { reasoningEffort: 'none' };
  if (typeof config.effort === 'string') return { reasoningEffort: config.effort, ...display };
  // Left to itself, a model thinks as it does at this effort.
  if (thinking.type === 'adaptive') return { reasoningEffort: 'high', ...display };
  if (thinking.type !== 'enabled') return display;
  const tokens = typeof thinking.budget_tokens === 'number' ? thinking.budget_tokens : BUDGET_MIN;
  return { reasoningTokens: tokens, ...display };
}

function decodeTool(tool: unknown, index: number): Tool {
  if (!isObject(tool)) throw wrongType(`tools[${index}]`, 'an object');
  const isFunction = isObject(tool.input_schema) && (tool.type === undefined || tool.type === 'custom');
  if (!isFunction) return { name: textOf(tool.name), isPrivate: true, extras: { whole: tool } };
  if (typeof tool.name !== 'string') throw wrongType(`tools[${index}].name`, 'a string');
  const known = defined({
    description: typeof tool.description === 'string' ? tool.description : undefined,
    strict: typeof tool.strict === 'boolean' ? tool.strict : undefined,
    cacheControl: isObject(tool.cache_control) ? tool.cache_control : undefined,
  });
  const understood = ['name', 'input_schema', 'description', 'strict', 'cache_control'];
  return {
    name: tool.name,
    parameters: objectOf(tool.input_schema),
    ...known,
    ...withExtras(
      defined({
        fields: rest(
          tool,
          understood.filter((field) => tool[field] !== null),
        ),
      }),
    ),
  };
}

function encodeTool({ name, description, parameters, strict, cacheControl, extras = {} }: Tool): JsonObject {
  if (isObject(extras.whole)) return extras.whole;
  return {
    ...objectOf(extras.fields),
    name,
    ...defined({ description, strict, cache_control: cacheControl }),
    input_schema: { type: 'object', ...parameters },
  };
}

const choiceTypes = { auto: 'auto', any: 'required', none: 'none' } as const;

function decodeToolChoice(choice: JsonObject): ToolChoice | undefined {
  if (choice.type === 'tool' && typeof choice.name === 'string') return { name: choice.name };
  const type = textOf(choice.type);
  return Object.hasOwn(choiceTypes, type) ? choiceTypes[type as keyof typeof choiceTypes] : undefined;
}

function encodeToolChoice({ toolChoice, parallelToolCalls, tools }: TurnRequest): JsonObject | undefined {
  if (toolChoice === undefined && (parallelToolCalls === undefined || tools.length === 0)) return undefined;
  const parallel =
    parallelToolCalls === undefined || toolChoice === 'none'
      ? {}
      : { disable_parallel_tool_use: !parallelToolCalls };
  if (typeof toolChoice === 'object') return { type: 'tool', name: toolChoice.name, ...parallel };
  return { type: toolChoice === 'required' ? 'any' : (toolChoice ?? 'auto'), ...parallel };
}

function decodeFormat(format: unknown): ResponseFormat | undefined {
  if (!isObject(format) || format.type !== 'json_schema') return undefined;
  return { kind: 'schema', fields: { name: 'answer', schema: format.schema } };
}

function encodeFormat(format: ResponseFormat | undefined): JsonObject {
  return { type: 'json_schema', schema: format?.kind === 'schema' ? format.fields.schema : undefined };
}

function decodeStop(stop: unknown): readonly string[] | undefined {
  if (stop == null) return undefined;
  if (Array.isArray(stop) && stop.every((text) => typeof text === 'string')) return stop;
  throw wrongType('stop_sequences', 'a list of strings');
}
