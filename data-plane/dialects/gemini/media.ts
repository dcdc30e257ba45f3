// Pictures, sound and documents. Google has one shape for all of them, bytes with a media type, and one for what it can fetch itself;
// what they are to the other dialects follows from the type.
import { type JsonObject, textOf } from '../../json/values.ts';
import type { Part, PartContent } from '../../turn/request.ts';
import { named } from './wire.ts';

/** What OpenAI calls the formats of sound, by their media types. */
const audioFormats: Readonly<Record<string, string>> = {
  'audio/wav': 'wav',
  'audio/x-wav': 'wav',
  'audio/mp3': 'mp3',
  'audio/mpeg': 'mp3',
  'audio/aac': 'aac',
  'audio/ogg': 'ogg',
  'audio/flac': 'flac',
  'audio/aiff': 'aiff',
};

/** Bytes in the request itself. */
export function readInlineData(wire: unknown): PartContent {
  const { mimeType, data, displayName } = named(wire);
  const type = textOf(mimeType);
  const format = audioFormats[type.toLowerCase()];
  if (format !== undefined) return { kind: 'audio', data: textOf(data), format };
  const url = `data:${type};base64,${textOf(data)}`;
  if (type.startsWith('image/')) return { kind: 'image', url };
  return { kind: 'file', url, ...(typeof displayName === 'string' ? { filename: displayName } : {}) };
}

/** Something that others could fetch too; undefined for what only Google can open. */
export function readFileData(wire: unknown): PartContent | undefined {
  const { mimeType, fileUri } = named(wire);
  const type = textOf(mimeType);
  const url = textOf(fileUri);
  if (!/^https?:/i.test(url) || isGoogles(url)) return undefined;
  if (type.startsWith('image/')) return { kind: 'image', url };
  return type === 'application/pdf' ? { kind: 'file', url } : undefined;
}

export type Media = Extract<Part, { kind: 'image' | 'audio' | 'file' }>;

/** Undefined where it cannot be written; `opensUrls` says whether the upstream fetches from anywhere. */
export function writeMedia(part: Media, opensUrls: boolean): JsonObject | undefined {
  if (part.kind === 'audio') {
    return { inlineData: { mimeType: `audio/${part.format}`, data: part.data } };
  }
  const { url } = part;
  if (url === undefined) return undefined;
  const data = readDataUrl(url);
  if (data !== undefined) return { inlineData: data };
  if (!isGoogles(url) && !(opensUrls && /^https?:/i.test(url))) return undefined;
  const mimeType = typeByName(url);
  // Google looks for itself at what it stores; what it fetches has to be announced.
  return { fileData: { ...(mimeType === undefined ? {} : { mimeType }), fileUri: url } };
}

const DATA_URL = /^data:([^;,]+)(?:;[^;,]*)*?;base64,/i;

function readDataUrl(url: string): { readonly mimeType: string; readonly data: string } | undefined {
  const found = DATA_URL.exec(url);
  return found === null ? undefined : { mimeType: found[1]!.toLowerCase(), data: url.slice(found[0].length) };
}

/** Files that were uploaded there, buckets, and videos that the model watches itself. */
function isGoogles(url: string): boolean {
  return /^(gs:|https:\/\/generativelanguage\.googleapis\.com\/|https:\/\/(www\.youtube\.com\/watch|youtu\.be\/))/i.test(
    url,
  );
}

const typesByEnding: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  heic: 'image/heic',
  pdf: 'application/pdf',
  txt: 'text/plain',
  mp4: 'video/mp4',
  mp3: 'audio/mp3',
  wav: 'audio/wav',
};

function typeByName(url: string): string | undefined {
  const ending = /\.([a-z0-9]{2,4})(?:[?#]|$)/i.exec(url)?.[1];
  return ending === undefined ? undefined : typesByEnding[ending.toLowerCase()];
}
