// A client's body as a canonical request and back. Whatever has no canonical name is carried in extras under its own name;
// where one meaning has several spellings (a string or a list of parts, max_tokens or max_completion_tokens), extras keep which
// it was. Encoding starts from the extras and lays the canonical values over them, so that what is changed in between wins and
// decode followed by encode gives back the body as it was.
import { parseJson } from '../../json/parse.ts';
import {
  defined,
  isObject,
  type JsonObject,
  rest,
  textOf,
  withExtras,
  wrongType,
} from '../../json/values.ts';
import { effortOf } from '../../turn/reasoning.ts';
import type { ResponseFormat, Tool, ToolChoice, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget, FieldNames, RequestHead } from '../dialect.ts';
import { decodeStop, encodeStop } from '../openai-stop.ts';
import {
  listAt,
  type PlainField,
  plainNames,
  plainRestored,
  readPlain,
  scalarAt,
  unrestored,
  writePlain,
} from '../plain-fields.ts';
import { adopt } from './adopt.ts';
import { cacheControlOf, decodeMessage, encodeMessage } from './message.ts';

/** Fields whose value is the same on both sides. */
const plainFields = [
  { wire: 'temperature', name: 'temperature', type: 'number' },
  { wire: 'top_p', name: 'topP', type: 'number' },
  { wire: 'top_k', name: 'topK', type: 'integer' },
  { wire: 'presence_penalty', name: 'presencePenalty', type: 'number' },
  { wire: 'frequency_penalty', name: 'frequencyPenalty', type: 'number' },
  { wire: 'n', name: 'choices', type: 'integer' },
  { wire: 'seed', name: 'seed', type: 'integer' },
  { wire: 'parallel_tool_calls', name: 'parallelToolCalls', type: 'boolean' },
  { wire: 'user', name: 'endUser', type: 'string' },
  { wire: 'reasoning_effort', name: 'reasoningEffort', type: 'string' },
  { wire: 'service_tier', name: 'serviceTier', type: 'string' },
  { wire: 'verbosity', name: 'verbosity', type: 'string' },
] as const satisfies readonly PlainField[];

export const fieldNames: FieldNames = {
  ...plainNames(plainFields),
  maxOutputTokens: 'max_completion_tokens',
  toolChoice: 'tool_choice',
  responseFormat: 'response_format',
  logprobs: 'logprobs',
  choices: 'n',
};

/** Throws `invalid_json` or `invalid_request` naming the field. */
export function decode(head: RequestHead): TurnRequest {
  const wire = parseJson(head.body);
  if (!isObject(wire)) throw wrongType('', 'an object');
  const limit = scalarAt(wire, 'max_completion_tokens', 'integer') ?? scalarAt(wire, 'max_tokens', 'integer');
  const stop = decodeStop(wire.stop);
  const toolChoice = decodeToolChoice(wire.tool_choice);
  const format = decodeFormat(wire.response_format);
  const logprobs = wire.logprobs === true ? { top: topLogprobs(wire.top_logprobs) } : undefined;
  const request: TurnRequest = {
    model: head.model,
    stream: head.stream,
    messages: listAt(wire, 'messages').map((message, index) => decodeMessage(message, `messages[${index}]`)),
    tools: (wire.tools == null ? [] : listAt(wire, 'tools')).map(decodeTool),
    ...readPlain(wire, plainFields),
    ...(limit === undefined ? {} : { maxOutputTokens: limit as number }),
    ...(stop === undefined ? {} : { stop }),
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...(format === undefined ? {} : { responseFormat: format }),
    ...(logprobs === undefined ? {} : { logprobs }),
    extras: spellings(wire, { stop, toolChoice, format }),
  };
  return request;
}

/** With a target, as that upstream wants it; without, as the client wrote it. */
export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const { extras } = request;
  if (target !== undefined) refuseUnknown(request, target);
  const left =
    target === undefined
      ? {}
      : { top_k: target.topK === true ? request.topK : undefined, reasoning_effort: effort(request) };
  return {
    ...extras,
    model: request.model,
    messages: (target === undefined ? request.messages : adopt(request.messages, target.unsupported)).map(
      encodeMessage,
    ),
    ...(request.stream ? { stream: true } : {}),
    ...(request.stream && target !== undefined && target.usageUnasked !== true
      ? { stream_options: { include_usage: true } }
      : {}),
    ...(request.tools.length === 0 ? {} : { tools: request.tools.map(encodeTool) }),
    ...defined({ ...writePlain(request, plainFields), ...left }),
    ...encodeLogprobs(request),
    ...encodeLimit(request, target),
    ...(request.stop === undefined ? {} : { stop: encodeStop(request.stop, extras.stop) }),
    ...(request.toolChoice === undefined
      ? {}
      : { tool_choice: encodeToolChoice(request.toolChoice, extras.tool_choice) }),
    ...(request.responseFormat === undefined
      ? {}
      : { response_format: encodeFormat(request.responseFormat, extras.response_format) }),
  };
}

/** OpenAI has no such field; many hosts that are compatible otherwise do. */
function refuseUnknown({ topK }: TurnRequest, target: EncodeTarget): void {
  if (topK !== undefined && target.topK !== true)
    target.unsupported('topK', 'the provider of this model takes top_p only.');
}

