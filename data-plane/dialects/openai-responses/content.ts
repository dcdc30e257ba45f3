// What a message is made of, both ways. The wire keeps what goes in and what comes out apart by name (input_text, output_text); the
// canonical part only says what it is. Extras keep the part as it was written, and encoding lays the canonical values over it.
import {
  defined,
  isObject,
  type JsonObject,
  objectOf,
  rest,
  rowFor,
  textOf,
  wrongType,
} from '../../json/values.ts';
import type { Part, PartContent } from '../../turn/request.ts';

/** The members of each type that a canonical part holds; whatever else stands there has no name elsewhere. */
const understood: Readonly<Record<string, readonly string[]>> = {
  input_text: ['type', 'text'],
  output_text: ['type', 'text'],
  text: ['type', 'text'],
  summary_text: ['type', 'text'],
  refusal: ['type', 'refusal'],
  input_image: ['type', 'image_url', 'detail', 'file_id'],
  input_file: ['type', 'file_data', 'file_url', 'file_id', 'filename'],
  input_audio: ['type', 'input_audio'],
};

export function decodeContent(content: unknown, path: string): readonly Part[] {
  if (content == null) return [];
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) throw wrongType(path, 'a string or a list of parts');
  return content.map((part, index) => decodePart(part, `${path}[${index}]`));
}

function decodePart(wire: unknown, path: string): Part {
  if (!isObject(wire)) throw wrongType(path, 'an object');
  const type = textOf(wire.type);
  const content = contentOf(type, wire, path);
  return { ...content, ...cacheControlOf(wire), extras: { whole: wire } };
}

function contentOf(type: string, wire: JsonObject, path: string): PartContent {
  switch (type) {
    case 'input_text':
    case 'output_text':
    case 'text':
    case 'summary_text':
      return { kind: 'text', text: stringIn(wire, 'text', path) };
    case 'refusal':
      return { kind: 'refusal', text: stringIn(wire, 'refusal', path) };
    case 'input_image': {
      const { image_url: url, detail } = wire;
      // A picture that was uploaded to the provider before is known to nobody else.
      if (typeof url !== 'string') return { kind: 'private', type };
      return { kind: 'image', url, ...(typeof detail === 'string' ? { detail } : {}) };
    }
    case 'input_file': {
      const url = textOf(wire.file_data) || textOf(wire.file_url) || undefined;
      const fileId = textOf(wire.file_id) || undefined;
      return { kind: 'file', ...defined({ url, fileId, filename: textOf(wire.filename) || undefined }) };
    }
    case 'input_audio': {
      const { data, format } = objectOf(wire.input_audio);
      if (typeof data !== 'string' || typeof format !== 'string') return { kind: 'private', type };
      return { kind: 'audio', data, format };
    }
    default:
      return { kind: 'private', type };
  }
}

/** Parts as the content of a message, or of a result, in the words for what goes in or for what came out. */
export function encodeContent(parts: readonly Part[], isOutput: boolean): readonly JsonObject[] {
  return parts.flatMap((part) => encodePart(part, isOutput));
}

function encodePart(part: Part, isOutput: boolean): JsonObject[] {
  const whole = objectOf(part.extras?.whole);
  switch (part.kind) {
    case 'text':
      if (isObject(part.extras?.whole)) return [{ ...whole, text: part.text }];
      return [
        isOutput
          ? { type: 'output_text', text: part.text, annotations: [] }
          : { type: 'input_text', text: part.text },
      ];
    case 'refusal':
      return [{ ...whole, type: 'refusal', refusal: part.text }];
    case 'image': {
      const detail = part.detail ?? (isObject(part.extras?.whole) ? undefined : 'auto');
      return [{ ...whole, type: 'input_image', image_url: part.url, ...defined({ detail }) }];
    }
    case 'file':
      return [isObject(part.extras?.whole) ? whole : { type: 'input_file', ...fileFields(part) }];
    case 'audio':
      return [
        {
          ...whole,
          type: 'input_audio',
          input_audio: { ...objectOf(whole.input_audio), data: part.data, format: part.format },
        },
      ];
    case 'private':
      return isObject(part.extras?.whole) ? [part.extras.whole] : [];
    default:
      return [];
  }
}

function fileFields({ url, fileId, filename }: Extract<Part, { kind: 'file' }>): JsonObject {
  const isData = url?.startsWith('data:') === true;
  return defined({
    file_data: isData ? url : undefined,
    // Data without a name is refused.
    filename: filename ?? (isData ? 'document' : undefined),
    file_url: isData ? undefined : url,
    file_id: fileId,
  });
}

/** Members that no canonical part holds, null ones aside. */
export function unknownIn(wire: JsonObject, also: readonly string[]): readonly string[] {
  const known = [...(rowFor(understood, textOf(wire.type)) ?? []), ...also];
  return Object.keys(rest(wire, known) ?? {}).filter((field) => wire[field] !== null);
}

function cacheControlOf(wire: JsonObject): { cacheControl?: JsonObject } {
  return isObject(wire.cache_control) ? { cacheControl: wire.cache_control } : {};
}

function stringIn(wire: JsonObject, field: string, path: string): string {
  const value = wire[field];
  if (typeof value !== 'string') throw wrongType(`${path}.${field}`, 'a string');
  return value;
}
