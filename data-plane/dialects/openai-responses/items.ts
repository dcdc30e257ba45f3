// The input of a request as canonical messages. A conversation is a list of items here: what the model said, what it thought and
// which tools it called stand one after the other, and together are one message elsewhere. So whatever the model did between two
// words of the user becomes one message, and each part remembers the item it was, to be written as it came.
import { isObject, type JsonObject, rowFor, textOf, wrongType } from '../../json/values.ts';
import type { Message, Part, PartContent } from '../../turn/request.ts';
import { decodeContent } from './content.ts';
import { carrierOf, type FoundSignature, readSignature } from './signatures.ts';
import { reasoningText } from './wire.ts';

const roles: Readonly<Record<string, Message['role']>> = {
  system: 'system',
  developer: 'developer',
  user: 'user',
  assistant: 'assistant',
};

/** Items that answer the model, although only this dialect knows them. */
const ANSWER = /_output$|_response$/;

interface Decoded {
  readonly role: Message['role'];
  readonly parts: readonly Part[];
}

export function decodeItems(items: readonly unknown[]): readonly Message[] {
  const messages: { readonly role: Message['role']; readonly parts: Part[]; extras?: JsonObject }[] = [];
  for (const [index, item] of items.entries()) {
    const { role, parts } = decodeItem(item, index);
    const last = messages.at(-1);
    if (role === 'assistant' && last?.role === 'assistant') last.parts.push(...parts);
    else messages.push({ role, parts: [...parts], ...(parts.length === 0 ? { extras: { item } } : {}) });
  }
  return messages.map((message) =>
    message.role === 'assistant' ? { ...message, parts: joinCarriers(message.parts) } : message,
  );
}

function decodeItem(item: unknown, index: number): Decoded {
  const path = `input[${index}]`;
  if (!isObject(item)) throw wrongType(path, 'an object');
  const type = textOf(item.type);
  const isMessage = type === 'message' || (type === '' && item.role !== undefined);
  if (isMessage) return decodeMessage(item, index, path);
  const own = { item, index };
  if (type === 'function_call') {
    return { role: 'assistant', parts: [{ ...callOf(item, path), extras: own }] };
  }
  if (type === 'function_call_output') return { role: 'tool', parts: [resultOf(item, index, path)] };
  if (type === 'reasoning') {
    return { role: 'assistant', parts: [{ ...reasoningOf(item), extras: own }] };
  }
  // An item that is nothing but an id refers to one that was kept.
  const name = type || 'item_reference';
  return {
    role: ANSWER.test(type) ? 'user' : 'assistant',
    parts: [{ kind: 'private', type: name, extras: own }],
  };
}

function decodeMessage(item: JsonObject, index: number, path: string): Decoded {
  const role = rowFor(roles, textOf(item.role));
  if (role === undefined) throw wrongType(`${path}.role`, `one of ${Object.keys(roles).join(', ')}`);
  const parts = decodeContent(item.content, `${path}.content`);
  const owned = parts.map((part) => ({ ...part, extras: { ...part.extras, item, index } }));
  if (owned.length > 0 || role !== 'assistant') return { role, parts: owned };
  // Among the items of an answer, one that says nothing still has its place.
  return { role, parts: [{ kind: 'text', text: '', extras: { item, index, isPlaceholder: true } }] };
}

function callOf(item: JsonObject, path: string): Extract<PartContent, { kind: 'tool-call' }> {
  const { call_id: id, name, arguments: written } = item;
  if (typeof id !== 'string') throw wrongType(`${path}.call_id`, 'a string');
  if (typeof name !== 'string') throw wrongType(`${path}.name`, 'a string');
  if (typeof written !== 'string') throw wrongType(`${path}.arguments`, 'a string');
  return { kind: 'tool-call', id, name, arguments: written };
}

function resultOf(item: JsonObject, index: number, path: string): Part {
  if (typeof item.call_id !== 'string') throw wrongType(`${path}.call_id`, 'a string');
  const parts = decodeContent(item.output, `${path}.output`);
  return { kind: 'tool-result', toolCallId: item.call_id, parts, extras: { item, index } };
}

function reasoningOf(item: JsonObject): Extract<PartContent, { kind: 'reasoning' }> {
  const found = readSignature(item);
  return {
    kind: 'reasoning',
    text: reasoningText(item),
    ...(found === undefined ? {} : { signature: found.signature }),
    ...(found?.belonging === 'redacted' ? { isRedacted: true } : {}),
  };
}

/** Hands signatures to the call behind or the text before the item that carries them. */
function joinCarriers(parts: readonly Part[]): readonly Part[] {
  const joined: Part[] = [];
  let waiting: { readonly part: Part; readonly found: FoundSignature } | undefined;
  for (const part of parts) {
    if (waiting !== undefined && part.kind === 'tool-call') {
      joined.push(withSignature(part, waiting.found, { before: waiting.part.extras?.item }));
      waiting = undefined;
      continue;
    }
    if (waiting !== undefined) joined.push(waiting.part);
    waiting = undefined;
    const item = part.kind === 'reasoning' ? part.extras?.item : undefined;
    const found = isObject(item) ? carrierOf(item) : undefined;
    const last = joined.at(-1);
    if (found?.belonging === 'call') waiting = { part, found };
    else if (found?.belonging === 'text' && last?.kind === 'text' && last.signature === undefined) {
      joined[joined.length - 1] = withSignature(last, found, { after: item });
    } else joined.push(part);
  }
  return waiting === undefined ? joined : [...joined, waiting.part];
}

function withSignature(part: Part, { signature }: FoundSignature, carrier: JsonObject): Part {
  const signed = part.kind === 'tool-call' || part.kind === 'text' ? { ...part, signature } : part;
  return { ...signed, extras: { ...part.extras, ...carrier } };
}
