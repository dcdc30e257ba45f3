// The contents of a request, read. Google's clients keep a streamed answer as many contents in a row, one per piece; here they are
// one message again, because a signature covers all that was thought and not the last piece of it. What came from which content is
// kept in the extras, so that it can be written as it was.
//
// Calls mostly have no ids there: the second call of the conversation is `call_2` for as long as it is repeated, and a result without
// an id belongs to the first call of its name that has none yet.
import { isObject, type JsonObject, objectOf, textOf, wrongType } from '../../json/values.ts';
import type { Message, Part, PartContent } from '../../turn/request.ts';
import { parseSignature } from '../../turn/signature.ts';
import { userMessages } from '../user-messages.ts';
import { readFileData, readInlineData } from './media.ts';
import { named } from './wire.ts';

/** Which content of the body a part came from, and how it stood there. */
export interface Piece {
  readonly at: number;
  readonly part: JsonObject;
}

/** What a content says beside its parts. */
export interface Head {
  readonly at: number;
  readonly fields: JsonObject;
  /** It has no list of parts at all. */
  readonly isBare?: boolean;
}

interface Call {
  readonly id: string;
  readonly name: string;
  isAnswered: boolean;
}

interface Reading {
  readonly calls: Call[];
}

interface ReadContent {
  readonly role: Message['role'];
  readonly head: Head;
  readonly parts: readonly Part[];
}

export function decodeSystem(wire: unknown): readonly Message[] {
  if (wire == null) return [];
  const { parts, ...head } = contentOf(wire, 'systemInstruction');
  const read = parts.map((part, index) =>
    decodePart(part, `systemInstruction.parts[${index}]`, 0, { calls: [] }),
  );
  return [{ role: 'system', parts: read, extras: { heads: [{ at: 0, ...head }] } }];
}

export function decodeContents(wire: unknown): readonly Message[] {
  // One content, and one part, may stand by itself.
  const contents = Array.isArray(wire) ? wire : [wire];
  const reading: Reading = { calls: [] };
  const messages: Message[] = [];
  for (const [at, content] of contents.entries()) {
    const read = decodeContent(content, at, reading);
    const last = messages.at(-1);
    if (read.role === 'assistant' && last?.role === 'assistant')
      messages[messages.length - 1] = join(last, read);
    else messages.push(...messagesOf(read));
  }
  return messages;
}

const roles: Readonly<Record<string, Message['role']>> = {
  user: 'user',
  model: 'assistant',
  function: 'tool',
  tool: 'tool',
};

function decodeContent(wire: unknown, at: number, reading: Reading): ReadContent {
  const path = `contents[${at}]`;
  const { parts, ...head } = contentOf(wire, path);
  const name = head.fields.role ?? 'user';
  const role = typeof name === 'string' && Object.hasOwn(roles, name) ? roles[name] : undefined;
  if (role === undefined) throw wrongType(`${path}.role`, 'user or model');
  const read = parts.map((part, index) => decodePart(part, `${path}.parts[${index}]`, at, reading));
  return { role, head: { at, ...head }, parts: role === 'assistant' ? joined(read) : read };
}

function contentOf(wire: unknown, path: string): Omit<Head, 'at'> & { readonly parts: readonly unknown[] } {
  if (!isObject(wire)) throw wrongType(path, 'an object');
  const { parts, ...fields } = named(wire);
  if (parts == null) return { parts: [], fields, isBare: true };
  return { parts: Array.isArray(parts) ? parts : [parts], fields };
}

function messagesOf({ role, head, parts }: ReadContent): readonly Message[] {
  const extras = { heads: [head] };
  return role === 'assistant' || parts.length === 0 ? [{ role, parts, extras }] : userMessages(parts, extras);
}

function join(message: Message, { head, parts }: ReadContent): Message {
  const heads = [...(objectOf(message.extras).heads as readonly Head[]), head];
  return { ...message, parts: joined([...message.parts, ...parts]), extras: { heads } };
}

/** Pieces of the same text, or the same thought, up to a signature. */
function joined(parts: readonly Part[]): readonly Part[] {
  const whole: Part[] = [];
  for (const part of parts) {
    const last = whole.at(-1);
    const joins =
      last !== undefined && isFlow(last) && isFlow(part) && last.kind === part.kind && !last.signature;
    if (joins) whole[whole.length - 1] = joinTwo(last, part);
    else whole.push(part);
  }
  return whole;
}

