// The messages of a request, read. A message of the user may hold results of tools beside words; each run of either becomes a
// canonical message of its own, and extras remember which ones were one.
import {
  isObject,
  type JsonObject,
  objectOf,
  rest,
  textOf,
  withExtras,
  wrongType,
} from '../../json/values.ts';
import type { Message, Part, PartContent } from '../../turn/request.ts';
import { parseSignature } from '../../turn/signature.ts';
import { userMessages } from '../user-messages.ts';

export function decodeSystem(system: unknown): readonly Message[] {
  if (system == null) return [];
  const form = typeof system === 'string' ? 'string' : 'list';
  return [{ role: 'system', parts: decodeContent(system, 'system'), extras: { form } }];
}

export function decodeMessage(wire: unknown, index: number): readonly Message[] {
  const path = `messages[${index}]`;
  if (!isObject(wire)) throw wrongType(path, 'an object');
  const { role } = wire;
  if (role !== 'user' && role !== 'assistant' && role !== 'system') {
    throw wrongType(`${path}.role`, 'user or assistant');
  }
  const parts = decodeContent(wire.content, `${path}.content`);
  const form = typeof wire.content === 'string' ? 'string' : 'list';
  const extras = { form, message: index, ...withFields(rest(wire, ['role', 'content'])) };
  // Only the user brings results of tools; anything else is the provider's to refuse.
  return role === 'user' && parts.length > 0 ? userMessages(parts, extras) : [{ role, parts, extras }];
}

function decodeContent(content: unknown, path: string): readonly Part[] {
  if (content === '') return [];
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) throw wrongType(path, 'a string or a list of blocks');
  return joinCarriers(content.map((block, index) => decodeBlock(block, `${path}[${index}]`)));
}

/**
 * A thought without text that another maker signed belongs to the tool call behind it: this dialect has no other place for the
 * signature of a call.
 */
function joinCarriers(parts: readonly Part[]): readonly Part[] {
  const joined: Part[] = [];
  let carrier: Extract<Part, { kind: 'reasoning' }> | undefined;
  for (const part of parts) {
    if (carrier !== undefined && part.kind === 'tool-call') {
      const extras = { ...part.extras, carrier: carrier.extras?.whole };
      joined.push({ ...part, signature: carrier.signature!, extras });
      carrier = undefined;
      continue;
    }
    if (carrier !== undefined) joined.push(carrier);
    carrier = isCarrier(part) ? part : undefined;
    if (carrier === undefined) joined.push(part);
  }
  return carrier === undefined ? joined : [...joined, carrier];
}

function isCarrier(part: Part): part is Extract<Part, { kind: 'reasoning' }> {
  return (
    part.kind === 'reasoning' && part.text === '' && (part.signature?.maker ?? 'anthropic') !== 'anthropic'
  );
}

function decodeBlock(wire: unknown, path: string): Part {
  if (!isObject(wire)) throw wrongType(path, 'an object');
  switch (wire.type) {
    case 'text':
      // An empty text is dropped for Claude unless it was written for Claude: then the refusal is the provider's.
      return part(
        { kind: 'text', text: stringAt(wire, 'text', path) },
        wire,
        ['text'],
        wire.text === '' ? { isEmpty: true } : {},
      );
    case 'thinking':
      return decodeThinking(wire);
    case 'redacted_thinking':
      return {
        kind: 'reasoning',
        text: '',
        isRedacted: true,
        signature: { maker: 'anthropic', value: textOf(wire.data) },
        extras: { whole: wire },
      };
    case 'tool_use':
      return part(
        {
          kind: 'tool-call',
          id: stringAt(wire, 'id', path),
          name: stringAt(wire, 'name', path),
          arguments: JSON.stringify(objectOf(wire.input)),
        },
        wire,
        ['id', 'name', 'input'],
      );
    case 'tool_result':
      return decodeResult(wire, path);
    case 'image':
    case 'document':
      return decodeSource(wire);
    default:
      return { kind: 'private', type: textOf(wire.type), extras: { whole: wire } };
  }
}

function decodeThinking(wire: JsonObject): Part {
  const signature = textOf(wire.signature);
  return {
    kind: 'reasoning',
    text: textOf(wire.thinking),
    ...(signature === '' ? {} : { signature: parseSignature(signature, 'anthropic') }),
    extras: { whole: wire },
  };
}

function decodeResult(wire: JsonObject, path: string): Part {
  const { content } = wire;
  const form = content == null ? 'absent' : typeof content === 'string' ? 'string' : 'list';
  const result: PartContent = {
    kind: 'tool-result',
    toolCallId: stringAt(wire, 'tool_use_id', path),
    parts: content == null ? [] : decodeContent(content, `${path}.content`),
    ...(typeof wire.is_error === 'boolean' ? { isError: wire.is_error } : {}),
  };
  return part(result, wire, ['tool_use_id', 'content', 'is_error'], { form });
}

/** Images and documents, wherever they are. What only Anthropic can open (files kept there) stays private. */
function decodeSource(wire: JsonObject): Part {
  const source = objectOf(wire.source);
  const isImage = wire.type === 'image';
  const url =
    source.type === 'base64'
      ? `data:${textOf(source.media_type)};base64,${textOf(source.data)}`
      : isImage && source.type === 'url'
        ? textOf(source.url)
        : undefined;
  if (url === undefined) return { kind: 'private', type: textOf(wire.type), extras: { whole: wire } };
  if (isImage) return part({ kind: 'image', url }, wire, ['source']);
  const filename = textOf(wire.title) || 'document.pdf';
  const more = { whole: wire };
  return part({ kind: 'file', filename, url }, wire, ['source', 'title'], more);
}

function part(
  content: PartContent,
  wire: JsonObject,
  understood: readonly string[],
  more: JsonObject = {},
): Part {
  const hasMark = isObject(wire.cache_control);
  const fields = rest(wire, ['type', ...understood, ...(hasMark ? ['cache_control'] : [])]);
  return {
    ...content,
    ...(hasMark ? { cacheControl: objectOf(wire.cache_control) } : {}),
    ...withExtras({ ...more, ...withFields(fields) }),
  };
}

function withFields(fields: JsonObject | undefined): JsonObject {
  return fields === undefined ? {} : { fields };
}

function stringAt(wire: JsonObject, field: string, path: string): string {
  const value = wire[field];
  if (typeof value !== 'string') throw wrongType(`${path}.${field}`, 'a string');
  return value;
}
