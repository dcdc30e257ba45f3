// Watches the events of pictures, transcripts and speech pass. Every event passes as it came, whole; what it used is said by
// the event that ends it. Parts of pictures and of sound are large and say nothing that is metered, so large events are read
// only when they hold one of the words that matter.
import { SignalboxError } from '#shared/errors.ts';
import type { StreamReport } from '../dialects/dialect.ts';
import { type EventWatcher, PassingTap } from '../dialects/passing-tap.ts';
import { errorInStream } from '../dialects/read-error.ts';
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

export function eventTap(options: EventTapOptions): PassingTap {
  return new PassingTap(new UsageWatcher(options));
}

class UsageWatcher implements EventWatcher {
  readonly #options: EventTapOptions;
  #endings = 0;
  #isDone = false;
  #usage: JsonObject | undefined;
  #error: SignalboxError | undefined;

  constructor(options: EventTapOptions) {
    this.#options = options;
  }

  isPlain(event: Buffer): boolean {
    return event.length > SMALL_EVENT_BYTES && !telling.some((word) => event.includes(word));
  }

  isMark(data: string): boolean {
    this.#isDone ||= data === DONE;
    return data === DONE;
  }

  note(value: JsonObject): void {
    const type = textOf(value.type);
    if (type === 'error' || isObject(value.error)) this.#error ??= errorInStream(value);
    if (isObject(value.usage)) this.#usage = value.usage;
    if (ENDING.test(type)) this.#endings += 1;
  }

  /** A model that does not stream may answer whole; whoever relays has seen to that before. */
  errorInBody(): undefined {
    return undefined;
  }

  unreadable(cause: unknown): SignalboxError {
    return new SignalboxError('upstream_invalid', 'The provider sent an event that cannot be read.', {
      cause,
    });
  }

  refuse(error: SignalboxError): void {
    this.#error ??= error;
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
}
