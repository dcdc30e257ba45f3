// What a client of the Messages API may ask for that no other dialect can be asked: it is refused by name before anything is
// sent, never left out in silence. Left out are only hints that change nothing in the answer (cache marks, tiers, how much of a
// long conversation the provider keeps), and what has a canonical name beside its own.
import { type JsonObject, objectOf } from '../../json/values.ts';
import type { Message, Part, Tool, TurnRequest } from '../../turn/request.ts';

const hints = ['cache_control', 'service_tier', 'inference_geo', 'context_management', 'betas'];

/** Read into canonical fields as far as they go; what is left of them is looked at on its own. */
const understood = ['stream', 'thinking', 'output_config', 'output_format', 'metadata'];

const blockHints = ['cache_control', 'citations', 'caller'];
const configFields = ['effort', 'format'];

export function untranslatable(request: TurnRequest): readonly string[] {
  const { extras, messages, tools } = request;
  const top = Object.keys(extras).filter(
    (field) => !hints.includes(field) && !understood.includes(field) && !isEmpty(extras[field]),
  );
  return [
    ...top,
    ...unknownFields(extras.output_config, configFields).map((field) => `output_config.${field}`),
    ...messages.flatMap(inMessage),
    ...tools.flatMap(inTool),
  ];
}

function inMessage({ parts, extras = {} }: Message): readonly string[] {
  const path = extras.message === undefined ? 'system' : `messages[${String(extras.message)}]`;
  return [
    ...unknownFields(extras.fields, []).map((field) => `${path}.${field}`),
    ...parts.flatMap((part) => inPart(part, path)),
  ];
}

function inPart(part: Part, path: string): readonly string[] {
  if (part.kind === 'private') return [`${path}.content (${part.type || 'unknown block'})`];
  const own = unknownFields(part.extras?.fields, part.kind === 'file' ? ['context'] : blockHints);
  return [
    ...own.map((field) => `${path}.content.${field}`),
    ...(part.kind === 'tool-result' ? part.parts.flatMap((inner) => inPart(inner, path)) : []),
  ];
}

function inTool({ extras = {} }: Tool, index: number): readonly string[] {
  const path = `tools[${index}]`;
  if (extras.whole !== undefined) return [path];
  const known = ['type', 'cache_control', 'eager_input_streaming'];
  return unknownFields(extras.fields, known).map((field) => `${path}.${field}`);
}

function unknownFields(fields: unknown, known: readonly string[]): readonly string[] {
  const given: JsonObject = objectOf(fields);
  return Object.keys(given).filter((field) => !isEmpty(given[field]) && !known.includes(field));
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}
