// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: usage is part of
// every stream here, so nothing is taken out. Most events are pieces of an answer and say nothing that is metered; their name
// stands in front of them, so only those that carry a response, or have no such name, are parsed. The finished response is
// handed to whoever wants to keep it, exactly as it was sent.
import type { SignalboxError } from '#shared/errors.ts';
import { EventBoundary } from '../../framing/event-boundary.ts';
import { HeldBytes } from '../../framing/held-bytes.ts';
import { readEvent } from '../../framing/sse.ts';
import { parseJson } from '../../json/parse.ts';
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { errorInAnswer, errorInEvent, type Progress } from './errors.ts';
import { memberText } from './member-text.ts';
import { type FoundUsage, usageAt } from './usage.ts';
import { unreadable } from './wire.ts';

export function tap(_head: RequestHead): StreamTap {
  return new ResponseTap();
}

const bodyKeys = wantedKeys('id', 'status', 'error', 'output', 'usage');

/** Meters a whole body by the places of its top-level members, without parsing what the model said. */
export function inspect(body: Buffer): BodyReport {
  try {
    const found = findIn(body);
    return { id: found.id, usage: found.usage?.usage, rawUsage: found.usage?.raw ?? '', error: found.error };
  } catch (cause) {
    return { id: '', usage: undefined, rawUsage: '', error: unreadable(cause) };
  }
}

interface Found {
  readonly id: string;
  readonly usage: FoundUsage | undefined;
  readonly error: SignalboxError | undefined;
}

function findIn(body: Buffer): Found {
  const { members } = scanObject(body, bodyKeys);
  const memberNamed = (name: string): unknown => {
    const place = members[name];
    return place === undefined ? undefined : JSON.parse(body.toString('utf8', place.start, place.end));
  };
  const isAnswer = members.output !== undefined && body[members.output.start] === BRACKET_OPEN;
  const status = memberNamed('status');
  const error = errorInAnswer({ error: memberNamed('error'), status });
  const isPending = status === 'queued' || status === 'in_progress';
  return {
    id: textOf(memberNamed('id')),
    usage: usageAt(body, members),
    error: error ?? (isAnswer && !isPending ? undefined : unreadable(undefined)),
  };
}

const COLON = 0x3a;
const SPACE = 0x20;
const BRACKET_OPEN = 0x5b;
const BRACE_CLOSE = 0x7d;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
const eventField = Buffer.from('event: response.');
/** How the names of what carries a response go on; nothing else begins with these letters. */
const lifecycleNames = ['created', 'queued', 'in_progress', 'completed', 'incomplete', 'failed'].map((name) =>
  Buffer.from(name),
);
const noBytes = Buffer.alloc(0);

export class ResponseTap implements StreamTap {
  readonly #onFinal: ((response: string) => void) | undefined;
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  #id = '';
  #usage: FoundUsage | undefined;
  #error: SignalboxError | undefined;
  #isComplete = false;
  #isBroken = false;
  #sawData = false;
  /** The text of the response as it stood when it was last told. */
  #response: string | undefined;
  #lastEvent: Buffer = noBytes;

  constructor(onFinal?: (response: string) => void) {
    this.#onFinal = onFinal;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** What an error that ends the stream has to go on from. */
  get progress(): Progress {
    const last = numberIn(this.#lastEvent);
    const response = this.#response === undefined ? undefined : objectOf(JSON.parse(this.#response));
    return { nextSequence: last === undefined ? 0 : last + 1, response };
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
    return {
      id: this.#id,
      usage: this.#usage?.usage,
      rawUsage: this.#usage?.raw ?? '',
      error: this.#error,
      complete: this.#isComplete && this.#error === undefined,
    };
  }

  /** Notes what the event says, and returns whether it was something complete. */
  #look(event: Buffer, isWhole: boolean): boolean {
    if (this.#sawData && isWhole && isPiece(event) && endsWithBrace(event)) {
      this.#lastEvent = event;
      return true;
    }
    const frame = readEvent(event);
    if (frame === undefined) {
      // A JSON body where a stream was asked for has no data field; nobody would see the error in it.
      const mayBeBody = !this.#sawData && event[0] !== COLON && event.includes('{');
      const error = mayBeBody ? (inspect(event).error ?? unreadable(undefined)) : undefined;
      return error === undefined ? isWhole : this.#refuse(error);
    }
    const data = frame.data.trim();
    if (data === '' || data === '[DONE]') return isWhole;
    this.#sawData = true;
    let value: unknown;
    try {
      value = parseJson(data);
    } catch (cause) {
      return isWhole && this.#refuse(unreadable(cause));
    }
    if (!isObject(value)) return isWhole && this.#refuse(unreadable(undefined));
    this.#lastEvent = event;
    this.#note(value, frame.event === 'error' ? 'error' : textOf(value.type), data);
    return true;
  }

  #note(event: JsonObject, type: string, data: string): void {
    if (this.#isComplete || this.#error !== undefined) return;
    if (type === 'error') {
      this.#error = errorInEvent(event);
      return;
    }
    if (!isObject(event.response)) return;
    const response = memberText(Buffer.from(data), 'response');
    this.#response = response.toString();
    this.#id ||= textOf(event.response.id);
    this.#usage = usageAt(response, scanObject(response, bodyKeys).members) ?? this.#usage;
    if (type === 'response.failed') this.#error = errorInAnswer({ ...event.response, status: 'failed' });
    if (type !== 'response.completed' && type !== 'response.incomplete') return;
    this.#isComplete = true;
    this.#onFinal?.(this.#response);
  }

  /** Behind an error or the end nobody reads on, so nothing is made of what comes there; it does not pass either. */
  #refuse(error: SignalboxError): false {
    this.#isBroken = true;
    if (!this.#isComplete) this.#error ??= error;
    return false;
  }
}

/** Whether the event is named as one that carries a piece of an answer. */
function isPiece(event: Buffer): boolean {
  // What is left of the line end before belongs to nothing.
  const from = event[0] === LINE_FEED ? 1 : 0;
  const at = from + eventField.length;
  if (event.length <= at || eventField.compare(event, from, at) !== 0) return false;
  return !lifecycleNames.some(
    (name) => name.compare(event, at, Math.min(event.length, at + name.length)) === 0,
  );
}

function numberIn(event: Buffer): number | undefined {
  const data = event.length === 0 ? undefined : readEvent(event)?.data;
  if (data === undefined) return undefined;
  try {
    const { sequence_number: number } = objectOf(parseJson(data));
    return Number.isSafeInteger(number) ? (number as number) : undefined;
  } catch {
    // A piece is not parsed when it passes; one that is broken has no number.
    return undefined;
  }
}

/** The second half of a line end whose first half closed the last event. */
function isLineEnd(bytes: Buffer): boolean {
  return bytes.length === 1 && bytes[0] === LINE_FEED;
}

function joined(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  return second.length === 0 ? first : Buffer.concat([first, second]);
}

function endsWithBrace(bytes: Buffer): boolean {
  let last = bytes.length - 1;
  while (bytes[last] === LINE_FEED || bytes[last] === CARRIAGE_RETURN || bytes[last] === SPACE) last -= 1;
  return bytes[last] === BRACE_CLOSE;
}
