// Meters bytes of OpenAI's chunked answers (chat and the older text completions, which differ only inside their choices) on their
// way from an upstream to a client of the same dialect. Whole events pass as they came, with one
// exception: a chunk that carries usage and no choice is taken out when the client did not ask for usage, because we asked in
// its place. `"usage": null` on other chunks stays: it says what a missing field says, and finding it exactly would cost a
// scan of every chunk. Usage that rides on a chunk with choices stays too: those vendors send it to everyone.
//
// An event is parsed only when it can matter: one pass over its bytes looks for a few keys and whether null stands behind
// them. Quotes inside JSON strings are escaped, so `"usage"` with both its quotes is always a string of its own, and with a
// colon behind it always a key; what such a key means is decided by parsing. An event is forwarded when it is whole, never
// half, so that an error may follow at any moment without being glued to a broken line. What is not even shaped like a JSON
// object is parsed too, which it does not survive, and the stream ends before it.
import type { SignalboxError } from '#shared/errors.ts';
import { EventBoundary } from '../framing/event-boundary.ts';
import { HeldBytes } from '../framing/held-bytes.ts';
import { readEvent } from '../framing/sse.ts';
import { parseJson } from '../json/parse.ts';
import { scanObject, wantedKeys } from '../json/scan.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../json/values.ts';
import type { FoundUsage } from '../turn/usage.ts';
import type { BodyReport, StreamReport, StreamTap } from './dialect.ts';
import { errorInAnswer } from './openai-errors.ts';
import { findUsage, usageAt, usageKeys } from './openai-usage.ts';
import { errorInStream } from './read-error.ts';

interface ChunkTapOptions {
  /** Whether chunks that are there for usage alone are taken out. */
  readonly hidesUsage: boolean;
  /** After so many ends a stream is whole, end mark or not. */
  readonly choicesAsked: number;
  /** What to say of bytes that are no such stream. */
  readonly unreadable: Unreadable;
}

type Unreadable = (cause: unknown) => SignalboxError;

export function tapChunks(options: ChunkTapOptions): StreamTap {
  return new ChunkTap(options);
}

const bodyKeys = wantedKeys('id', 'choices', ...usageKeys);

/** Meters a whole body by the places of its top-level members, without parsing what the model said. */
export function inspectBody(body: Buffer, unreadable: Unreadable): BodyReport {
  try {
    const { members } = scanObject(body, bodyKeys);
    const place = members.id;
    const id = place === undefined ? '' : textOf(JSON.parse(body.toString('utf8', place.start, place.end)));
    const found = usageAt(body, members);
    const choices = members.choices;
    const mayHoldError =
      choices === undefined || !isFilledList(body, choices.start) || body.includes('"error"');
    const error = mayHoldError ? errorInBody(parseJson(body), unreadable) : undefined;
    return { id, usage: found?.usage, rawUsage: found?.raw ?? '', error };
  } catch (cause) {
    return { id: '', usage: undefined, rawUsage: '', error: unreadable(cause) };
  }
}

function errorInBody(answer: unknown, unreadable: Unreadable): SignalboxError | undefined {
  if (!isObject(answer)) return unreadable(undefined);
  const error = errorInAnswer(answer);
  if (error !== undefined || objectsIn(answer.choices).length > 0) return error;
  return unreadable(undefined);
}

const QUOTE = 0x22;
const COLON = 0x3a;
const LETTER_N = 0x6e;
const SPACE = 0x20;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const dataField = Buffer.from('data:');
const usageKey = Buffer.from('"usage"');
const finishKey = Buffer.from('"finish_reason"');
const errorKey = Buffer.from('"error"');
const choicesKey = Buffer.from('"choices"');
const noBytes = Buffer.alloc(0);
const DONE = '[DONE]';

/** What one pass over an event's bytes says about it. */
type Glance = 'boring' | 'usage-beside-choices' | 'matters';

class ChunkTap implements StreamTap {
  readonly #hidesUsage: boolean;
  readonly #choicesAsked: number;
  readonly #unreadable: Unreadable;
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  readonly #finished = new Set<number>();
  /**
   * How the stream's boring events begin, up to their choices. What begins with the same bytes is boring that far, and
   * comparing is faster than looking.
   */
  #opening: Buffer = noBytes;
  #id = '';
  #isDone = false;
  #sawData = false;
  #usage: FoundUsage | undefined;
  /** The last event with usage, to be read when somebody asks: some vendors put usage on every chunk. */
  #unreadUsage: Buffer | undefined;
  #error: SignalboxError | undefined;
  #isBroken = false;
  /** What became of an event that ended with a CR as the last byte; an LF that follows goes the same way. */
  #openCarriage: 'none' | 'passed' | 'hidden' = 'none';

