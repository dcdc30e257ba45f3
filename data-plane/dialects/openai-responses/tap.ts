// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: usage is part of
// every stream here, so nothing is taken out. Most events are pieces of an answer and say nothing that is metered; their name
// stands in front of them, so only those that carry a response, or have no such name, are parsed. The finished response is
// handed to whoever wants to keep it, exactly as it was sent.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { readEvent } from '../../framing/sse.ts';
import { parseJson } from '../../json/parse.ts';
import { scanObject, wantedKeys } from '../../json/scan.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { FoundUsage } from '../../turn/usage.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { beginsWith, type EventWatcher, endsWithBrace, firstByte, PassingTap } from '../passing-tap.ts';
import { errorInAnswer, errorInEvent, type Progress } from './errors.ts';
import { memberText } from './member-text.ts';
import { usageAt } from './usage.ts';
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

const BRACKET_OPEN = 0x5b;
const DONE = '[DONE]';
const eventField = Buffer.from('event: response.');
/** How the names of what carries a response go on; nothing else begins with these letters. */
const lifecycleNames = ['created', 'queued', 'in_progress', 'completed', 'incomplete', 'failed'].map((name) =>
  Buffer.from(name),
);
const noBytes = Buffer.alloc(0);

export class ResponseTap extends PassingTap {
  readonly #watcher: ResponseWatcher;

  constructor(onFinal?: (response: string) => void) {
    const watcher = new ResponseWatcher(onFinal);
    super(watcher);
    this.#watcher = watcher;
  }

  /** What an error that ends the stream has to go on from. */
  get progress(): Progress {
    return this.#watcher.progress;
  }
}

class ResponseWatcher implements EventWatcher {
  readonly #onFinal: ((response: string) => void) | undefined;
  #id = '';
  #usage: FoundUsage | undefined;
  #error: SignalboxError | undefined;
  #isComplete = false;
  /** The text of the response as it stood when it was last told. */
  #response: string | undefined;
  #lastEvent: Buffer = noBytes;

  constructor(onFinal: ((response: string) => void) | undefined) {
    this.#onFinal = onFinal;
  }

  get progress(): Progress {
    const last = numberIn(this.#lastEvent);
    const response = this.#response === undefined ? undefined : objectOf(JSON.parse(this.#response));
    return { nextSequence: last === undefined ? 0 : last + 1, response };
  }

  isPlain(event: Buffer): boolean {
    if (!isPiece(event) || !endsWithBrace(event)) return false;
    this.#lastEvent = event;
    return true;
  }

  isMark(data: string): boolean {
    return data === DONE;
  }

  note(event: JsonObject, frame: Frame, bytes: Buffer): void {
    this.#lastEvent = bytes;
    if (this.#isComplete || this.#error !== undefined) return;
    const type = frame.event === 'error' ? 'error' : textOf(event.type);
    if (type === 'error') {
      this.#error = errorInEvent(event);
      return;
    }
    if (!isObject(event.response)) return;
    const response = memberText(Buffer.from(frame.data.trim()), 'response');
    this.#response = response.toString();
    this.#id ||= textOf(event.response.id);
    this.#usage = usageAt(response, scanObject(response, bodyKeys).members) ?? this.#usage;
    if (type === 'response.failed') this.#error = errorInAnswer({ ...event.response, status: 'failed' });
    if (type !== 'response.completed' && type !== 'response.incomplete') return;
    this.#isComplete = true;
    this.#onFinal?.(this.#response);
  }

  errorInBody(body: Buffer): SignalboxError {
    return inspect(body).error ?? unreadable(undefined);
  }

  unreadable(cause: unknown): SignalboxError {
    return unreadable(cause);
  }

  refuse(error: SignalboxError): void {
    if (!this.#isComplete) this.#error ??= error;
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
}

/** Whether the event is named as one that carries a piece of an answer. */
function isPiece(event: Buffer): boolean {
  if (!beginsWith(event, eventField)) return false;
  const at = firstByte(event) + eventField.length;
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
