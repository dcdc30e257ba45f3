// A client's body as a canonical request and back. Whatever has no canonical name is carried in extras under its own name;
// encoding starts from the extras and lays the canonical values over them, so that decode followed by encode gives back the body
// as it was. For another dialect's client, nothing is kept at the provider: what its model thought comes back encrypted, so that
// the conversation can go on without the provider remembering it.
import { parseJson } from '../../json/parse.ts';
import { defined, isObject, type JsonObject, objectOf, textOf, wrongType } from '../../json/values.ts';
import { effortOf } from '../../turn/reasoning.ts';
import type { Message, TurnRequest } from '../../turn/request.ts';
import type { EncodeTarget, FieldNames, RequestHead } from '../dialect.ts';
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
import { encodeItems } from './conversation.ts';
import { decodeItems } from './items.ts';
import {
  decodeFormat,
  decodeTool,
  decodeToolChoice,
  encodeFormat,
  encodeTool,
  encodeToolChoice,
} from './tools.ts';

/** Fields whose value is the same on both sides. */
const plainFields = [
  { wire: 'temperature', name: 'temperature', type: 'number' },
  { wire: 'top_p', name: 'topP', type: 'number' },
  { wire: 'presence_penalty', name: 'presencePenalty', type: 'number' },
  { wire: 'frequency_penalty', name: 'frequencyPenalty', type: 'number' },
  { wire: 'max_output_tokens', name: 'maxOutputTokens', type: 'integer' },
  { wire: 'parallel_tool_calls', name: 'parallelToolCalls', type: 'boolean' },
  { wire: 'service_tier', name: 'serviceTier', type: 'string' },
] as const satisfies readonly PlainField[];

export const fieldNames: FieldNames = {
  ...plainNames(plainFields),
  toolChoice: 'tool_choice',
  responseFormat: 'text.format',
  verbosity: 'text.verbosity',
  reasoningEffort: 'reasoning.effort',
  showReasoning: 'reasoning.summary',
  logprobs: 'top_logprobs',
  endUser: 'user',
};

const LOGPROBS = 'message.output_text.logprobs';
const ENCRYPTED_REASONING = 'reasoning.encrypted_content';

/** Throws `invalid_json` or `invalid_request` naming the field. */
export function decode(head: RequestHead): TurnRequest {
  const wire = parseJson(head.body);
  if (!isObject(wire)) throw wrongType('', 'an object');
  const text = objectOf(wire.text);
  const reasoning = objectOf(wire.reasoning);
  const summary = textOf(reasoning.summary) || textOf(reasoning.generate_summary);
  const toolChoice = decodeToolChoice(wire.tool_choice);
  const known = defined({
    ...readPlain(wire, plainFields),
    toolChoice,
    responseFormat: decodeFormat(text.format),
    verbosity: textOf(text.verbosity) || undefined,
    reasoningEffort: textOf(reasoning.effort) || undefined,
    showReasoning: summary === '' ? undefined : summary !== 'none',
    logprobs: decodeLogprobs(wire),
    endUser: textOf(wire.user) || textOf(wire.safety_identifier) || undefined,
  });
  return {
    model: head.model,
    stream: head.stream,
    messages: [...decodeInstructions(wire.instructions), ...decodeInput(wire.input)],
    tools: wire.tools == null ? [] : listAt(wire, 'tools').map(decodeTool),
    ...known,
    extras: spellings(wire),
  };
}

function decodeInstructions(instructions: unknown): readonly Message[] {
  if (typeof instructions !== 'string') return [];
  return [
    { role: 'system', parts: [{ kind: 'text', text: instructions }], extras: { isInstructions: true } },
  ];
}

function decodeInput(input: unknown): readonly Message[] {
  if (input == null) return [];
  if (typeof input === 'string') {
    return [{ role: 'user', parts: [{ kind: 'text', text: input }], extras: { isInput: true } }];
  }
  if (!Array.isArray(input)) throw wrongType('input', 'a string or a list of items');
  return decodeItems(input);
}

function decodeLogprobs(wire: JsonObject): TurnRequest['logprobs'] {
  const top = scalarAt(wire, 'top_logprobs', 'integer');
  const isIncluded = Array.isArray(wire.include) && wire.include.includes(LOGPROBS);
  return isIncluded || (typeof top === 'number' && top > 0)
    ? { top: typeof top === 'number' ? top : 0 }
    : undefined;
}

/** Every field that encoding would not write from the canonical values alone, exactly as it was sent. */
function spellings(wire: JsonObject): JsonObject {
  const { input, tools } = wire;
  const isRestored: Readonly<Record<string, boolean>> = {
    model: true,
    stream: wire.stream === true,
    instructions: typeof wire.instructions === 'string',
    input: typeof input === 'string' || (Array.isArray(input) && input.length > 0),
    tools: Array.isArray(tools) && tools.length > 0,
    ...plainRestored(wire, plainFields),
  };
  return unrestored(wire, isRestored);
}

