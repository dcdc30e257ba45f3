// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: usage is part of
// every chunk here, so nothing is taken out. Chunks are the same but for their words, so only those that may end something are parsed:
// a quote inside a JSON string is escaped, so `"finishReason"` with both its quotes is always a key. Of the others the last one with
// counts is kept, to be read when somebody asks.
import type { SignalboxError } from '#shared/errors.ts';
import { EventBoundary } from '../../framing/event-boundary.ts';
import { HeldBytes } from '../../framing/held-bytes.ts';
import { readEvent } from '../../framing/sse.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { errorInStream } from '../read-error.ts';
import { type FoundUsage, findUsage } from './usage.ts';
import { finishWord, named, unreadable } from './wire.ts';

export function tap(_head: RequestHead): StreamTap {
  return new GeminiTap();
}

/** Meters a whole body. */
export function inspect(body: Buffer): BodyReport {
  let answer: JsonObject;
  try {
    answer = answerIn(body.toString('utf8'));
  } catch (cause) {
    return { id: '', usage: undefined, rawUsage: '', error: unreadable(cause) };
  }
  const found = findUsage(answer);
  const report = { id: textOf(answer.responseId), usage: found?.usage, rawUsage: found?.raw ?? '' };
  if (isObject(answer.error)) return { ...report, error: errorInStream(answer) };
  return { ...report, error: isAnswer(answer) ? undefined : unreadable(undefined) };
}

/** Throws for what is no object. */
function answerIn(text: string): JsonObject {
  const value = parseJson(text);
  const first: unknown = Array.isArray(value) ? value[0] : value;
  if (!isObject(first)) throw unreadable(undefined);
  return named(first);
}

function isAnswer({ candidates, promptFeedback, usageMetadata }: JsonObject): boolean {
  return Array.isArray(candidates) || isObject(promptFeedback) || isObject(usageMetadata);
}

const COLON = 0x3a;
const SPACE = 0x20;
const BRACE_CLOSE = 0x7d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const dataField = Buffer.from('data:');
const usageKey = Buffer.from('"usageMetadata"');
const tellingKeys = ['"finishReason"', '"finish_reason"', '"promptFeedback"', '"error"'].map((key) =>
  Buffer.from(key),
);
const noBytes = Buffer.alloc(0);

class GeminiTap implements StreamTap {
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  /** Candidates that were seen, and whether they have ended. */
  readonly #ended = new Map<number, boolean>();
  #id = '';
  #usage: FoundUsage | undefined;
  #unreadUsage: Buffer | undefined;
  #isBlocked = false;
  #error: SignalboxError | undefined;
  #isBroken = false;
  #sawData = false;

  get isBroken(): boolean {
    return this.#isBroken;
  }

  push(bytes: Buffer): Buffer {
    if (this.#isBroken) return noBytes;
    // The event that was begun before; everything else passes as a view of what came.
    let begun: Buffer = noBytes;
    let from = 0;
    let start = 0;
    for (let end = this.#boundary.next(bytes, 0); end !== -1; end = this.#boundary.next(bytes, start)) {
      let event = bytes.subarray(start, end);
      const isBegun = this.#held.length > 0;
      if (isBegun) {
        this.#held.append(event);
        event = this.#held.take();
      }
      this.#look(event, true);
      if (this.#isBroken) return joined(begun, bytes.subarray(from, start));
      if (isBegun) {
        begun = event;
        from = end;
      }
      start = end;
    }
    if (start < bytes.length) this.#held.append(bytes.subarray(start));
    return joined(begun, bytes.subarray(from, start));
  }

  end(): { bytes: Buffer; report: StreamReport } {
    const left = this.#held.take();
    const isPassing = left.length > 0 && !this.#isBroken && (isLineEnd(left) || this.#look(left, false));
    // Without its blank line an error would be overlooked, so that is left to be told anew.
    return { bytes: isPassing && this.#error === undefined ? left : noBytes, report: this.report() };
  }

  report(): StreamReport {
    if (this.#unreadUsage !== undefined) this.#readUsage(this.#unreadUsage);
    const hasEnded = this.#isBlocked || (this.#ended.size > 0 && [...this.#ended.values()].every(Boolean));
    return {
      id: this.#id,
      usage: this.#usage?.usage,
      rawUsage: this.#usage?.raw ?? '',
      error: this.#error,
      complete: hasEnded && this.#error === undefined,
    };
  }

  /** Notes what the event says, and returns whether it was something complete. */
  #look(event: Buffer, isWhole: boolean): boolean {
    if (this.#sawData && isWhole && isPlain(event)) {
      // Kept beyond this call, so it must not stay a view of a buffer that is written again.
      if (event.includes(usageKey)) this.#unreadUsage = Buffer.from(event);
      return true;
    }
    const frame = readEvent(event);
    if (frame === undefined) {
      // A JSON body where a stream was asked for has no data field; nobody would see the error in it.
      const mayBeBody = !this.#sawData && event[0] !== COLON && event.includes('{');
      const error = mayBeBody ? inspect(event).error : undefined;
      return error === undefined ? isWhole : this.#refuse(error);
    }
    if (frame.data.trim() === '') return isWhole;
    this.#sawData = true;
    try {
      this.#note(answerIn(frame.data));
      return true;
    } catch (cause) {
      return isWhole && this.#refuse(unreadable(cause));
    }
  }

  #note(answer: JsonObject): void {
    if (this.#id === '') this.#id = textOf(answer.responseId);
    const found = findUsage(answer);
    if (found !== undefined) {
      this.#usage = found;
      this.#unreadUsage = undefined;
    }
    if (isObject(answer.error)) this.#error ??= errorInStream(answer);
    if (isObject(answer.promptFeedback)) {
      this.#isBlocked ||= named(answer.promptFeedback).blockReason !== undefined;
    }
    for (const candidate of objectsIn(answer.candidates).map(named)) {
      const index = typeof candidate.index === 'number' ? candidate.index : 0;
      const hasEnded = this.#ended.get(index) === true || finishWord(candidate.finishReason) !== '';
      this.#ended.set(index, hasEnded);
    }
  }

  #readUsage(event: Buffer): void {
    this.#unreadUsage = undefined;
    const frame = readEvent(event);
    try {
      this.#usage = findUsage(answerIn(frame?.data ?? '')) ?? this.#usage;
    } catch {
      // Not JSON after all: there are no counts in it.
    }
  }

  /** Behind an error or the end nobody reads on, so nothing is made of what comes there; it does not pass either. */
  #refuse(error: SignalboxError): false {
    this.#isBroken = true;
    if (!this.report().complete) this.#error ??= error;
    return false;
  }
}

/** Shaped like a chunk that goes on: one that ends nothing and is no error. */
function isPlain(event: Buffer): boolean {
  // What is left of the line end before belongs to nothing.
  const from = event[0] === LINE_FEED ? 1 : 0;
  const length = dataField.length;
  if (event.length <= from + length || dataField.compare(event, from, from + length) !== 0) return false;
  return endsWithBrace(event) && !tellingKeys.some((key) => event.includes(key));
}

/** The second half of the last event's last line end, where the bytes were cut between the two. */
function isLineEnd(bytes: Buffer): boolean {
  return bytes.length === 1 && bytes[0] === LINE_FEED;
}

function endsWithBrace(bytes: Buffer): boolean {
  let last = bytes.length - 1;
  while (bytes[last] === LINE_FEED || bytes[last] === CARRIAGE_RETURN || bytes[last] === SPACE) last -= 1;
  return bytes[last] === BRACE_CLOSE;
}

function joined(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}
