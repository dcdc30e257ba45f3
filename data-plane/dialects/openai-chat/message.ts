// One message of a request, both ways. The wire puts a message's parts in four places (content, refusal, reasoning_content,
// tool_calls); the canonical message has one list. Extras remember what the list cannot: in which form content came, and
// every field that has no canonical name.

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
import type { Message, Part, PartContent } from '../../turn/request.ts';
import { callSignature, callSignatureField, reasoningParts } from './reasoning-details.ts';
import { thinkingText } from './wire.ts';

const roles: Readonly<Record<string, Message['role']>> = {
  system: 'system',
  developer: 'developer',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
  // The predecessor of tools: its result names the function instead of the call.
  function: 'tool',
};

type Form = 'absent' | 'null' | 'string' | 'list';

export function decodeMessage(wire: unknown, path: string): Message {
  if (!isObject(wire)) throw wrongType(path, 'an object');
  const role = Object.hasOwn(roles, textOf(wire.role)) ? roles[textOf(wire.role)] : undefined;
  if (role === undefined) throw wrongType(`${path}.role`, `one of ${Object.keys(roles).join(', ')}`);
  const content = decodeContent(wire.content, `${path}.content`);
  const calls = Array.isArray(wire.tool_calls) ? wire.tool_calls : [];
  const signed = reasoningParts(wire.reasoning_details).map(unwritten);
  // A client that sends the signed form back sends the text twice; the other one stays among the extras.
  const reasoning = signed.length > 0 ? undefined : decodeReasoning(wire);
  const own: Part[] = [
    ...signed,
    ...(reasoning === undefined ? [] : [reasoning]),
    ...content,
    ...(typeof wire.refusal === 'string' ? [{ kind: 'refusal', text: wire.refusal } as const] : []),
    ...calls.map((call, index) => decodeCall(call, `${path}.tool_calls[${index}]`)),
  ];
  const isLegacy = wire.role === 'function';
  // A result of a function, or one whose id is missing, goes out without an id as it came.
  const isTied = role === 'tool' && !isLegacy && typeof wire.tool_call_id === 'string';
  const parts: Part[] =
    role === 'tool'
      ? [
          {
            kind: 'tool-result',
            toolCallId: textOf(isLegacy ? wire.name : wire.tool_call_id),
            parts: own,
          },
        ]
      : own;
  const form = formOf(wire.content);
  const understood = [
    'role',
    'content',
    ...(typeof wire.name === 'string' ? ['name'] : []),
    ...(typeof wire.refusal === 'string' ? ['refusal'] : []),
    ...(calls.length > 0 ? ['tool_calls'] : []),
    ...(reasoning === undefined ? [] : [reasoningField(reasoning)]),
    ...(isTied ? ['tool_call_id'] : []),
  ];
  return {
    role,
    parts,
    ...(typeof wire.name === 'string' ? { name: wire.name } : {}),
    ...withExtras(
      defined({
        form: form === usualForm(role, content) ? undefined : form,
        fields: rest(wire, understood),
        role: isLegacy ? 'function' : undefined,
        untied: role === 'tool' && !isTied ? true : undefined,
      }),
    ),
  };
}

export function encodeMessage(message: Message): JsonObject {
  const extras = message.extras ?? {};
  const result = message.parts.find((part) => part.kind === 'tool-result');
  const parts = result?.kind === 'tool-result' ? result.parts : message.parts;
  const isLegacy = extras.role === 'function';
  const content = parts.filter(isContent);
  const calls = parts.filter((part) => part.kind === 'tool-call');
  const refusal = parts.find((part) => part.kind === 'refusal' && !isContent(part));
  const reasoning = parts.find(
    (part) => part.kind === 'reasoning' && !isContent(part) && part.extras?.unwritten !== true,
  );
  const written = encodeContent(content, message.role, extras.form);
  return {
    ...objectOf(extras.fields),
    role: isLegacy ? 'function' : message.role,
    ...(written === undefined ? {} : { content: written }),
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(result?.kind === 'tool-result' && extras.untied !== true ? { tool_call_id: result.toolCallId } : {}),
    ...(refusal?.kind === 'refusal' ? { refusal: refusal.text } : {}),
    ...(reasoning?.kind === 'reasoning' ? { [reasoningField(reasoning)]: reasoning.text } : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(encodeCall) }),
  };
}

/** It stands among the message's other fields, and is not written a second time. */
function unwritten(part: Part): Part {
  return { ...part, extras: { unwritten: true } };
}