  constructor({ hidesUsage, choicesAsked, unreadable }: ChunkTapOptions) {
    this.#hidesUsage = hidesUsage;
    this.#choicesAsked = choicesAsked;
    this.#unreadable = unreadable;
  }

  push(bytes: Buffer): Buffer {
    if (this.#isBroken) return noBytes;
    const passing: Buffer[] = [];
    let start = 0;
    let keptFrom = this.#settleLineFeed(bytes, passing);
    for (let end = this.#boundary.next(bytes, 0); end !== -1; end = this.#boundary.next(bytes, start)) {
      let passes: boolean;
      if (this.#held.length > 0) {
        this.#held.append(bytes.subarray(keptFrom, end));
        const event = this.#held.take();
        passes = this.#passes(event, 0, event.length);
        if (passes) passing.push(event);
        keptFrom = end;
      } else {
        passes = this.#passes(bytes, Math.max(start, keptFrom), end);
        if (!passes) {
          if (start > keptFrom) passing.push(bytes.subarray(keptFrom, start));
          keptFrom = end;
        }
      }
      if (this.#isBroken) return joined(passing);
      if (end === bytes.length && bytes[end - 1] === CARRIAGE_RETURN)
        this.#openCarriage = passes ? 'passed' : 'hidden';
      start = end;
    }
    if (start > keptFrom)
      passing.push(start === bytes.length && keptFrom === 0 ? bytes : bytes.subarray(keptFrom, start));
    const tail = Math.max(start, keptFrom);
    if (tail < bytes.length) this.#held.append(bytes.subarray(tail));
    return joined(passing);
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  end(): { bytes: Buffer; report: StreamReport } {
    const left = this.#held.take();
    const passes = left.length > 0 && !this.#isBroken && this.#read(left, false);
    // Without its blank line an error would be overlooked by most clients, so that is left to be told anew.
    return { bytes: passes && this.#error === undefined ? left : noBytes, report: this.report() };
  }

  report(): StreamReport {
    if (this.#unreadUsage !== undefined) {
      this.#read(this.#unreadUsage, true);
      this.#unreadUsage = undefined;
    }
    const isComplete = this.#isDone || this.#finished.size >= this.#choicesAsked;
    return {
      id: this.#id,
      usage: this.#usage?.usage,
      rawUsage: this.#usage?.raw ?? '',
      error: this.#error,
      complete: isComplete && this.#error === undefined,
    };
  }

  /** Returns where the bytes begin that nothing has been decided about. */
  #settleLineFeed(bytes: Buffer, passing: Buffer[]): number {
    if (this.#openCarriage === 'none' || bytes.length === 0) return 0;
    const isSettled = bytes[0] === LINE_FEED;
    if (isSettled && this.#openCarriage === 'passed') passing.push(bytes.subarray(0, 1));
    this.#openCarriage = 'none';
    return isSettled ? 1 : 0;
  }

  /** Whether the event is for the client; whatever it says is noted. */
  #passes(bytes: Buffer, start: number, end: number): boolean {
    const glance = this.#glance(bytes, start, end);
    if (glance === 'boring') return true;
    const event = bytes.subarray(start, end);
    if (glance === 'usage-beside-choices') {
      this.#unreadUsage = Buffer.from(event);
      return true;
    }
    return this.#read(event, true);
  }

  #glance(bytes: Buffer, start: number, end: number): Glance {
    if (this.#id === '' || !matches(bytes, start, dataField)) return 'matters';
    const opening = this.#opening;
    let at = start + dataField.length;
    const opened = start + opening.length;
    if (opening.length > 0 && opened <= end && opening.compare(bytes, start, opened) === 0) {
      at = opened;
    } else if (bytes[bytes[at] === SPACE ? at + 1 : at] !== BRACE_OPEN) return 'matters';
    if (!endsWithBrace(bytes, end)) return 'matters';
    let hasUsage = false;
    let choicesAt = -1;
    for (; at < end; at += 1) {
      if (bytes[at] === QUOTE) {
        const letter = bytes[at + 1];
        if (letter === 0x75 && matches(bytes, at, usageKey)) {
          if (!isNullBehind(bytes, at + usageKey.length)) hasUsage = true;
        } else if (letter === 0x66 && matches(bytes, at, finishKey)) {
          if (!isNullBehind(bytes, at + finishKey.length)) return 'matters';
        } else if (letter === 0x65 && matches(bytes, at, errorKey)) {
          if (!isNullBehind(bytes, at + errorKey.length)) return 'matters';
        } else if (letter === 0x63 && matches(bytes, at, choicesKey)) {
          if (choicesAt !== -1 || !isFilledListBehind(bytes, at + choicesKey.length)) return 'matters';
          choicesAt = at;
        }
      }
    }
    if (hasUsage) return choicesAt === -1 ? 'matters' : 'usage-beside-choices';
    if (opening.length === 0 && choicesAt !== -1)
      this.#opening = Buffer.from(bytes.subarray(start, choicesAt));
    return 'boring';
  }

  /**
   * Reads an event to the full and returns whether it is for the client. Of what the connection left without its end only
   * something complete is, and what cannot be read there is not the provider's fault.
   */
  #read(event: Buffer, isWhole: boolean): boolean {
    const frame = readEvent(event);
    if (frame === undefined) {
      // A JSON body where a stream was asked for has no data field; nobody would see the error in it.
      const mayBeBody = !this.#sawData && event[0] !== COLON && event.includes('{');
      const error = mayBeBody ? inspectBody(event, this.#unreadable).error : undefined;
      return error === undefined ? isWhole : this.#refuse(error);
    }
    const data = frame.data.trim();
    if (data === DONE) {
      this.#isDone = true;
      return true;
    }
    if (data === '') return isWhole;
    this.#sawData = true;
    let chunk: unknown;
    try {
      chunk = parseJson(data);
    } catch (cause) {
      return isWhole && this.#refuse(this.#unreadable(cause));
    }
    if (frame.event === 'error') this.#error ??= errorInStream(chunk);
    else if (isObject(chunk)) return this.#note(chunk, data);
    else return isWhole && this.#refuse(this.#unreadable(undefined));
    return true;
  }

  /** Behind an error or the end mark nobody reads on, so nothing is made of what comes there; it does not pass either. */
  #refuse(error: SignalboxError): false {
    if (this.#error === undefined && !this.#isDone) {
      this.#error = error;
      this.#isBroken = true;
    }
    return false;
  }

  #note(chunk: JsonObject, data: string): boolean {
    if (this.#id === '') this.#id = textOf(chunk.id);
    const found = findUsage(chunk, data);
    if (found !== undefined) {
      this.#usage = found;
      this.#unreadUsage = undefined;
    }
    this.#error ??= errorInAnswer(chunk);
    const choices = objectsIn(chunk.choices);
    for (const choice of choices) {
      if (textOf(choice.finish_reason) === '') continue;
      const index = choice.index;
      this.#finished.add(typeof index === 'number' ? index : 0);
    }
    const isUsageAlone = found !== undefined && Array.isArray(chunk.choices) && choices.length === 0;
    return !(this.#hidesUsage && isUsageAlone);
  }
}

function joined(parts: readonly Buffer[]): Buffer {
  if (parts.length === 1) return parts[0]!;
  return parts.length === 0 ? noBytes : Buffer.concat(parts);
}

/** Whether an event's last character is a closing brace: one of several fields may end otherwise and still be good. */
function endsWithBrace(bytes: Buffer, end: number): boolean {
  let last = end - 1;
  while (bytes[last] === LINE_FEED || bytes[last] === CARRIAGE_RETURN || bytes[last] === SPACE) last -= 1;
  return bytes[last] === BRACE_CLOSE;
}

function matches(bytes: Buffer, at: number, key: Buffer): boolean {
  for (let index = 0; index < key.length; index += 1) if (bytes[at + index] !== key[index]) return false;
  return true;
}

/** Whether a colon and null follow. A string that is no key has no colon behind it and counts as harmless. */
function isNullBehind(bytes: Buffer, from: number): boolean {
  let at = skipSpace(bytes, from);
  if (bytes[at] !== COLON) return bytes[at] === 0x2c || bytes[at] === 0x7d || bytes[at] === BRACKET_CLOSE;
  at = skipSpace(bytes, at + 1);
  return bytes[at] === LETTER_N;
}

function isFilledListBehind(bytes: Buffer, from: number): boolean {
  let at = skipSpace(bytes, from);
  if (bytes[at] !== COLON) return false;
  at = skipSpace(bytes, at + 1);
  return isFilledList(bytes, at);
}

function isFilledList(bytes: Buffer, at: number): boolean {
  return bytes[at] === BRACKET_OPEN && bytes[skipSpace(bytes, at + 1)] !== BRACKET_CLOSE;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === SPACE || bytes[at] === 0x09) at += 1;
  return at;
}
