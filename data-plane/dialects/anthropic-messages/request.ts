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
import type { ResponseFormat, Tool, ToolChoice, TurnRequest } from '../../turn/request.ts';
import type { FieldNames, RequestHead } from '../dialect.ts';
import { encodeConversation } from './conversation.ts';
import { decodeMessage, decodeSystem } from './message.ts';
import { effortBudgets, effortOf, modelNamed } from './models.ts';
import { unsupported } from './wire.ts';

export const fieldNames: FieldNames = {
  maxOutputTokens: 'max_tokens',
  topP: 'top_p',
  stop: 'stop_sequences',
  endUser: 'metadata.user_id',
  toolChoice: 'tool_choice',
  parallelToolCalls: 'tool_choice.disable_parallel_tool_use',
  responseFormat: 'output_config.format',
  reasoningEffort: 'output_config.effort',
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
  const effort = decodeEffort(objectOf(wire.thinking), config);
  const metadata = objectOf(wire.metadata);
  const known = defined({
    maxOutputTokens: numberAt(wire, 'max_tokens'),
    temperature: numberAt(wire, 'temperature'),
    topP: numberAt(wire, 'top_p'),
    stop: decodeStop(wire.stop_sequences),
    endUser: typeof metadata.user_id === 'string' ? metadata.user_id : undefined,
    toolChoice,
    parallelToolCalls:
      typeof choice.disable_parallel_tool_use === 'boolean' ? !choice.disable_parallel_tool_use : undefined,
    responseFormat: format,
    reasoningEffort: effort,
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
    stop_sequences: wire.stop_sequences != null,
  };
  const restored = Object.keys(isRestored).filter((field) => isRestored[field]);
  return rest(wire, restored) ?? {};
}

/** Throws `unsupported_field` for what Claude cannot be asked. */
export function encode(request: TurnRequest): Record<string, unknown> {
  const { extras, model } = request;
  refuseUnsupported(request);
  const { system, messages } = encodeConversation(request.messages);
  const limit = request.maxOutputTokens ?? modelNamed(model).outputTokensMax;
  const isOwn = extras.thinking !== undefined || extras.output_config !== undefined;
  const reasoning = isOwn ? {} : encodeReasoning(request, limit);
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

function refuseUnsupported({ choices, seed, responseFormat }: TurnRequest): void {
  if ((choices ?? 1) !== 1) throw unsupported('n', 'this model gives one answer at a time. Send n: 1.');
  if (seed !== undefined) throw unsupported('seed', 'this model has no seed. Leave it out.');
  if (responseFormat?.kind === 'json') {
    throw unsupported('response_format', 'this model takes a JSON schema. Send the type json_schema.');
  }
}

function thinks(effort: string | undefined): effort is string {
  return effort !== undefined && effort !== 'none';
}

function encodeReasoning(
  { model, reasoningEffort, messages, toolChoice }: TurnRequest,
  limit: number,
): { readonly thinking?: JsonObject; readonly output_config?: JsonObject } {
  if (!thinks(reasoningEffort)) return {};
  if (toolChoice === 'required' || typeof toolChoice === 'object') {
    throw unsupported('reasoning_effort', 'this model cannot reason when a tool is demanded. Leave one out.');
  }
  if (!Object.hasOwn(effortBudgets, reasoningEffort)) {
    throw unsupported('reasoning_effort', `"${reasoningEffort}" is no effort that this model knows.`);
  }
  // Between a tool's call and the answer, thinking goes on only where its signature was kept, and other dialects keep none.
  if (messages.at(-1)?.role === 'tool') return {};
  if (modelNamed(model).isAdaptive) {
    const effort = reasoningEffort === 'minimal' ? 'low' : reasoningEffort;
    return { thinking: { type: 'adaptive' }, output_config: { effort } };
  }
  if (limit <= BUDGET_MIN) {
    throw unsupported('reasoning_effort', `this model needs a limit above ${BUDGET_MIN} tokens to reason.`);
  }
  const budget = Math.max(BUDGET_MIN, Math.min(effortBudgets[reasoningEffort]!, Math.floor(limit / 2)));
  return { thinking: { type: 'enabled', budget_tokens: budget } };
}

function decodeEffort(thinking: JsonObject, config: JsonObject): string | undefined {
  if (typeof config.effort === 'string') return config.effort;
  if (thinking.type !== 'enabled') return undefined;
  return effortOf(typeof thinking.budget_tokens === 'number' ? thinking.budget_tokens : 0);
}

function decodeTool(tool: unknown, index: number): Tool {
  if (!isObject(tool)) throw wrongType(`tools[${index}]`, 'an object');
  const isFunction = isObject(tool.input_schema) && (tool.type === undefined || tool.type === 'custom');
  if (!isFunction) return { name: textOf(tool.name), extras: { whole: tool } };
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

function numberAt(wire: JsonObject, field: string): number | undefined {
  const value = wire[field];
  if (value == null) return undefined;
  if (typeof value !== 'number') throw wrongType(field, 'a number');
  return value;
}
