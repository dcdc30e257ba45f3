// Pictures and documents, which Bedrock takes as bytes with the name of a format, never by address; a picture may also lie in
// S3. Documents have names, of few characters and each only once in a conversation.
import type { JsonObject } from '../../json/values.ts';
import type { Part } from '../../turn/request.ts';
import type { Unsupported } from '../dialect.ts';

type Image = Extract<Part, { kind: 'image' }>;
type File = Extract<Part, { kind: 'file' }>;

const imageFormats: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'image/jpg': 'jpeg',
  'image/gif': 'gif',
  'image/webp': 'webp',
};

const documentFormats: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'text/csv': 'csv',
  'application/msword': 'doc',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.ms-excel': 'xls',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'text/html': 'html',
  'text/plain': 'txt',
  'text/markdown': 'md',
};

const extensions: readonly string[] = Object.values(documentFormats);

/** A data URL with its parameters, as `data:image/png;name=a.png;base64,…`. */
const dataUrl = /^data:([^;,]*)(?:;[^;,]*)*?;base64,/i;

interface Bytes {
  readonly mediaType: string;
  readonly base64: string;
}

function bytesIn(url: string): Bytes | undefined {
  const found = dataUrl.exec(url);
  return found === null
    ? undefined
    : { mediaType: found[1]!.toLowerCase(), base64: url.slice(found[0].length) };
}

export function encodeImage({ url }: Image, path: string, unsupported: Unsupported): readonly JsonObject[] {
  const bytes = bytesIn(url);
  const stored = /^s3:\/\/.+\.(\w+)$/i.exec(url)?.[1]?.toLowerCase();
  const format = imageFormats[bytes?.mediaType ?? `image/${stored}`];
  if (bytes === undefined && stored === undefined) {
    unsupported(path, 'Bedrock fetches no pictures. Send the picture itself, as a data URL in base64.');
    return [];
  }
  if (format === undefined) {
    unsupported(path, 'Bedrock takes pictures in the formats PNG, JPEG, GIF and WebP.');
    return [];
  }
  const source = bytes === undefined ? { s3Location: { uri: url } } : { bytes: bytes.base64 };
  return [{ image: { format, source } }];
}

export function encodeFile(
  file: File,
  path: string,
  { unsupported, documentNames }: { unsupported: Unsupported; documentNames: DocumentNames },
): readonly JsonObject[] {
  const bytes = file.url === undefined ? undefined : bytesIn(file.url);
  if (bytes === undefined) {
    unsupported(path, 'Bedrock opens no stored and no remote files. Send the file itself, in base64.');
    return [];
  }
  if (imageFormats[bytes.mediaType] !== undefined) {
    return encodeImage({ kind: 'image', url: file.url! }, path, unsupported);
  }
  const { filename = '' } = file;
  const extension = /\.(\w+)$/.exec(filename)?.[1]?.toLowerCase() ?? '';
  const format = documentFormats[bytes.mediaType] ?? (extensions.includes(extension) ? extension : undefined);
  if (format === undefined) {
    unsupported(path, `Bedrock takes documents in the formats ${extensions.join(', ')}.`);
    return [];
  }
  return [{ document: { format, name: documentNames.take(filename), source: { bytes: bytes.base64 } } }];
}

const NAME_LENGTH_MAX = 200;
/** Room for a number behind a name. */
const STEM_LENGTH_MAX = NAME_LENGTH_MAX - 10;

/** The names of one request's documents. */
export class DocumentNames {
  readonly #taken = new Map<string, number>();

  take(filename: string): string {
    const stem = fittingStem(filename);
    const key = stem.toLowerCase();
    const count = (this.#taken.get(key) ?? 0) + 1;
    this.#taken.set(key, count);
    // A name that looks like a numbered one may be taken by then, hence the second look.
    return count === 1 ? stem : this.take(`${stem} (${count})`);
  }
}

function fittingStem(filename: string): string {
  const stem = filename
    .replace(/\.\w{1,5}$/, '')
    .normalize('NFKD')
    .replaceAll(/\p{Mark}/gu, '')
    .replaceAll(/[^a-zA-Z0-9_\s()[\]-]/g, '-')
    .replaceAll(/\s+/g, ' ')
    .slice(0, STEM_LENGTH_MAX)
    .trim();
  return /[a-zA-Z0-9]/.test(stem) ? stem : 'document';
}
