// The contents of a request, written. What this dialect's own clients sent is put together as it was. Everyone else's messages follow
// Google's rules: what the operator says stands apart, all results of one turn's tools stand in one content, a call follows what it
// answers without a word of the model in between that is not its own, and no text is empty.
import { isObject, type JsonObject, objectOf } from '../../json/values.ts';
import type { Message, Part } from '../../turn/request.ts';
import { type Signature, signatureText } from '../../turn/signature.ts';
import { callArguments } from '../call-arguments.ts';
import type { EncodeTarget } from '../dialect.ts';
import { type Media, writeMedia } from './media.ts';
import { type Head, type Piece, piecesOf } from './message.ts';
import { modelNamed } from './models.ts';

interface Conversation {
  readonly systemInstruction: JsonObject | undefined;
  readonly contents: readonly JsonObject[];
}

export interface ConversationTarget extends Pick<EncodeTarget, 'opensUrls' | 'omitsCallIds'> {
  readonly model: string;
  readonly unsupported: (field: string, reason: string) => void;
  /** For an upstream, and not as the client wrote it. */
  readonly isFinal: boolean;
}

/** What Google takes for the signature of a call that another model made. */
const UNSIGNED = 'skip_thought_signature_validator';

interface Content {
  readonly fields: JsonObject;
  /** Which content of the client's body it was. */
  readonly at?: number;
  readonly parts: JsonObject[];
  /** Results of tools join only each other. */
  readonly kind: Message['role'];
  readonly isBare?: boolean;
}

export function encodeConversation(all: readonly Message[], target: ConversationTarget): Conversation {
  const model = modelNamed(target.model);
  const opening = model.isWithoutSystem === true && target.isFinal ? [] : openingOf(all);
  const names = namesOf(all);
  const contents: Content[] = [];
  for (const [offset, message] of all.slice(opening.length).entries()) {
    const path = `messages[${opening.length + offset}].content`;
    if (headsOf(message) === undefined) addMessage(contents, message, { path, names, target });
    else addOwn(contents, message, target);
  }
  if (target.isFinal && model.isThird) for (const content of contents) markUnsigned(content);
  return {
    systemInstruction: encodeSystem(opening, target),
    contents: contents.map(({ fields, parts, isBare }) => ({
      ...fields,
      ...(isBare === true && parts.length === 0 ? {} : { parts }),
    })),
  };
}

function isOperator({ role }: Message): boolean {
  return role === 'system' || role === 'developer';
}

/** What the operator says before anyone else; an operator who speaks alone is answered like a user. */
function openingOf(all: readonly Message[]): readonly Message[] {
  const end = all.findIndex((message) => !isOperator(message));
  if (end !== -1) return all.slice(0, end);
  return headsOf(all.at(-1)) === undefined ? all.slice(0, -1) : all;
}

function encodeSystem(messages: readonly Message[], target: ConversationTarget): JsonObject | undefined {
  const contents: Content[] = [];
  for (const message of messages) {
    if (headsOf(message) !== undefined) addOwn(contents, message, target);
    else {
      const texts = message.parts.flatMap((part) => (part.kind === 'text' && part.text !== '' ? [part] : []));
      contents.push({ fields: {}, kind: 'system', parts: texts.map(({ text }) => ({ text })) });
    }
  }
  const parts = contents.flatMap((content) => content.parts);
  const [first] = contents;
  if (first === undefined || (parts.length === 0 && first.at === undefined)) return undefined;
  return { ...first.fields, ...(first.isBare === true ? {} : { parts }) };
}

function namesOf(all: readonly Message[]): ReadonlyMap<string, string> {
  return new Map(
    all.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.kind === 'tool-call' ? [[part.id, part.name]] : [])),
    ),
  );
}

function headsOf(message: Message | undefined): readonly Head[] | undefined {
  return message?.extras?.heads as readonly Head[] | undefined;
}

function addOwn(contents: Content[], message: Message, target: ConversationTarget): void {
  const pieces = message.parts.flatMap((part) => ownPieces(part, target));
  for (const { at, fields, isBare } of headsOf(message)!) {
    const parts = pieces.filter((piece) => piece.at === at).map(({ part }) => part);
    const last = contents.at(-1);
    if (last?.at === at) last.parts.push(...parts);
    else
      contents.push({ at, fields, parts, kind: message.role, ...(isBare === undefined ? {} : { isBare }) });
  }
}

function ownPieces(part: Part, { isFinal }: ConversationTarget): readonly Piece[] {
  const pieces = piecesOf(part);
  const isText = part.kind === 'text' || part.kind === 'reasoning';
  const isChanged = isText && pieces.map((piece) => piece.part.text ?? '').join('') !== part.text;
  const own = isChanged ? pieces.slice(0, 1).map((piece) => withText(piece, part.text)) : pieces;
  const signature = 'signature' in part ? part.signature : undefined;
  if (!isFinal || signature === undefined || signature.maker === 'google') return own;
  // What another maker signed is no thought of this model's, and its signature no signature here.
  return part.kind === 'reasoning' ? [] : own.map(withoutSignature);
}

