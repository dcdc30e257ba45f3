// Finds the fields of a multipart form (RFC 7578) in a body that is held, and copies nothing. Strict, because whoever receives
// the form reads it again: where two readers could see different fields, the body is refused. So: nothing before the first
// delimiter or behind the last, no folded headers, one plain name per part, and no delimiter that is only the beginning of a line.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';

export interface FormPart {
  readonly name: string;
  readonly isFile: boolean;
  /** Where its delimiter begins. Up to the start of what follows, that is what has to go for the part to be gone. */
  readonly start: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`;[ \\t]*(${TOKEN})=(?:"((?:[^"\\\\\\r\\n]|\\\\.)*)"|(${TOKEN}))[ \\t]*`, 'y');
const HEADER = new RegExp(`^(${TOKEN}):[ \\t]*(.*)$`, 's');
/** Spellings that some readers take literally and others decode. */
const AMBIGUOUS_NAME = /[\\%]|^$/;
const LINE = '\r\n';
const HEADERS_END = Buffer.from('\r\n\r\n');
const DASH = 0x2d;

/** Throws `invalid_request`. */
export function scanForm(body: Buffer, contentType: string): readonly FormPart[] {
  const delimiter = `--${boundaryOf(contentType)}`;
  const separator = Buffer.from(LINE + delimiter);
  let start = startsWith(body, 0, LINE) ? LINE.length : 0;
  if (!startsWith(body, start, delimiter)) throw broken('it does not begin with its boundary');
  const parts: FormPart[] = [];
  for (;;) {
    const behind = start + delimiter.length;
    if (body[behind] === DASH && body[behind + 1] === DASH) {
      checkEpilogue(body, behind + 2);
      return parts;
    }
    if (!startsWith(body, behind, LINE))
      throw broken('a boundary is followed by something else than a line end');
    if (parts.length === limits.multipartPartsMax)
      throw broken(`it has more than ${limits.multipartPartsMax} parts`);
    const part = readPart(body, start, behind + LINE.length, separator);
    parts.push(part);
    start = part.bodyEnd + LINE.length;
  }
}

export function boundaryOf(contentType: string): string {
  const semicolon = contentType.indexOf(';');
  const parameters = semicolon === -1 ? [] : parametersOf(contentType.slice(semicolon));
  const found = (parameters ?? []).filter(({ name }) => name === 'boundary');
  const [boundary] = found;
  if (found.length === 1 && BOUNDARY.test(boundary!.value)) return boundary!.value;
  throw broken('the header "content-type" names no valid boundary');
}

function readPart(body: Buffer, start: number, headersStart: number, separator: Buffer): FormPart {
  const window = body.subarray(headersStart, headersStart + limits.multipartHeaderBytesMax);
  const length = window.indexOf(HEADERS_END);
  if (length === -1)
    throw broken(`a part has no headers that end within ${limits.multipartHeaderBytesMax} bytes`);
  const bodyStart = headersStart + length + HEADERS_END.length;
  const bodyEnd = body.indexOf(separator, bodyStart);
  if (bodyEnd === -1) throw broken('it does not end with its boundary');
  return { ...readHeaders(window.toString('latin1', 0, length)), start, bodyStart, bodyEnd };
}

function readHeaders(text: string): { name: string; isFile: boolean } {
  let disposition: string | undefined;
  for (const line of text.split(LINE)) {
    const [, name, value = ''] = HEADER.exec(line) ?? [];
    if (name === undefined || value.includes('\n') || value.includes('\r'))
      throw broken('a part has a header that cannot be read');
    if (name.toLowerCase() !== 'content-disposition') continue;
    if (disposition !== undefined) throw broken('a part has two headers "content-disposition"');
    disposition = value;
  }
  const [, kind, rest = ''] = /^([^;]*)(.*)$/s.exec(disposition ?? '') ?? [];
  const parameters = kind?.trim().toLowerCase() === 'form-data' ? parametersOf(rest) : undefined;
  const names = (parameters ?? []).filter(({ name }) => /^name\*?$/.test(name));
  const [first] = names;
  if (names.length !== 1 || first!.name !== 'name' || AMBIGUOUS_NAME.test(first!.value)) {
    throw broken('a part has no header "content-disposition: form-data" with one plain name');
  }
  return { name: first!.value, isFile: parameters!.some(({ name }) => /^filename\*?$/.test(name)) };
}

/** Undefined when the text is anything but parameters. */
function parametersOf(text: string): { name: string; value: string }[] | undefined {
  const found: { name: string; value: string }[] = [];
  PARAMETER.lastIndex = 0;
  while (PARAMETER.lastIndex < text.length) {
    const match = PARAMETER.exec(text);
    if (match === null) return undefined;
    found.push({ name: match[1]!.toLowerCase(), value: match[2] ?? match[3] ?? '' });
  }
  return found;
}

function checkEpilogue(body: Buffer, from: number): void {
  const left = body.length - from;
  if (left === 0 || (left === LINE.length && startsWith(body, from, LINE))) return;
  throw broken('something stands behind its end');
}

function startsWith(body: Buffer, at: number, text: string): boolean {
  return body.toString('latin1', at, at + text.length) === text;
}

function broken(why: string): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    `The body is not a valid multipart form: ${why}. Let the HTTP library write the form and its content type.`,
  );
}
