// Watches the events of pictures, transcripts and speech pass. Every event passes as it came, whole; what it used is said by
// the event that ends it. Parts of pictures and of sound are large and say nothing that is metered, so large events are read
// only when they hold one of the words that matter.
import { SignalboxError } from '#shared/errors.ts';
import type { StreamReport, StreamTap } from '../dialects/dialect.ts';
import { errorInStream } from '../dialects/read-error.ts';
import { EventBoundary } from '../framing/event-boundary.ts';
import { HeldBytes } from '../framing/held-bytes.ts';
import { readEvent } from '../framing/sse.ts';
import { parseJson } from '../json/parse.ts';
import { isObject, type JsonObject, textOf } from '../json/values.ts';
import { readTokens, type TokenMeters } from './usage.ts';

export interface EventTapOptions {
  /** How many events that end something have to come: one for each picture. */
  readonly endings: number;
  /** What is counted here, in JSON, where no event says what was used. */
  readonly count: (endings: number) => string;
  readonly meters?: TokenMeters;
}

const SMALL_EVENT_BYTES = 16 * 1024;
const telling = ['"usage"', '"error"', '.completed"', '.done"'] as const;
/** `image_generation.completed`, `transcript.text.done`, `speech.audio.done`. */
const ENDING = /\.(completed|done)$/;
const DONE = '[DONE]';
const noBytes = Buffer.alloc(0);

export class EventTap implements StreamTap {
  readonly #options: EventTapOptions;
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();
  #endings = 0;
  #isDone = false;
  #usage: JsonObject | undefined;
  #error: SignalboxError | undefined;
  #isBroken = false;

  constructor(options: EventTapOptions) {
    this.#options = options;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  push(bytes: Buffer): Buffer {
    const passing: Buffer[] = [];
    let start = 0;
    for (let end = this.#boundary.next(bytes, 0); end !== -1; end = this.#boundary.next(bytes, start)) {
      this.#held.append(bytes.subarray(start, end));
      const event = this.#held.take();
      this.#look(event, true);
      if (this.#isBroken) return Buffer.concat(passing);
      passing.push(event);
      start = end;
    }
    if (start < bytes.length) this.#held.append(bytes.subarray(start));
    return passing.length === 1 ? passing[0]! : Buffer.concat(passing);
  }

  end(): { bytes: Buffer; report: StreamReport } {
    const left = this.#held.take();
    const isPassing = left.length > 0 && !this.#isBroken && this.#look(left, false);
    return { bytes: isPassing && this.#error === undefined ? left : noBytes, report: this.report() };
  }

  report(): StreamReport {
    const { count, endings, meters } = this.#options;
    const isComplete = this.#isDone || this.#endings >= endings;
    return {
      id: '',
      usage: readTokens(this.#usage, meters),
      rawUsage: this.#usage === undefined ? count(this.#endings) : JSON.stringify(this.#usage),
      error: this.#error,
      complete: isComplete && this.#error === undefined,
    };
  }

  /** Notes what the event says, and returns whether it was something complete. */
  #look(event: Buffer, isWhole: boolean): boolean {
    if (isWhole && event.length > SMALL_EVENT_BYTES && !telling.some((word) => event.includes(word)))
      return true;
    const data = readEvent(event)?.data.trim() ?? '';
    if (data === '') return isWhole;
    if (data === DONE) {
      this.#isDone = true;
      return true;
    }
    let value: unknown;
    try {
      value = parseJson(data);
    } catch (cause) {
      return isWhole && this.#refuse(cause);
    }
    if (!isObject(value)) return isWhole && this.#refuse(undefined);
    this.#note(value);
    return true;
  }

  #note(value: JsonObject): void {
    const type = textOf(value.type);
    if (type === 'error' || isObject(value.error)) this.#error ??= errorInStream(value);
    if (isObject(value.usage)) this.#usage = value.usage;
    if (ENDING.test(type)) this.#endings += 1;
  }

  #refuse(cause: unknown): false {
    this.#isBroken = true;
    this.#error ??= new SignalboxError(
      'upstream_invalid',
      'The provider sent an event that cannot be read.',
      {
        cause,
      },
    );
    return false;
  }
}
