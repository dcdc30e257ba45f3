// What a client of the Responses API may ask for that no other dialect can be asked: it is refused by name before anything is sent,
// never left out in silence. Left out are only hints that change nothing in the answer, and fields that say what their absence
// says. A reference to an answer that was kept is here too: by the time a request is translated, the conversation stands in its
// place, and where it does not the model would answer without knowing what was said before.
import { type JsonObject, objectOf, rowFor, textOf } from '../../json/values.ts';
import type { Part, Tool, TurnRequest } from '../../turn/request.ts';
import { unknownIn } from './content.ts';
import { decodeToolChoice } from './tools.ts';

/** Accounting, caching and bookkeeping; the answer is the same without them. */
const hints = [
  'metadata',
  'client_metadata',
  'store',
  'include',
  'stream_options',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
  'safety_identifier',
  'user',
  'max_tool_calls',
];

/** Read into canonical fields as far as they go; what is left of them is looked at on its own. */
const understood = ['stream', 'text', 'reasoning', 'top_logprobs', 'tool_choice'];

/** What is said by default, so that saying it asks for nothing. */
const defaults: Readonly<Record<string, (value: unknown) => boolean>> = {
  background: (value) => value === false,
  truncation: (value) => value === 'disabled',
  tools: (value) => Array.isArray(value) && value.length === 0,
  input: (value) => Array.isArray(value) && value.length === 0,
  context_management: (value) => Array.isArray(value) && value.length === 0,
};

/** What items and their parts carry when a client sends back what an answer held. */
const itemHints = ['id', 'status', 'phase', 'role', 'content', 'type', 'cache_control'];
const callHints = [...itemHints, 'call_id', 'name', 'arguments'];
const resultHints = [...itemHints, 'call_id', 'output'];
const partHints = ['annotations', 'logprobs', 'cache_control', 'prompt_cache_breakpoint'];

export function untranslatable(request: TurnRequest): readonly string[] {
  const { extras, messages, tools } = request;
  const top = Object.entries(extras)
    .filter(([field, value]) => value !== null && !hints.includes(field) && !understood.includes(field))
    .filter(([field, value]) => rowFor(defaults, field)?.(value) !== true)
    .map(([field]) => field);
  const isChoiceKnown = extras.tool_choice == null || decodeToolChoice(extras.tool_choice) !== undefined;
  const all = [
    ...top,
    ...(isChoiceKnown ? [] : ['tool_choice']),
    ...inText(request),
    ...fieldsBeside(extras.reasoning, ['effort', 'summary', 'generate_summary']).map(
      (field) => `reasoning.${field}`,
    ),
    ...messages.flatMap(({ parts }) => parts.flatMap((part) => inPart(part))),
    ...tools.flatMap(inTool),
  ];
  // Several parts of one item tell of it once.
  return [...new Set(all)];
}

function inText({ extras, responseFormat }: TurnRequest): readonly string[] {
  const text = objectOf(extras.text);
  return [
    ...(text.format != null && responseFormat === undefined ? ['text.format'] : []),
    ...fieldsBeside(text, ['format', 'verbosity']).map((field) => `text.${field}`),
  ];
}

function inPart(part: Part): readonly string[] {
  const { index, item, whole } = part.extras ?? {};
  const path = index === undefined ? 'input' : `input[${String(index)}]`;
  if (part.kind === 'private') {
    const isInside = whole !== undefined;
    return [`${path}${isInside ? '.content' : ''} (${part.type || 'unknown part'})`];
  }
  const known = part.kind === 'tool-call' ? callHints : part.kind === 'tool-result' ? resultHints : itemHints;
  const inItem =
    part.kind === 'reasoning' ? [] : fieldsBeside(item, known).map((field) => `${path}.${field}`);
  const inContent = unknownIn(objectOf(whole), partHints).map((field) => `${path}.content.${field}`);
  if (part.kind !== 'tool-result') return [...inItem, ...inContent];
  return [...inItem, ...part.parts.flatMap((inner) => inResult(inner, path))];
}

function inResult(part: Part, path: string): readonly string[] {
  if (part.kind === 'private') return [`${path}.output (${part.type || 'unknown part'})`];
  return unknownIn(objectOf(part.extras?.whole), partHints).map((field) => `${path}.output.${field}`);
}

function inTool({ extras = {} }: Tool, index: number): readonly string[] {
  const path = `tools[${index}]`;
  if (extras.whole !== undefined) return [`${path} (${textOf(objectOf(extras.whole).type)})`];
  const known = ['description', 'parameters', 'strict', 'cache_control', 'defer_loading'];
  return fieldsBeside(extras.fields, known).map((field) => `${path}.${field}`);
}

/** Members that are not null and not among those known. */
function fieldsBeside(fields: unknown, known: readonly string[]): readonly string[] {
  const given: JsonObject = objectOf(fields);
  return Object.keys(given).filter((field) => given[field] !== null && !known.includes(field));
}
