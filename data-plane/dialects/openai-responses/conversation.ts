// Canonical messages as the items of a request. Parts that were one item of a client's body are written as that item, with the
// canonical values laid over it; parts of another dialect's messages become the items that a client of this one would have sent.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import type { EncodeTarget } from '../dialect.ts';
import { encodeContent } from './content.ts';
import { writeSignature } from './signatures.ts';

const FAILED: Part = { kind: 'text', text: 'The tool failed:' };

export function encodeItems(
  messages: readonly Message[],
  target: EncodeTarget | undefined,
): readonly JsonObject[] {
  return messages.flatMap((message) => encodeMessage(message, target));
}

function encodeMessage({ role, parts, extras }: Message, target: EncodeTarget | undefined): JsonObject[] {
  if (parts.length === 0) return isObject(extras?.item) ? [extras.item] : [];
  const items: JsonObject[] = [];
  let spoken: Part[] = [];
  const endMessage = (): void => {
    if (spoken.length > 0) items.push(messageOf(role, spoken));
    spoken = [];
  };
  for (const part of parts) {
    const [before, after] = [part.extras?.before, part.extras?.after].map((item) => isObject(item) && item);
    if (isSpoken(part)) {
      if (spoken.length > 0 && spoken[0]!.extras?.item !== part.extras?.item) endMessage();
      spoken.push(part);
      if (!after) continue;
      endMessage();
      items.push(after);
      continue;
    }
    endMessage();
    if (before) items.push(before);
    items.push(...itemsOf(part, target));
  }
  endMessage();
  return items;
}

/** Whether the part stands inside a message, and is no item of its own. */
function isSpoken(part: Part): boolean {
  if (part.kind === 'private') return part.extras?.whole !== undefined;
  return part.kind !== 'reasoning' && part.kind !== 'tool-call' && part.kind !== 'tool-result';
}

function messageOf(role: Message['role'], parts: readonly Part[]): JsonObject {
  const [first] = parts;
  const item = objectOf(first!.extras?.item);
  if (first!.extras?.isPlaceholder === true) return item;
  const isOutput = role === 'assistant';
  if (typeof item.content === 'string') {
    const text = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
    return { ...item, content: text };
  }
  const content = encodeContent(parts, isOutput);
  // A result that stands in no tool's message cannot be told apart from what the user says.
  const wireRole = role === 'tool' ? 'user' : role;
  return Object.keys(item).length > 0 ? { ...item, content } : { type: 'message', role: wireRole, content };
}

function itemsOf(part: Part, target: EncodeTarget | undefined): readonly JsonObject[] {
  const item = objectOf(part.extras?.item);
  switch (part.kind) {
    case 'tool-call':
      return [
        { ...item, type: 'function_call', call_id: part.id, name: part.name, arguments: part.arguments },
      ];
    case 'tool-result':
      return [{ ...item, type: 'function_call_output', call_id: part.toolCallId, output: outputOf(part) }];
    case 'reasoning':
      return Object.keys(item).length > 0 ? [item] : reasoningItem(part, target);
    default:
      return Object.keys(item).length > 0 ? [item] : [];
  }
}

/** Reasoning counts only with the signature of who reasoned; that of other makers is nothing OpenAI would accept. */
function reasoningItem(
  { text, signature }: Extract<Part, { kind: 'reasoning' }>,
  target: EncodeTarget | undefined,
): readonly JsonObject[] {
  if (signature === undefined || (target !== undefined && signature.maker !== 'openai')) return [];
  return [
    {
      type: 'reasoning',
      ...(signature.maker === 'openai' && signature.id !== undefined ? { id: signature.id } : {}),
      summary: text === '' ? [] : [{ type: 'summary_text', text }],
      encrypted_content: writeSignature(signature),
    },
  ];
}

function outputOf(part: Extract<Part, { kind: 'tool-result' }>): unknown {
  const item = part.extras?.item;
  const parts = part.isError === true ? [FAILED, ...part.parts] : part.parts;
  const isText = parts.every(({ kind, extras }) => kind === 'text' && extras === undefined);
  const isString = isObject(item) ? typeof item.output === 'string' : isText;
  if (!isString) return isObject(item) && item.output == null ? item.output : encodeContent(parts, false);
  return parts.map((inner) => (inner.kind === 'text' ? inner.text : '')).join('\n');
}