function decodeReasoning(wire: JsonObject): Part | undefined {
  const field = ['reasoning_content', 'reasoning'].find((name) => textOf(wire[name]) !== '');
  if (field === undefined) return undefined;
  return {
    kind: 'reasoning',
    text: textOf(wire[field]),
    ...(field === 'reasoning' ? { extras: { field } } : {}),
  };
}

function reasoningField(part: Part): string {
  return part.extras?.field === 'reasoning' ? 'reasoning' : 'reasoning_content';
}

function formOf(content: unknown): Form {
  if (content === undefined) return 'absent';
  if (content === null) return 'null';
  return typeof content === 'string' ? 'string' : 'list';
}

/** The form that content takes when nothing says otherwise. */
function usualForm(role: Message['role'], content: readonly Part[]): Form {
  if (content.length === 0) return role === 'assistant' ? 'null' : 'string';
  const [only] = content;
  return content.length === 1 && only?.kind === 'text' && only.extras === undefined ? 'string' : 'list';
}

function decodeContent(content: unknown, path: string): readonly Part[] {
  if (content == null || content === '') return [];
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) throw wrongType(path, 'a string or a list of parts');
  return content.map((part, index) => decodePart(part, `${path}[${index}]`));
}

function encodeContent(content: readonly Part[], role: Message['role'], form: unknown): unknown {
  const usual = usualForm(role, content);
  const wanted = form === 'list' || (content.length === 0 && form !== undefined) ? form : usual;
  if (wanted === 'absent') return undefined;
  if (wanted === 'null') return null;
  if (wanted === 'list') return content.map(encodePart);
  return content.map((part) => (part.kind === 'text' ? part.text : '')).join('');
}

/** Whether the part stands in `content`, and not in a field of its own. */
function isContent(part: Part): boolean {
  if (part.kind === 'tool-call') return false;
  return part.kind === 'refusal' || part.kind === 'reasoning' ? part.extras?.inContent === true : true;
}

function decodePart(wire: unknown, path: string): Part {
  if (!isObject(wire)) return { kind: 'private', type: '', extras: { whole: wire } };
  switch (wire.type) {
    case 'text':
      return withFields({ kind: 'text', text: stringIn(wire, 'text', path) }, wire, ['type', 'text']);
    case 'refusal':
      return withFields(
        { kind: 'refusal', text: stringIn(wire, 'refusal', path) },
        wire,
        ['type', 'refusal'],
        {
          inContent: true,
        },
      );
    case 'thinking':
      return {
        kind: 'reasoning',
        text: thinkingText(wire.thinking),
        extras: { inContent: true, whole: wire },
      };
    case 'image_url':
      return decodeImage(wire, path);
    case 'input_audio':
      return decodeAudio(wire, path);
    case 'file':
      if (!isObject(wire.file)) throw wrongType(`${path}.file`, 'an object');
      return decodeFile(wire, wire.file);
    default:
      return { kind: 'private', type: textOf(wire.type), extras: { whole: wire } };
  }
}

function decodeImage(wire: JsonObject, path: string): Part {
  const image = wire.image_url;
  // Mistral takes the address itself.
  if (typeof image === 'string') {
    return withFields({ kind: 'image', url: image }, wire, ['type', 'image_url'], { isAddress: true });
  }
  if (!isObject(image)) throw wrongType(`${path}.image_url`, 'an object');
  const { detail } = image;
  const known = typeof detail === 'string' ? { detail } : {};
  const inner = rest(image, ['url', ...Object.keys(known)]);
  const url = stringIn(image, 'url', `${path}.image_url`);
  return withFields({ kind: 'image', url, ...known }, wire, ['type', 'image_url'], { inner });
}

/** The wire's names for what a file part holds. */
const fileFields = { file_data: 'url', file_id: 'fileId', filename: 'filename' } as const;

function decodeFile(wire: JsonObject, file: JsonObject): Part {
  const known = Object.entries(fileFields).filter(([field]) => typeof file[field] === 'string');
  const content = Object.fromEntries(known.map(([field, name]) => [name, file[field]]));
  const inner = rest(
    file,
    known.map(([field]) => field),
  );
  return withFields({ kind: 'file', ...content }, wire, ['type', 'file'], { inner });
}

function fileOf(part: Extract<Part, { kind: 'file' }>): JsonObject {
  return defined(Object.fromEntries(Object.entries(fileFields).map(([field, name]) => [field, part[name]])));
}

