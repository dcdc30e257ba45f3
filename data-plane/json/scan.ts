// Finds where some members of a JSON object stand without reading the rest: a gateway needs the model's name and a few
// switches of a body that may hold a megabyte of prompt. The top level is checked strictly; of what is inside only strings,
// brackets and depth are followed, because whoever receives the body reads it again. JSON.parse of 100 KB costs 90 µs and
// makes an object per message for the collector; this costs a fraction and makes almost nothing.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';

/** One member: where its key begins, where its value stands, and where the next member (or the closing brace) is. */
export interface Member {
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
  /** Just past the comma behind the value; -1 for the last member. */
  readonly next: number;
}

interface Place {
  readonly start: number;
  readonly end: number;
}

export interface ScannedObject {
  /** Just past the opening brace. */
  readonly open: number;
  readonly isEmpty: boolean;
  /** The last occurrence of each wanted key, as every common parser reads it. */
  readonly members: Readonly<Record<string, Member | undefined>>;
  /**
   * A wanted key that occurs twice, or beside another that differs from it only by case. Readers disagree on which counts, so
   * whoever acts on the key should refuse the body.
   */
  readonly ambiguous: { readonly key: string; readonly written: string } | undefined;
}

/** Keys to look for, prepared once. */
export type WantedKeys = readonly WantedKey[];