function withText({ at, part }: Piece, text: string): Piece {
  return { at, part: { ...part, text } };
}

function withoutSignature({ at, part: { thoughtSignature: _, ...part } }: Piece): Piece {
  return { at, part };
}

interface Place {
  readonly path: string;
  readonly names: ReadonlyMap<string, string>;
  readonly target: ConversationTarget;
}

function addMessage(contents: Content[], message: Message, place: Place): void {
  const isLate = isOperator(message) && contents.length > 0;
  const encoded = message.parts.flatMap((part) => encodePart(part, place));
  const parts = isLate ? encoded.map(asOperator) : encoded;
  if (parts.length === 0) return;
  const kind = isOperator(message) ? 'user' : message.role;
  const last = contents.at(-1);
  if (last?.kind === kind && kind !== 'user') last.parts.push(...parts);
  else contents.push({ fields: { role: kind === 'assistant' ? 'model' : 'user' }, parts, kind });
}

/** What the operator says in the middle keeps its place, and its voice. */
function asOperator(part: JsonObject): JsonObject {
  return typeof part.text === 'string' ? { ...part, text: `<system>\n${part.text}\n</system>` } : part;
}

/** Only the first of the calls that were made together has a signature. */
function markUnsigned({ parts, kind }: Content): void {
  const first = kind === 'assistant' ? parts.findIndex((part) => isObject(part.functionCall)) : -1;
  if (first === -1 || parts[first]!.thoughtSignature !== undefined) return;
  parts[first] = { ...parts[first], thoughtSignature: UNSIGNED };
}

function encodePart(part: Part, place: Place): readonly JsonObject[] {
  switch (part.kind) {
    case 'text': {
      const signed = signatureOf(part.signature, place.target);
      return part.text === '' && signed.thoughtSignature === undefined
        ? []
        : [{ text: part.text, ...signed }];
    }
    case 'refusal':
      return part.text === '' ? [] : [{ text: part.text }];
    case 'reasoning': {
      const signed = signatureOf(part.signature, place.target);
      if (signed.thoughtSignature === undefined) return [];
      return [{ ...(part.isRedacted === true ? {} : { text: part.text }), thought: true, ...signed }];
    }
    case 'image':
    case 'audio':
    case 'file':
      return encodeMedia(part, place);
    case 'tool-call': {
      const call = {
        ...idOf(part.id, place),
        name: part.name,
        args: callArguments(part.arguments, place.path),
      };
      return [{ functionCall: call, ...signatureOf(part.signature, place.target) }];
    }
    case 'tool-result':
      return encodeResult(part, place);
    case 'private':
      return [];
  }
}

/** A client may hold what any maker signed; an upstream is sent what Google did. */
function signatureOf(
  signature: Signature | undefined,
  { isFinal }: ConversationTarget,
): { readonly thoughtSignature?: string } {
  if (signature === undefined || (isFinal && signature.maker !== 'google')) return {};
  return { thoughtSignature: signatureText(signature, 'google') };
}

function idOf(id: string, { target }: Place): { readonly id?: string } {
  return target.omitsCallIds === true || id === '' ? {} : { id };
}

function encodeMedia(part: Media, { path, target }: Place): readonly JsonObject[] {
  const written = writeMedia(part, target.opensUrls === true || !target.isFinal);
  if (written !== undefined) return [written];
  const remedy =
    part.kind === 'file' && part.url === undefined
      ? 'this provider does not have the file. Send its content.'
      : 'this provider does not fetch from addresses, and the gateway does not either. Send the content as a data URL.';
  target.unsupported(path, remedy);
  return [];
}

type ToolResult = Extract<Part, { kind: 'tool-result' }>;

/** Pictures stand inside the result where the model looks for them there, and behind it where it does not. */
function encodeResult(part: ToolResult, place: Place): readonly JsonObject[] {
  const { target, names } = place;
  const media = part.parts.flatMap((inner) =>
    inner.kind === 'image' || inner.kind === 'audio' || inner.kind === 'file'
      ? encodeMedia(inner, place)
      : [],
  );
  const text = part.parts
    .flatMap((inner) => (inner.kind === 'text' || inner.kind === 'refusal' ? [inner.text] : []))
    .join('\n');
  const isInside = modelNamed(target.model).isThird || !target.isFinal;
  const response = {
    ...idOf(part.toolCallId, place),
    name: names.get(part.toolCallId) ?? part.toolCallId,
    response: responseOf(text, part.isError === true, media.length > 0),
    ...(isInside && media.length > 0 ? { parts: media } : {}),
  };
  return [{ functionResponse: response }, ...(isInside ? [] : media)];
}

function responseOf(text: string, isError: boolean, hasMedia: boolean): JsonObject {
  if (isError) return { error: text };
  const value = objectIn(text);
  // Google follows references wherever they stand, and refuses those that lead nowhere.
  if (value !== undefined && !text.includes('"$ref"')) return value;
  return text === '' && hasMedia ? {} : { output: text };
}

function objectIn(text: string): JsonObject | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? objectOf(value) : undefined;
  } catch {
    return undefined;
  }
}