function decodeAudio(wire: JsonObject, path: string): Part {
  const audio = wire.input_audio;
  const place = `${path}.input_audio`;
  if (!isObject(audio)) throw wrongType(place, 'an object');
  const part = {
    kind: 'audio',
    data: stringIn(audio, 'data', place),
    format: stringIn(audio, 'format', place),
  } as const;
  return withFields(part, wire, ['type', 'input_audio'], { inner: rest(audio, ['data', 'format']) });
}

function encodePart(part: Part): unknown {
  const extras = part.extras ?? {};
  const fields = objectOf(extras.fields);
  const inner = objectOf(extras.inner);
  switch (part.kind) {
    case 'text':
      return { ...fields, type: 'text', text: part.text };
    case 'refusal':
      return { ...fields, type: 'refusal', refusal: part.text };
    case 'reasoning': {
      const whole = objectOf(extras.whole);
      const isSame = thinkingText(whole.thinking) === part.text;
      return isSame ? whole : { ...whole, type: 'thinking', thinking: [{ type: 'text', text: part.text }] };
    }
    case 'image': {
      if (extras.isAddress === true) return { ...fields, type: 'image_url', image_url: part.url };
      const detail = part.detail === undefined ? {} : { detail: part.detail };
      return { ...fields, type: 'image_url', image_url: { ...inner, url: part.url, ...detail } };
    }
    case 'audio':
      return {
        ...fields,
        type: 'input_audio',
        input_audio: { ...inner, data: part.data, format: part.format },
      };
    case 'file':
      return { ...fields, type: 'file', file: { ...inner, ...fileOf(part) } };
    default:
      return extras.whole;
  }
}

function decodeCall(wire: unknown, path: string): Part {
  if (!isObject(wire)) throw wrongType(path, 'an object');
  const isCustom = wire.type === 'custom' && isObject(wire.custom);
  const [field, textField] = isCustom ? (['custom', 'input'] as const) : (['function', 'arguments'] as const);
  const body = wire[field];
  if (!isObject(body)) throw wrongType(`${path}.${field}`, 'an object');
  const hasText = typeof body[textField] === 'string';
  const hasId = typeof wire.id === 'string';
  const outer = rest(wire, [field, ...(hasId ? ['id'] : []), ...(wire.type === field ? ['type'] : [])]);
  const inner = rest(body, ['name', ...(hasText ? [textField] : [])]);
  const signature = callSignature(wire);
  return {
    kind: 'tool-call',
    id: textOf(wire.id),
    name: stringIn(body, 'name', `${path}.${field}`),
    arguments: hasText
      ? textOf(body[textField])
      : isObject(body[textField])
        ? JSON.stringify(body[textField])
        : '',
    ...(signature === undefined ? {} : { signature }),
    ...withExtras(
      defined({
        isCustom: isCustom ? true : undefined,
        fields: outer,
        inner,
        untyped: wire.type === undefined ? true : undefined,
        unnamed: hasId ? undefined : true,
        textless: hasText ? undefined : true,
      }),
    ),
  };
}

function encodeCall(part: Extract<Part, { kind: 'tool-call' }>): JsonObject {
  const extras = part.extras ?? {};
  const [field, textField] = extras.isCustom === true ? ['custom', 'input'] : ['function', 'arguments'];
  const text = extras.textless === true ? {} : { [textField]: part.arguments };
  return {
    ...(extras.unnamed === true ? {} : { id: part.id }),
    ...(extras.untyped === true ? {} : { type: field }),
    ...callSignatureField(part.signature),
    ...objectOf(extras.fields),
    [field]: { ...objectOf(extras.inner), name: part.name, ...text },
  };
}

function withFields(
  content: PartContent,
  wire: JsonObject,
  understood: readonly string[],
  more: JsonObject = {},
): Part {
  return {
    ...content,
    ...cacheControlOf(wire),
    ...withExtras(defined({ ...more, fields: rest(wire, understood) })),
  };
}

/** A field of Anthropic's that their clients send through this format too; it stays among the extras as well. */
export function cacheControlOf(wire: JsonObject): { cacheControl?: JsonObject } {
  return isObject(wire.cache_control) ? { cacheControl: wire.cache_control } : {};
}

function stringIn(wire: JsonObject, field: string, path: string): string {
  const value = wire[field];
  if (typeof value !== 'string') throw wrongType(`${path}.${field}`, 'a string');
  return value;
}
