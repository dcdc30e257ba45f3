// Watches events pass on their way from an upstream to a client that speaks the same. Every event passes as it came, and whole: an error may
// follow at any moment without being glued to half of one. What an event means is told to a watcher; most say nothing that is metered, so
// the watcher is asked first whether it wants to know. What is no event of such a stream ends it: nothing passes from there on.
import type { SignalboxError } from '#shared/errors.ts';
import { EventBoundary } from '../framing/event-boundary.ts';
import type { Frame } from '../framing/frame.ts';
import { HeldBytes } from '../framing/held-bytes.ts';
import { joined } from '../framing/joined.ts';
import { readEvent } from '../framing/sse.ts';
import { parseJson } from '../json/parse.ts';
import { isObject, type JsonObject } from '../json/values.ts';
import type { StreamReport, StreamTap } from './dialect.ts';

/** What a dialect makes of the events that pass. */
export interface EventWatcher {
  /** Whether an event, whole and not the first, says nothing by its looks alone. */
  isPlain(event: Buffer): boolean;
  /** Data that is no JSON and no mistake either, as the mark of an end is. */
  isMark?(data: string): boolean;
  note(value: JsonObject, frame: Frame, event: Buffer): void;
  /** What is wrong with a body without any event in it, which nobody would see in a stream; undefined when nothing is. */
  errorInBody(body: Buffer): SignalboxError | undefined;
  /** For what cannot be read. */
  unreadable(cause: unknown): SignalboxError;
  /** The stream is not one of ours from here on, for this reason. Behind an error or an end nobody reads on. */
  refuse(error: SignalboxError): void;
  report(): StreamReport;
}

const COLON = 0x3a;
const SPACE = 0x20;
const BRACE_CLOSE = 0x7d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const noBytes = Buffer.alloc(0);

export class PassingTap implements StreamTap {
  readonly #watcher: EventWatcher;
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  #isBroken = false;
  #sawData = false;

  constructor(watcher: EventWatcher) {
    this.#watcher = watcher;
  }

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
    const report = this.report();
    // Without its blank line an error would be overlooked, so that is left to be told anew.
    return { bytes: isPassing && report.error === undefined ? left : noBytes, report };
  }

  report(): StreamReport {
    return this.#watcher.report();
  }

  /** Tells the watcher what the event says, and returns whether it was something complete. */
  #look(event: Buffer, isWhole: boolean): boolean {
    const watcher = this.#watcher;
    if (this.#sawData && isWhole && watcher.isPlain(event)) return true;
    const frame = readEvent(event);
    if (frame === undefined) {
      const mayBeBody = !this.#sawData && event[0] !== COLON && event.includes('{');
      const error = mayBeBody ? watcher.errorInBody(event) : undefined;
      return error === undefined ? isWhole : this.#refuse(error);
    }
    const data = frame.data.trim();
    if (data === '') return isWhole;
    this.#sawData = true;
    if (watcher.isMark?.(data) === true) return true;
    let value: unknown;
    try {
      value = parseJson(data);
    } catch (cause) {
      return isWhole && this.#refuse(watcher.unreadable(cause));
    }
    if (!isObject(value)) return isWhole && this.#refuse(watcher.unreadable(undefined));
    watcher.note(value, frame, event);
    return true;
  }

  #refuse(error: SignalboxError): false {
    this.#isBroken = true;
    this.#watcher.refuse(error);
    return false;
  }
}

/** Whether an event's bytes begin like this; what is left of the line end before belongs to nothing. */
export function beginsWith(event: Buffer, prefix: Buffer): boolean {
  const from = firstByte(event);
  return event.length > prefix.length + from && prefix.compare(event, from, from + prefix.length) === 0;
}

/** Where an event really begins: the bytes may have been cut inside the line end before it. */
export function firstByte(event: Buffer): 0 | 1 {
  return event[0] === LINE_FEED ? 1 : 0;
}

/** Whether what the event carries looks like a JSON object to its end. */
export function endsWithBrace(event: Buffer): boolean {
  let last = event.length - 1;
  while (event[last] === LINE_FEED || event[last] === CARRIAGE_RETURN || event[last] === SPACE) last -= 1;
  return event[last] === BRACE_CLOSE;
}

/** The second half of the last event's line end, where the bytes were cut between the two. */
function isLineEnd(bytes: Buffer): boolean {
  return bytes.length === 1 && bytes[0] === LINE_FEED;
}