/** With a target, as that upstream wants it; without, as the client wrote it. */
export function encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown> {
  const { extras, messages } = request;
  if (target !== undefined) refuseUnknown(request, target);
  const penalties = target === undefined ? {} : { presence_penalty: undefined, frequency_penalty: undefined };
  const spoken = messages.filter((message) => message.extras?.isInstructions !== true);
  return {
    ...extras,
    model: request.model,
    ...encodeInstructions(messages),
    ...encodeInput(spoken, target),
    ...(request.stream ? { stream: true } : {}),
    ...(request.tools.length === 0
      ? {}
      : { tools: request.tools.map((tool) => encodeTool(tool, target !== undefined)) }),
    ...(request.toolChoice === undefined
      ? {}
      : { tool_choice: encodeToolChoice(request.toolChoice, extras.tool_choice) }),
    ...defined({ ...writePlain(request, plainFields), ...penalties }),
    ...encodeText(request),
    ...encodeReasoning(request, target),
    ...encodeEndUser(request),
    ...(target === undefined ? {} : withoutMemory(request)),
  };
}

function refuseUnknown(request: TurnRequest, { unsupported }: EncodeTarget): void {
  const { stop, seed, topK, presencePenalty, frequencyPenalty, choices } = request;
  const api = 'the API that the provider of this model speaks';
  if (stop !== undefined && stop.length > 0) unsupported('stop', `${api} has no stop sequences.`);
  if (seed !== undefined) unsupported('seed', `${api} has no seed.`);
  if (topK !== undefined) unsupported('topK', `${api} takes top_p only.`);
  if ((presencePenalty ?? 0) !== 0) unsupported('presencePenalty', `${api} has no penalties.`);
  if ((frequencyPenalty ?? 0) !== 0) unsupported('frequencyPenalty', `${api} has no penalties.`);
  if ((choices ?? 1) !== 1) unsupported('choices', `${api} gives one answer at a time.`);
}

function encodeInstructions(messages: readonly Message[]): JsonObject {
  const own = messages.find(({ extras }) => extras?.isInstructions === true);
  const [part] = own?.parts ?? [];
  return part?.kind === 'text' ? { instructions: part.text } : {};
}

function encodeInput(messages: readonly Message[], target: EncodeTarget | undefined): JsonObject {
  const [first] = messages;
  const [part] = first?.parts ?? [];
  if (first?.extras?.isInput === true && part?.kind === 'text') return { input: part.text };
  return messages.length === 0 && target === undefined ? {} : { input: encodeItems(messages, target) };
}

function encodeText({ responseFormat, verbosity, extras }: TurnRequest): JsonObject {
  if (responseFormat === undefined && verbosity === undefined) return {};
  const written = objectOf(extras.text);
  const format = responseFormat === undefined ? undefined : encodeFormat(responseFormat, written.format);
  return { text: { ...written, ...defined({ format, verbosity }) } };
}

function encodeReasoning(request: TurnRequest, target: EncodeTarget | undefined): JsonObject {
  const { reasoningEffort, reasoningTokens, showReasoning, extras } = request;
  const written = objectOf(extras.reasoning);
  const effort = reasoningEffort ?? (reasoningTokens === undefined ? undefined : effortOf(reasoningTokens));
  const isNew = written.summary === undefined && written.generate_summary === undefined;
  // Models that do not reason refuse to be asked for a summary.
  const mayShow = target === undefined || effort !== undefined || reasons(request.model);
  const summary = showReasoning === true && isNew && mayShow ? 'auto' : undefined;
  if (effort === undefined && summary === undefined) return {};
  return { reasoning: { ...written, ...defined({ effort, summary }) } };
}

function encodeEndUser({ endUser, extras }: TurnRequest): JsonObject {
  const isWritten = endUser === undefined || extras.user === endUser || extras.safety_identifier === endUser;
  return isWritten ? {} : { user: endUser };
}

function withoutMemory({ model, logprobs, reasoningEffort }: TurnRequest): JsonObject {
  const isReasoning = reasons(model) || (reasoningEffort !== undefined && reasoningEffort !== 'none');
  const include = [
    ...(isReasoning ? [ENCRYPTED_REASONING] : []),
    ...(logprobs === undefined ? [] : [LOGPROBS]),
  ];
  return {
    store: false,
    ...(include.length === 0 ? {} : { include }),
    ...(logprobs === undefined ? {} : { top_logprobs: logprobs.top }),
  };
}

/** Whether a model of this name reasons: others refuse to be asked for what they thought. */
function reasons(model: string): boolean {
  return /(^|\/)(o[1-9]|gpt-[5-9]|gpt-oss|codex)(?!.*-chat)/.test(model);
}
