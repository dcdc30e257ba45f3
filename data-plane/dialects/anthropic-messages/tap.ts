// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: clients
// of this dialect see usage unasked, so nothing is taken out. Deltas are most of a stream and say nothing that is metered;
// their name stands in front of them, so only events of other names are parsed.
import type { SignalboxError } from '#shared/errors.ts';
import { EventBoundary } from '../../framing/event-boundary.ts';
import { HeldBytes } from '../../framing/held-bytes.ts';
import { readEvent } from '../../framing/sse.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { errorInStream } from '../read-error.ts';
import { foundUsage, mergeUsage } from './usage.ts';
import { unreadable } from './wire.ts';

export function tap(_head: RequestHead): StreamTap {
  return new MessageTap();
}

/** Meters a whole body. */
export function inspect(body: Buffer): BodyReport {
  try {
    const answer = parseJson(body);
    if (!isObject(answer)) throw unreadable(undefined);
    const found = foundUsage(mergeUsage(undefined, answer.usage));
    const report = { id: textOf(answer.id), usage: found?.usage, rawUsage: found?.raw ?? '' };
    if (answer.type === 'error') return { ...report, error: errorInStream(answer) };
    return { ...report, error: Array.isArray(answer.content) ? undefined : unreadable(undefined) };
  } catch (cause) {
    return { id: '', usage: undefined, rawUsage: '', error: unreadable(cause) };
  }
}

const COLON = 0x3a;
const SPACE = 0x20;
const BRACE_CLOSE = 0x7d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const blockEvent = Buffer.from('event: content_block_');
const noBytes = Buffer.alloc(0);

class MessageTap implements StreamTap {
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  #id = '';
  #usage: JsonObject | undefined;
  #error: SignalboxError | undefined;
  #isStopped = false;
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
    const isPassing = left.length > 0 && !this.#isBroken && this.#look(left, false);
    // Without its blank line an error would be overlooked, so that is left to be told anew.
    return { bytes: isPassing && this.#error === undefined ? left : noBytes, report: this.report() };
  }

  report(): StreamReport {
    const found = foundUsage(this.#usage);
    return {
      id: this.#id,
      usage: found?.usage,
      rawUsage: found?.raw ?? '',
      error: this.#error,
      complete: this.#isStopped && this.#error === undefined,
    };
  }

  /** Notes what the event says, and returns whether it was something complete. */
  #look(event: Buffer, isWhole: boolean): boolean {
    if (this.#sawData && isWhole && startsWith(event, blockEvent) && endsWithBrace(event)) return true;
    const frame = readEvent(event);
    if (frame === undefined) {
      // A JSON body where a stream was asked for has no data field; nobody would see the error in it.
      const mayBeBody = !this.#sawData && event[0] !== COLON && event.includes('{');
      const error = mayBeBody ? inspect(event).error : undefined;
      return error === undefined ? isWhole : this.#refuse(error);
    }
    if (frame.data.trim() === '') return isWhole;
    this.#sawData = true;
    let value: unknown;
    try {
      value = parseJson(frame.data);
    } catch (cause) {
      return isWhole && this.#refuse(unreadable(cause));
    }
    if (!isObject(value)) return isWhole && this.#refuse(unreadable(undefined));
    this.#note(value, frame.event);
    return true;
  }

  #note(value: JsonObject, name: string | undefined): void {
    if (this.#isStopped) return;
    const type = textOf(value.type);
    if (type === 'error' || name === 'error') this.#error ??= errorInStream(value);
    else if (type === 'message_stop') this.#isStopped = true;
    else if (type === 'message_delta') this.#usage = mergeUsage(this.#usage, value.usage);
    else if (type === 'message_start' && this.#id === '') {
      const message = objectOf(value.message);
      this.#id = textOf(message.id);
      this.#usage = mergeUsage(this.#usage, message.usage);
    }
  }

  /** Behind an error or the end nobody reads on, so nothing is made of what comes there; it does not pass either. */
  #refuse(error: SignalboxError): false {
    this.#isBroken = true;
    if (!this.#isStopped) this.#error ??= error;
    return false;
  }
}

function joined(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  // What is left of the line end before belongs to nothing.
  const from = bytes[0] === LINE_FEED ? 1 : 0;
  return bytes.length > prefix.length + from && prefix.compare(bytes, from, from + prefix.length) === 0;
}

function endsWithBrace(bytes: Buffer): boolean {
  let last = bytes.length - 1;
  while (bytes[last] === LINE_FEED || bytes[last] === CARRIAGE_RETURN || bytes[last] === SPACE) last -= 1;
  return bytes[last] === BRACE_CLOSE;
}
