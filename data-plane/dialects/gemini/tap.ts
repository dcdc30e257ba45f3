// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: usage is part of
// every chunk here, so nothing is taken out. Chunks are the same but for their words, so only those that may end something are parsed:
// a quote inside a JSON string is escaped, so `"finishReason"` with both its quotes is always a key. Of the others the last one with
// counts is kept, to be read when somebody asks.
import type { SignalboxError } from '#shared/errors.ts';
import { readEvent } from '../../framing/sse.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { beginsWith, type EventWatcher, endsWithBrace, PassingTap } from '../passing-tap.ts';
import { errorInStream } from '../read-error.ts';
import { findUsage } from './usage.ts';
import { finishWord, named, unreadable } from './wire.ts';

export function tap(_head: RequestHead): StreamTap {
  return new PassingTap(new ChunkWatcher());
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

const dataField = Buffer.from('data:');
const usageKey = Buffer.from('"usageMetadata"');
const tellingKeys = ['"finishReason"', '"finish_reason"', '"promptFeedback"', '"error"'].map((key) =>
  Buffer.from(key),
);

class ChunkWatcher implements EventWatcher {
  /** Candidates that were seen, and whether they have ended. */
  readonly #ended = new Map<number, boolean>();
  #id = '';
  #usage: FoundUsage | undefined;
  #unreadUsage: Buffer | undefined;
  #isBlocked = false;
  #error: SignalboxError | undefined;

  /** Shaped like a chunk that goes on: one that ends nothing and is no error. */
  isPlain(event: Buffer): boolean {
    const isShaped = beginsWith(event, dataField) && endsWithBrace(event);
    if (!isShaped || tellingKeys.some((key) => event.includes(key))) return false;
    // Kept beyond this call, so it must not stay a view of a buffer that is written again.
    if (event.includes(usageKey)) this.#unreadUsage = Buffer.from(event);
    return true;
  }

  note(value: JsonObject): void {
    const answer = named(value);
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

  errorInBody(body: Buffer): SignalboxError | undefined {
    return inspect(body).error;
  }

  unreadable(cause: unknown): SignalboxError {
    return unreadable(cause);
  }

  refuse(error: SignalboxError): void {
    if (!this.report().complete) this.#error ??= error;
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

  #readUsage(event: Buffer): void {
    this.#unreadUsage = undefined;
    const frame = readEvent(event);
    try {
      this.#usage = findUsage(answerIn(frame?.data ?? '')) ?? this.#usage;
    } catch {
      // Not JSON after all: there are no counts in it.
    }
  }
}
