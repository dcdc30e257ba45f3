// The messages of a request, written. The rules are Anthropic's: what the operator says stands apart, user and assistant take
// turns and the user begins, all results of one turn's tools stand in one message and before any words, no text is empty.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import { callArguments } from '../call-arguments.ts';
import type { Unsupported } from '../dialect.ts';

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

/** Where a part stands, for whoever hears that it cannot be said. */
interface Place {
  readonly path: string;
  readonly unsupported: Unsupported;
}

/** Stands in for the user where a conversation begins without one and the client would rather go on. */
const UNSAID: Turn = {
  role: 'user',
  blocks: [{ type: 'text', text: '…' }],
  source: undefined,
  isString: false,
  fields: {},
};

export function encodeConversation(all: readonly Message[], unsupported: Unsupported): Conversation {
  const from = all.findIndex(({ role, extras }) => !isOperator(role) || extras?.message !== undefined);
  const end = from === -1 ? all.length : from;
  // An operator who speaks alone is answered like a user: here a conversation cannot be empty.
  const opening = end === all.length ? all.slice(0, Math.max(0, end - 1)) : all.slice(0, end);
  const turns: Turn[] = [];
  for (const [offset, message] of all.slice(opening.length).entries()) {
    addMessage(turns, message, { path: `messages[${opening.length + offset}]`, unsupported });
  }
  const isOwn = turns[0]?.source !== undefined;
  const written = isOwn ? turns : turns.filter(({ blocks }) => blocks.length > 0);
  if (!isOwn && written[0]?.role === 'assistant') {
    unsupported('messages[0].role', 'a conversation with this model begins with the user.');
    written.unshift(UNSAID);
  }
  return { system: encodeSystem(opening, unsupported), messages: written.map((turn) => encodeTurn(turn)) };
}

function isOperator(role: Message['role']): boolean {
  return role === 'system' || role === 'developer';
}

function encodeSystem(messages: readonly Message[], unsupported: Unsupported): unknown {
  const [first] = messages;
  if (first === undefined) return undefined;
  const isOwn = first.extras?.form !== undefined;
  const blocks = messages.flatMap(({ parts }) =>
    parts.flatMap((part) => encodePart(part, { path: 'system', unsupported })),
  );
  if (isOwn) return first.extras?.form === 'list' ? blocks : textIn(blocks);
  if (blocks.length === 0) return undefined;
  return blocks.some((block) => block.cache_control !== undefined) ? blocks : textIn(blocks);
}

function textIn(blocks: readonly JsonObject[]): string {
  return blocks.map((block) => String(block.text)).join('\n\n');
}

function addMessage(turns: Turn[], message: Message, place: Place): void {
  const { role, extras = {} } = message;
  const source = extras.message;
  const isLateOperator = isOperator(role) && source === undefined && turns.length > 0;
  const wireRole = role === 'assistant' || (role === 'system' && source !== undefined) ? role : 'user';
  const encoded = message.parts.flatMap((part) => encodePart(part, place));
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

function encodePart(part: Part, place: Place): readonly JsonObject[] {
  const { path, unsupported } = place;
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
      return withSource({ ...more, type: 'image' }, part.url, place);
    case 'file':
      return isObject(extras.whole) ? [extras.whole] : encodeDocument(part, more, place);
    case 'tool-call':
      return [
        ...carrierOf(part),
        {
          ...more,
          type: 'tool_use',
          id: part.id,
          name: part.name,
          input: callArguments(part.arguments, path),
        },
      ];
    case 'tool-result':
      return [{ ...more, ...resultOf(part, place) }];
    case 'audio':
      unsupported(`${path}.content`, 'this model does not listen to audio.');
      return [];
    case 'private':
      return [objectOf(extras.whole)];
  }
}

/** Reasoning counts only with the signature of who reasoned; that of other models is nothing Claude would accept. */
function encodeReasoning(part: Extract<Part, { kind: 'reasoning' }>): readonly JsonObject[] {
  if (isObject(part.extras?.whole)) return [part.extras.whole];
  const { signature, isRedacted, text } = part;
  if (signature?.maker !== 'anthropic') return [];
  if (isRedacted === true) return [{ type: 'redacted_thinking', data: signature.value }];
  return [{ type: 'thinking', thinking: text, signature: signature.value }];
}

/** The empty thought in which a client of this dialect carries the signature of another maker's tool call. */
function carrierOf({ extras }: Part): readonly JsonObject[] {
  return isObject(extras?.carrier) ? [extras.carrier] : [];
}

function resultOf(part: Extract<Part, { kind: 'tool-result' }>, place: Place): JsonObject {
  const form = part.extras?.form;
  const blocks = part.parts.flatMap((inner) => encodePart(inner, place));
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

/** A data URL with its parameters, as `data:image/png;name=a.png;base64,…`. */
const dataUrl = /^data:([^;,]+)(?:;[^;,]*)*?;base64,/i;

/** Nothing where the source is one that Claude cannot open. */
function withSource(block: JsonObject, url: string, { path, unsupported }: Place): readonly JsonObject[] {
  const found = dataUrl.exec(url);
  if (found !== null) {
    const data = url.slice(found[0].length);
    return [{ ...block, source: { type: 'base64', media_type: found[1]!.toLowerCase(), data } }];
  }
  if (/^https?:/i.test(url)) return [{ ...block, source: { type: 'url', url } }];
  unsupported(`${path}.content`, 'an image or document has to be an http address or a data URL in base64.');
  return [];
}

function encodeDocument(
  { url, filename }: Extract<Part, { kind: 'file' }>,
  more: JsonObject,
  place: Place,
): readonly JsonObject[] {
  if (url === undefined) {
    place.unsupported(`${place.path}.content.file`, 'this model opens no stored files; send its data.');
    return [];
  }
  const title = filename === undefined ? {} : { title: filename };
  return withSource({ ...more, type: 'document', ...title }, url, place);
}
