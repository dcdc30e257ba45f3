// The messages of a request, written. The rules are Anthropic's: what the operator says stands apart, user and assistant take
// turns and the user begins, all results of one turn's tools stand in one message and before any words, no text is empty.
import { SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import { unsupported } from './wire.ts';

interface Conversation {
  readonly system: unknown;
  readonly messages: readonly JsonObject[];
}

/** A message under way: the blocks of all canonical messages that become one. */
interface Turn {
  readonly role: string;
  readonly blocks: JsonObject[];
  /** Which message of the client's body it was, where the client spoke this dialect. */
  readonly source: unknown;
  readonly isString: boolean;
  readonly fields: JsonObject;
}

export function encodeConversation(all: readonly Message[]): Conversation {
  const from = all.findIndex(({ role, extras }) => !isOperator(role) || extras?.message !== undefined);
  const end = from === -1 ? all.length : from;
  // An operator who speaks alone is answered like a user: here a conversation cannot be empty.
  const opening = end === all.length ? all.slice(0, Math.max(0, end - 1)) : all.slice(0, end);
  const turns: Turn[] = [];
  for (const [offset, message] of all.slice(opening.length).entries()) {
    addMessage(turns, message, `messages[${opening.length + offset}]`);
  }
  const isOwn = turns[0]?.source !== undefined;
  const written = isOwn ? turns : turns.filter(({ blocks }) => blocks.length > 0);
  if (!isOwn && written[0]?.role === 'assistant') {
    throw unsupported('messages[0].role', 'a conversation with this model begins with the user.');
  }
  return { system: encodeSystem(opening), messages: written.map((turn) => encodeTurn(turn)) };
}

function isOperator(role: Message['role']): boolean {
  return role === 'system' || role === 'developer';
}

function encodeSystem(messages: readonly Message[]): unknown {
  const [first] = messages;
  if (first === undefined) return undefined;
  const isOwn = first.extras?.form !== undefined;
  const blocks = messages.flatMap(({ parts }) => parts.flatMap((part) => encodePart(part, 'system')));
  if (isOwn) return first.extras?.form === 'list' ? blocks : textIn(blocks);
  if (blocks.length === 0) return undefined;
  return blocks.some((block) => block.cache_control !== undefined) ? blocks : textIn(blocks);
}

function textIn(blocks: readonly JsonObject[]): string {
  return blocks.map((block) => String(block.text)).join('\n\n');
}

function addMessage(turns: Turn[], message: Message, path: string): void {
  const { role, extras = {} } = message;
  const source = extras.message;
  const isLateOperator = isOperator(role) && source === undefined && turns.length > 0;
  const wireRole = role === 'assistant' || (role === 'system' && source !== undefined) ? role : 'user';
  const encoded = message.parts.flatMap((part) => encodePart(part, path));
  const blocks = isLateOperator ? encoded.map(asOperator) : encoded;
  const last = turns.at(-1);
  if (last?.role === wireRole && last.source === source) {
    last.blocks.push(...blocks);
    return;
  }
  const isString = extras.form === 'string';
  turns.push({ role: wireRole, blocks: [...blocks], source, isString, fields: objectOf(extras.fields) });
}

/** What the operator says in the middle keeps its place, and its voice. */
function asOperator(block: JsonObject): JsonObject {
  return block.type === 'text' ? { ...block, text: `<system>\n${String(block.text)}\n</system>` } : block;
}

function encodeTurn({ role, blocks, isString, fields }: Turn): JsonObject {
  return { ...fields, role, content: isString ? blocks.map((block) => String(block.text)).join('') : blocks };
}

function encodePart(part: Part, path: string): readonly JsonObject[] {
  const extras = part.extras ?? {};
  const mark = part.cacheControl === undefined ? {} : { cache_control: part.cacheControl };
  const more = { ...objectOf(extras.fields), ...mark };
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' && part.extras === undefined
        ? []
        : [{ ...more, type: 'text', text: part.text }];
    case 'reasoning':
      return encodeReasoning(part);
    case 'image':
      return [{ ...more, type: 'image', source: sourceOf(part.url, `${path}.content`) }];
    case 'file':
      return [isObject(extras.whole) ? extras.whole : { ...more, ...documentOf(part, path) }];
    case 'tool-call':
      return [
        { ...more, type: 'tool_use', id: part.id, name: part.name, input: inputOf(part.arguments, path) },
      ];
    case 'tool-result':
      return [{ ...more, ...resultOf(part, path) }];
    case 'audio':
      throw unsupported(`${path}.content`, 'this model does not listen to audio.');
    case 'private':
      return [objectOf(extras.whole)];
  }
}

/** Reasoning counts only with the signature of who reasoned; that of other models is nothing Claude would accept. */
function encodeReasoning(part: Extract<Part, { kind: 'reasoning' }>): readonly JsonObject[] {
  if (isObject(part.extras?.whole)) return [part.extras.whole];
  if (part.signature?.maker !== 'anthropic') return [];
  return [{ type: 'thinking', thinking: part.text, signature: part.signature.value }];
}

function resultOf(part: Extract<Part, { kind: 'tool-result' }>, path: string): JsonObject {
  const form = part.extras?.form;
  const blocks = part.parts.flatMap((inner) => encodePart(inner, path));
  const isText = blocks.every(({ type }) => type === 'text') && blocks.every((block) => !block.cache_control);
  const isString = form === 'string' || (form === undefined && isText);
  const content = isString ? blocks.map((block) => String(block.text)).join('\n') : blocks;
  return {
    type: 'tool_result',
    tool_use_id: part.toolCallId,
    ...(form === 'absent' ? {} : { content }),
    ...(part.isError === undefined ? {} : { is_error: part.isError }),
  };
}

function inputOf(text: string, path: string): unknown {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below, like what is JSON and no object.
  }
  throw new SignalboxError(
    'invalid_request',
    `The arguments of a tool call in "${path}" have to be a JSON object.`,
    { param: path },
  );
}

/** A data URL with its parameters, as `data:image/png;name=a.png;base64,…`. */
const dataUrl = /^data:([^;,]+)(?:;[^;,]*)*?;base64,/i;

function sourceOf(url: string, path: string): JsonObject {
  const found = dataUrl.exec(url);
  if (found !== null) {
    return { type: 'base64', media_type: found[1]!.toLowerCase(), data: url.slice(found[0].length) };
  }
  if (/^https?:/i.test(url)) return { type: 'url', url };
  throw unsupported(path, 'an image has to be an http address or a data URL in base64.');
}

function documentOf({ url, filename }: Extract<Part, { kind: 'file' }>, path: string): JsonObject {
  if (url === undefined) {
    throw unsupported(`${path}.content.file`, 'this model opens no stored files. Send file_data.');
  }
  const source = sourceOf(url, `${path}.content.file.file_data`);
  return { type: 'document', source, ...(filename === undefined ? {} : { title: filename }) };
}