function effort({ reasoningEffort, reasoningTokens }: TurnRequest): string | undefined {
  return reasoningTokens === undefined ? reasoningEffort : (reasoningEffort ?? effortOf(reasoningTokens));
}

function encodeLogprobs({ logprobs, extras }: TurnRequest): JsonObject {
  if (logprobs === undefined) return {};
  const isSaid = logprobs.top > 0 || extras.top_logprobs !== undefined;
  return { logprobs: true, ...(isSaid ? { top_logprobs: logprobs.top } : {}) };
}

function topLogprobs(value: unknown): number {
  if (value == null) return 0;
  if (!Number.isInteger(value)) throw wrongType('top_logprobs', 'an integer');
  return value as number;
}

interface Understood {
  readonly stop: readonly string[] | undefined;
  readonly toolChoice: ToolChoice | undefined;
  readonly format: ResponseFormat | undefined;
}

/** Every field that encoding would not write from the canonical values alone, exactly as it was sent. */
function spellings(wire: JsonObject, { stop, toolChoice, format }: Understood): JsonObject {
  const isRestored: Readonly<Record<string, boolean>> = {
    model: true,
    messages: true,
    stream: wire.stream === true,
    tools: Array.isArray(wire.tools) && wire.tools.length > 0,
    stop: Array.isArray(wire.stop) && stop !== undefined,
    tool_choice: typeof wire.tool_choice === 'string' && toolChoice !== undefined,
    response_format: format !== undefined && isPlainFormat(wire.response_format, format),
    logprobs: wire.logprobs === true,
    top_logprobs: wire.logprobs === true && topLogprobs(wire.top_logprobs) > 0,
    max_completion_tokens: wire.max_completion_tokens != null && wire.max_tokens == null,
    ...plainRestored(wire, plainFields),
  };
  return unrestored(wire, isRestored);
}

function encodeLimit({ maxOutputTokens, extras }: TurnRequest, target: EncodeTarget | undefined): JsonObject {
  if (maxOutputTokens === undefined) return {};
  if (target?.outputLimitField !== undefined) return { [target.outputLimitField]: maxOutputTokens };
  // The older name only where the client used it and nothing else.
  const isOldName = extras.max_tokens != null && extras.max_completion_tokens == null;
  return isOldName ? { max_tokens: maxOutputTokens } : { max_completion_tokens: maxOutputTokens };
}

function decodeTool(tool: unknown, index: number): Tool {
  const path = `tools[${index}]`;
  if (!isObject(tool)) throw wrongType(path, 'an object');
  const body = tool.function;
  if (!isObject(body)) return { name: privateToolName(tool), isPrivate: true, extras: { whole: tool } };
  if (typeof body.name !== 'string') throw wrongType(`${path}.function.name`, 'a string');
  const { description, parameters, strict } = body;
  const known = {
    ...(typeof description === 'string' ? { description } : {}),
    ...(isObject(parameters) ? { parameters } : {}),
    ...(typeof strict === 'boolean' ? { strict } : {}),
  };
  const outer = rest(tool, tool.type === 'function' ? ['type', 'function'] : ['function']);
  const inner = rest(body, ['name', ...Object.keys(known)]);
  return {
    name: body.name,
    ...known,
    ...cacheControlOf(tool),
    ...withExtras(defined({ outer, inner, untyped: tool.type === undefined ? true : undefined })),
  };
}

/** Tools that are not functions (custom tools, web search) exist only in this dialect. */
function privateToolName(tool: JsonObject): string {
  const body = isObject(tool.custom) ? tool.custom : tool;
  return textOf(body.name) || textOf(tool.type);
}

function encodeTool({ extras = {}, cacheControl: _, ...tool }: Tool): JsonObject {
  const { whole, outer, inner, untyped } = extras;
  if (isObject(whole)) return whole;
  return {
    ...(untyped === true ? {} : { type: 'function' }),
    ...(isObject(outer) ? outer : {}),
    function: { ...(isObject(inner) ? inner : {}), ...tool },
  };
}

function decodeToolChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice;
  const named =
    isObject(choice) && choice.type === 'function' && isObject(choice.function) ? choice.function : {};
  return typeof named.name === 'string' ? { name: named.name } : undefined;
}

function encodeToolChoice(choice: ToolChoice, written: unknown): unknown {
  if (typeof choice === 'string') return choice;
  const outer = isObject(written) ? written : {};
  const inner = isObject(outer.function) ? outer.function : {};
  return { ...outer, type: 'function', function: { ...inner, name: choice.name } };
}

function decodeFormat(format: unknown): ResponseFormat | undefined {
  if (!isObject(format)) return undefined;
  if (format.type === 'text') return { kind: 'text' };
  if (format.type === 'json_object') return { kind: 'json' };
  if (format.type === 'json_schema' && isObject(format.json_schema)) {
    return { kind: 'schema', fields: format.json_schema };
  }
  return undefined;
}

function isPlainFormat(written: unknown, format: ResponseFormat): boolean {
  return (
    isObject(written) &&
    rest(written, format.kind === 'schema' ? ['type', 'json_schema'] : ['type']) === undefined
  );
}

function encodeFormat(format: ResponseFormat, written: unknown): JsonObject {
  const outer = isObject(written) ? written : {};
  if (format.kind === 'schema') return { ...outer, type: 'json_schema', json_schema: format.fields };
  return { ...outer, type: format.kind === 'json' ? 'json_object' : 'text' };
}