type Flow = Extract<Part, { kind: 'text' | 'reasoning' }>;

function isFlow(part: Part): part is Flow {
  return part.kind === 'text' || (part.kind === 'reasoning' && part.isRedacted !== true);
}

function joinTwo<Kind extends Flow>(one: Kind, other: Flow): Kind {
  return {
    ...one,
    text: one.text + other.text,
    ...(other.signature === undefined ? {} : { signature: other.signature }),
    extras: { pieces: [...piecesOf(one), ...piecesOf(other)] },
  };
}

export function piecesOf(part: Part): readonly Piece[] {
  return (part.extras?.pieces ?? []) as readonly Piece[];
}

function decodePart(value: unknown, path: string, at: number, reading: Reading): Part {
  if (!isObject(value)) throw wrongType(path, 'an object');
  const wire = named(value);
  const extras = { pieces: [{ at, part: wire }] };
  const content = contentOfPart(wire, path, reading);
  const signature = textOf(wire.thoughtSignature);
  const isSigned = signature !== '' && signable.includes(content.kind);
  return {
    ...content,
    ...(isSigned ? { signature: parseSignature(signature, 'google') } : {}),
    extras,
  } as Part;
}

const signable: readonly Part['kind'][] = ['text', 'reasoning', 'tool-call'];

function contentOfPart(wire: JsonObject, path: string, reading: Reading): PartContent {
  if (isObject(wire.functionCall)) return decodeCall(wire.functionCall, path, reading);
  if (isObject(wire.functionResponse)) return decodeResult(wire.functionResponse, path, reading);
  const isThought = wire.thought === true;
  if (typeof wire.text === 'string') return { kind: isThought ? 'reasoning' : 'text', text: wire.text };
  const kind = Object.keys(wire).find((name) => !beside.includes(name));
  if (isThought && kind === undefined) return { kind: 'reasoning', text: '', isRedacted: true };
  if (isObject(wire.inlineData) && !isThought) return readInlineData(wire.inlineData);
  const found = isThought ? undefined : readFileData(wire.fileData);
  return found ?? { kind: 'private', type: kind ?? 'empty part' };
}

/** What may stand in a part beside the one thing that it is. */
const beside: readonly string[] = [
  'thought',
  'thoughtSignature',
  'partMetadata',
  'videoMetadata',
  'mediaResolution',
];

function decodeCall(value: JsonObject, path: string, { calls }: Reading): PartContent {
  const { name, args, id } = named(value);
  if (typeof name !== 'string') throw wrongType(`${path}.functionCall.name`, 'a string');
  const call: Call = { id: textOf(id) || `call_${calls.length + 1}`, name, isAnswered: false };
  calls.push(call);
  return { kind: 'tool-call', id: call.id, name, arguments: JSON.stringify(args ?? {}) };
}

function decodeResult(value: JsonObject, path: string, { calls }: Reading): PartContent {
  const { name, id, response, parts } = named(value);
  if (typeof name !== 'string') throw wrongType(`${path}.functionResponse.name`, 'a string');
  const open = calls.filter((call) => !call.isAnswered);
  const call =
    open.find((candidate) => candidate.id === id) ?? open.find((candidate) => candidate.name === name);
  if (call !== undefined) call.isAnswered = true;
  const media = Array.isArray(parts) ? parts.map((part) => mediaOf(named(part))) : [];
  return {
    kind: 'tool-result',
    toolCallId: textOf(id) || call?.id || name,
    ...readResponse(objectOf(response), media),
  };
}

function mediaOf({ inlineData, fileData }: JsonObject): Part {
  if (isObject(inlineData)) return readInlineData(inlineData);
  return readFileData(fileData) ?? { kind: 'private', type: 'functionResponse.parts' };
}

/** What a tool returned stands under one of these names, where it is not the whole object. */
const outputs: readonly string[] = ['output', 'result'];

function readResponse(
  response: JsonObject,
  media: readonly Part[],
): { readonly parts: readonly Part[]; readonly isError?: boolean } {
  const [name = '', ...others] = Object.keys(response);
  const isOne = others.length === 0 && (outputs.includes(name) || name === 'error');
  const value = isOne ? response[name] : response;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const parts: readonly Part[] = [...(text === '{}' && media.length > 0 ? [] : [textPart(text)]), ...media];
  return { parts, ...(isOne && name === 'error' ? { isError: true } : {}) };
}

function textPart(text: string): Part {
  return { kind: 'text', text };
}
