// What a client of chat completions may ask for that no other dialect can be asked: it is refused by name before anything is
// sent, never left out in silence. Left out are only hints that change nothing in the answer, other spellings of what has
// a canonical name, and fields that say what their absence says.
import { isObject, type JsonObject, objectOf, rowFor } from '../../json/values.ts';
import type { Message, Part, Tool, TurnRequest } from '../../turn/request.ts';

/** Accounting, caching and speed at OpenAI; the answer is the same without them. */
const hints = [
  'stream_options',
  'metadata',
  'store',
  'prediction',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
];

const spellings = ['stream', 'max_tokens', 'max_completion_tokens', 'stop'];

/** What is said by default, so that saying it asks for nothing. */
const defaults: Readonly<Record<string, (value: unknown) => boolean>> = {
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => isObject(value) && Object.keys(value).length === 0,
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  tools: (value) => Array.isArray(value) && value.length === 0,
};

/** What answers carry and clients send back with the history. */
const messageHints = [
  'annotations',
  'reasoning_details',
  'reasoning_content',
  'reasoning',
  'images',
  'refusal',
  'tool_calls',
  'name',
  'cache_control',
];
const partHints = ['cache_control', 'annotations'];

export function untranslatable(request: TurnRequest): readonly string[] {
  const { extras, messages, tools, toolChoice, responseFormat } = request;
  const top = Object.entries(extras)
    .filter(([field, value]) => value !== null && !hints.includes(field) && !spellings.includes(field))
    .filter(([field, value]) => rowFor(defaults, field)?.(value) !== true)
    .filter(([field]) => field !== 'tool_choice' || toolChoice === undefined)
    .filter(([field]) => field !== 'response_format' || responseFormat === undefined)
    .map(([field]) => field);
  return [...top, ...messages.flatMap(inMessage), ...tools.flatMap(inTool)];
}

function inMessage(message: Message, index: number): readonly string[] {
  const path = `messages[${index}]`;
  const extras = message.extras ?? {};
  const isForeign = extras.role === 'function' || extras.untied === true;
  const isNamed = message.name !== undefined && message.role !== 'tool';
  return [
    ...(isForeign ? [`${path}.role`] : []),
    ...(isNamed ? [`${path}.name`] : []),
    ...unknownFields(extras.fields, messageHints).map((field) => `${path}.${field}`),
    ...message.parts.flatMap((part) => inPart(part, path)),
  ];
}

function inPart(part: Part, path: string): readonly string[] {
  if (part.kind === 'private') return [`${path}.content (${part.type || 'unknown part'})`];
  if (part.kind === 'tool-result') return part.parts.flatMap((inner) => inPart(inner, path));
  const extras = part.extras ?? {};
  if (extras.isCustom === true) return [`${path}.tool_calls (custom)`];
  const known = part.kind === 'tool-call' ? ['extra_content', 'index'] : partHints;
  return unknownFields(extras.fields, known).map((field) => `${path}.content.${field}`);
}

function inTool({ extras = {} }: Tool, index: number): readonly string[] {
  const path = `tools[${index}]`;
  if (extras.whole !== undefined) return [path];
  return [
    ...unknownFields(extras.outer, ['cache_control']).map((field) => `${path}.${field}`),
    ...unknownFields(extras.inner, []).map((field) => `${path}.function.${field}`),
  ];
}

function unknownFields(fields: unknown, known: readonly string[]): readonly string[] {
  const given: JsonObject = objectOf(fields);
  return Object.keys(given).filter((field) => given[field] !== null && !known.includes(field));
}