interface WantedKey {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function wantedKeys(...names: string[]): WantedKeys {
  return names.map((name) => ({ name, bytes: new Uint8Array(Buffer.from(name)) }));
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
/** The one bit by which an ASCII capital differs from its small letter. */
const CASE_BIT = 0x20;
/** Up to here a loop is faster than a call into native search. */
const SHORT_STRING_BYTES = 64;
/** Which bracket closes each level. One for all scans, because none is ever interrupted by another. */
const closers = new Uint8Array(limits.jsonDepthMax);
const LITERAL = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/** Scans the one object in `bytes` from `from` to `to`. Throws `invalid_json` with the position and what was expected there. */
export function scanObject(bytes: Buffer, wanted: WantedKeys, from = 0, to = bytes.length): ScannedObject {
  const members: Record<string, Member | undefined> = {};
  let ambiguous: ScannedObject['ambiguous'];
  let at = skipSpace(bytes, from, to);
  if (bytes[at] !== BRACE_OPEN || at >= to)
    throw invalidJson(bytes, at, to, 'a JSON object, which begins with "{"');
  const open = at + 1;
  at = skipSpace(bytes, open, to);
  const isEmpty = at < to && bytes[at] === BRACE_CLOSE;
  while (!isEmpty) {
    const keyStart = at;
    if (at >= to || bytes[at] !== QUOTE) throw invalidJson(bytes, at, to, 'a key in double quotes');
    const keyEnd = skipString(bytes, at, to);
    const key = keyAt(bytes, keyStart, keyEnd, wanted);
    at = skipSpace(bytes, keyEnd, to);
    if (at >= to || bytes[at] !== COLON) throw invalidJson(bytes, at, to, '":"');
    const start = skipSpace(bytes, at + 1, to);
    const end = skipValue(bytes, start, to);
    at = skipSpace(bytes, end, to);
    const hasNext = at < to && bytes[at] === COMMA;
    if (key !== undefined) {
      const isExact = isWritten(bytes, keyStart, keyEnd, key);
      if (!isExact || members[key.name] !== undefined) {
        ambiguous ??= { key: key.name, written: stringAt(bytes, { start: keyStart, end: keyEnd }) };
      }
      if (isExact) members[key.name] = { keyStart, start, end, next: hasNext ? at + 1 : -1 };
    }
    if (!hasNext) break;
    at = skipSpace(bytes, at + 1, to);
  }
  if (at >= to || bytes[at] !== BRACE_CLOSE) throw invalidJson(bytes, at, to, '"," or "}"');
  at = skipSpace(bytes, at + 1, to);
  if (at < to) throw invalidJson(bytes, at, to, 'nothing more after the object');
  return { open, isEmpty, members, ambiguous };
}

/** Where the items of the array that begins at `from` stand. Throws `invalid_json` as `scanObject` does. */
export function scanArray(bytes: Buffer, from: number, to: number): readonly Place[] {
  const items: Place[] = [];
  if (bytes[from] !== BRACKET_OPEN || from >= to)
    throw invalidJson(bytes, from, to, 'a list, which begins with "["');
  let at = skipSpace(bytes, from + 1, to);
  if (at < to && bytes[at] === BRACKET_CLOSE) return items;
  for (;;) {
    const end = skipValue(bytes, at, to);
    items.push({ start: at, end });
    at = skipSpace(bytes, end, to);
    if (at < to && bytes[at] === BRACKET_CLOSE) return items;
    if (at >= to || bytes[at] !== COMMA) throw invalidJson(bytes, at, to, '"," or "]"');
    at = skipSpace(bytes, at + 1, to);
  }
}

/** The error for text that is not JSON: where, and what should have been there. */
export function invalidJson(bytes: Buffer, offset: number, to: number, expected: string): SignalboxError {
  const before = bytes.toString('utf8', 0, Math.min(offset, to));
  const line = before.split('\n').length;
  const column = before.length - before.lastIndexOf('\n');
  const found = offset >= to ? 'the end of the text' : `"${bytes.toString('utf8', offset, offset + 1)}"`;
  const message = `expected ${expected} at line ${line}, column ${column}, but found ${found}`;
  return new SignalboxError('invalid_json', `The body is not valid JSON: ${message}.`, {
    problems: [{ path: '', message, line, column }],
  });
}

/** The wanted key that stands here, in whatever case and with whatever escapes it is written. */
function keyAt(bytes: Buffer, keyStart: number, keyEnd: number, wanted: WantedKeys): WantedKey | undefined {
  const length = keyEnd - keyStart - 2;
  for (const key of wanted) {
    if (key.bytes.length === length && differsByCaseOnly(bytes, keyStart + 1, key.bytes)) return key;
  }
  if (!hasEscape(bytes, keyStart, keyEnd)) return undefined;
  const text = stringAt(bytes, { start: keyStart, end: keyEnd }).toLowerCase();
  return wanted.find(({ name }) => name.toLowerCase() === text);
}

function differsByCaseOnly(bytes: Buffer, from: number, key: Uint8Array): boolean {
  for (let index = 0; index < key.length; index += 1) {
    if ((bytes[from + index]! | CASE_BIT) !== (key[index]! | CASE_BIT)) return false;
  }
  return true;
}

function isWritten(bytes: Buffer, keyStart: number, keyEnd: number, key: WantedKey): boolean {
  if (keyEnd - keyStart - 2 !== key.bytes.length) {
    return stringAt(bytes, { start: keyStart, end: keyEnd }) === key.name;
  }
  for (let index = 0; index < key.bytes.length; index += 1) {
    if (bytes[keyStart + 1 + index] !== key.bytes[index]) return false;
  }
  return true;
}

function hasEscape(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (bytes[at] === BACKSLASH) return true;
  return false;
}

/** The string that stands, with its quotes, at this place. */
export function stringAt(bytes: Buffer, place: Place): string {
  if (!hasEscape(bytes, place.start, place.end)) {
    return bytes.toString('utf8', place.start + 1, place.end - 1);
  }
  try {
    return JSON.parse(bytes.toString('utf8', place.start, place.end)) as string;
  } catch {
    throw invalidJson(bytes, place.start, bytes.length, 'a string with valid escapes');
  }
}

function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = bytes[at]!;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
  return at;
}

function skipValue(bytes: Buffer, from: number, to: number): number {
  const first = from < to ? bytes[from] : undefined;
  if (first === QUOTE) return skipString(bytes, from, to);
  if (first === BRACE_OPEN || first === BRACKET_OPEN) return skipNested(bytes, from, to);
  let at = from;
  while (at < to && !endsLiteral(bytes[at]!)) at += 1;
  if (at - from > 1024 || !LITERAL.test(bytes.toString('latin1', from, at)))
    throw invalidJson(bytes, from, to, 'a value');
  return at;
}

function endsLiteral(byte: number): boolean {
  return byte === COMMA || byte === BRACE_CLOSE || byte === BRACKET_CLOSE || byte <= 0x20;
}

/** From an opening quote to just past the closing one. */
function skipString(bytes: Buffer, from: number, to: number): number {
  let at = from + 1;
  for (;;) {
    // Near quotes are found by a loop, far ones by native search; text full of escaped quotes never pays for the call.
    const near = Math.min(to, at + SHORT_STRING_BYTES);
    while (at < near) {
      const byte = bytes[at]!;
      if (byte === QUOTE) return at + 1;
      at += byte === BACKSLASH ? 2 : 1;
    }
    const quote = at < to ? bytes.indexOf(QUOTE, at) : -1;
    if (quote === -1 || quote >= to) throw invalidJson(bytes, to, to, 'the closing quote of a string');
    let slashes = 0;
    while (quote - slashes > at && bytes[quote - slashes - 1] === BACKSLASH) slashes += 1;
    at = quote + 1;
    if (slashes % 2 === 0) return at;
  }
}

/** From an opening bracket to just past the one that closes it. */
function skipNested(bytes: Buffer, from: number, to: number): number {
  let depth = 0;
  let at = from;
  while (at < to) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = skipString(bytes, at, to);
      continue;
    }
    if (byte === BRACE_OPEN || byte === BRACKET_OPEN) {
      depth += 1;
      // The outermost object is the first level.
      if (depth >= limits.jsonDepthMax) throw tooDeep(bytes, at, to);
      closers[depth] = byte + 2;
    } else if (byte === BRACE_CLOSE || byte === BRACKET_CLOSE) {
      if (closers[depth] !== byte)
        throw invalidJson(bytes, at, to, `"${String.fromCharCode(closers[depth]!)}"`);
      depth -= 1;
      if (depth === 0) return at + 1;
    }
    at += 1;
  }
  throw invalidJson(bytes, to, to, `"${String.fromCharCode(closers[depth]!)}"`);
}

function tooDeep(bytes: Buffer, at: number, to: number): SignalboxError {
  return invalidJson(bytes, at, to, `no more than ${limits.jsonDepthMax} levels of nesting`);
}
