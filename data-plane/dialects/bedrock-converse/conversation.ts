// The messages of a request, written. The rules are Bedrock's: what the operator says stands apart, user and assistant take
// turns and the user begins, results of tools stand before words, no text is blank and none of the assistant's last ends in a
// space, and a mark up to which a prompt may be kept is a block of its own, behind what it marks.
import type { JsonObject } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import { callArguments } from '../call-arguments.ts';
import type { Unsupported } from '../dialect.ts';
import { type DocumentNames, encodeFile, encodeImage } from './media.ts';
import type { ConverseModel } from './models.ts';
import type { ToolNames } from './names.ts';

export interface Writing {
  readonly model: ConverseModel;
  readonly names: ToolNames;
  readonly documentNames: DocumentNames;
  readonly unsupported: Unsupported;
}

interface Conversation {
  readonly system: readonly JsonObject[];
  readonly messages: readonly JsonObject[];
}

/** The blocks of one part, with the mark behind them. */
type Group = readonly JsonObject[];

/** A message under way: all canonical messages that become one. */
interface Turn {
  readonly role: 'user' | 'assistant';
  readonly groups: Group[];
}

/** Said where a tool said nothing, because no text may be empty. */
const NO_OUTPUT = '(empty)';

export function encodeConversation(all: readonly Message[], writing: Writing): Conversation {
  const from = all.findIndex(({ role }) => !isOperator(role));
  // An operator who speaks alone is answered like a user: here a conversation cannot be empty.
  const openingEnd = from === -1 ? Math.max(0, all.length - 1) : from;
  const turns: Turn[] = [];
  for (const [offset, message] of all.slice(openingEnd).entries()) {
    addMessage(turns, message, `messages[${openingEnd + offset}]`, writing);
  }
  if (turns[0]?.role === 'assistant') {
    writing.unsupported('messages[0].role', 'a conversation with this model begins with the user.');
    turns.shift();
  }
  const system = all
    .slice(0, openingEnd)
    .flatMap(({ parts }) => parts.flatMap((part) => inSystem(part, writing)));
  return { system, messages: turns.map((turn, index) => encodeTurn(turn, index === turns.length - 1)) };
}

function isOperator(role: Message['role']): boolean {
  return role === 'system' || role === 'developer';
}

function inSystem(part: Part, writing: Writing): Group {
  if (part.kind === 'text') return encodeGroup(part, 'system', writing);
  writing.unsupported('system', 'this model is instructed in words alone.');
  return [];
}

function addMessage(turns: Turn[], message: Message, path: string, writing: Writing): void {
  const role = message.role === 'assistant' ? 'assistant' : 'user';
  const parts = isOperator(message.role) && turns.length > 0 ? message.parts.map(asOperator) : message.parts;
  const groups = parts.map((part) => encodeGroup(part, path, writing)).filter((group) => group.length > 0);
  if (groups.length === 0) return;
  const last = turns.at(-1);
  if (last?.role === role) last.groups.push(...groups);
  else turns.push({ role, groups });
}

/** What the operator says in the middle keeps its place, and its voice. */
function asOperator(part: Part): Part {
  return part.kind === 'text' ? { ...part, text: `<system>\n${part.text}\n</system>` } : part;
}

function encodeTurn({ role, groups }: Turn, isLast: boolean): JsonObject {
  const results = groups.filter(([block]) => block!.toolResult !== undefined);
  const others = groups.filter(([block]) => block!.toolResult === undefined);
  const content = [...results, ...others].flat();
  const end = content.at(-1)!;
  if (isLast && role === 'assistant' && typeof end.text === 'string') {
    content[content.length - 1] = { text: end.text.trimEnd() };
  }
  return { role, content };
}

function encodeGroup(part: Part, path: string, writing: Writing): Group {
  const blocks = encodePart(part, `${path}.content`, writing);
  const isMarked = part.kind !== 'reasoning' && writing.model.takesCacheMarks && blocks.length > 0;
  return isMarked ? [...blocks, ...cachePoints(markOf(part))] : blocks;
}

/** Inside the result of a tool no mark can stand, so it moves behind it. */
function markOf(part: Part): Part['cacheControl'] {
  if (part.cacheControl !== undefined || part.kind !== 'tool-result') return part.cacheControl;
  return part.parts.findLast(({ cacheControl }) => cacheControl !== undefined)?.cacheControl;
}

const lives: readonly unknown[] = ['5m', '1h'];

export function cachePoints(mark: Part['cacheControl']): readonly JsonObject[] {
  if (mark === undefined) return [];
  return [{ cachePoint: { type: 'default', ...(lives.includes(mark.ttl) ? { ttl: mark.ttl } : {}) } }];
}

function encodePart(part: Part, path: string, writing: Writing): readonly JsonObject[] {
  const { unsupported, names } = writing;
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text.trim() === '' ? [] : [{ text: part.text }];
    case 'reasoning':
      return encodeReasoning(part, writing);
    case 'image':
      return encodeImage(part, path, unsupported);
    case 'file':
      return encodeFile(part, path, writing);
    case 'tool-call': {
      const input = callArguments(part.arguments, path);
      return [{ toolUse: { toolUseId: names.id(part.id), name: names.name(part.name), input } }];
    }
    case 'tool-result':
      return [{ toolResult: resultOf(part, path, writing) }];
    case 'audio':
      unsupported(path, 'this model does not listen to audio.');
      return [];
    case 'private':
      return [];
  }
}

/** Reasoning counts only with the signature of who reasoned; what nobody signed, Bedrock refuses. */
function encodeReasoning(
  { text, signature, isRedacted }: Extract<Part, { kind: 'reasoning' }>,
  { model }: Writing,
): readonly JsonObject[] {
  if (signature?.maker !== 'anthropic' || !model.takesSignatures) return [];
  if (isRedacted === true) {
    return [{ reasoningContent: { redactedContent: Buffer.from(signature.value).toString('base64') } }];
  }
  return [{ reasoningContent: { reasoningText: { text, signature: signature.value } } }];
}

function resultOf(part: Extract<Part, { kind: 'tool-result' }>, path: string, writing: Writing): JsonObject {
  const content = part.parts.flatMap((inner) => encodePart(inner, path, writing));
  return {
    toolUseId: writing.names.id(part.toolCallId),
    content: content.length === 0 ? [{ text: NO_OUTPUT }] : content,
    ...(part.isError === undefined ? {} : { status: part.isError ? 'error' : 'success' }),
  };
}
