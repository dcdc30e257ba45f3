// Meters bytes on their way from an upstream to a client of the same dialect. Every event passes as it came, whole: clients
// of this dialect see usage unasked, so nothing is taken out. Deltas are most of a stream and say nothing that is metered;
// their name stands in front of them, so only events of other names are parsed.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { BodyReport, RequestHead, StreamReport, StreamTap } from '../dialect.ts';
import { beginsWith, type EventWatcher, endsWithBrace, PassingTap } from '../passing-tap.ts';
import { errorInStream } from '../read-error.ts';
import { foundUsage, mergeUsage } from './usage.ts';
import { unreadable } from './wire.ts';

export function tap(_head: RequestHead): StreamTap {
  return new PassingTap(new MessageWatcher());
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

const blockEvent = Buffer.from('event: content_block_');

class MessageWatcher implements EventWatcher {
  #id = '';
  #usage: JsonObject | undefined;
  #error: SignalboxError | undefined;
  #isStopped = false;

  isPlain(event: Buffer): boolean {
    return beginsWith(event, blockEvent) && endsWithBrace(event);
  }

  note(value: JsonObject, { event: name }: Frame): void {
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

  errorInBody(body: Buffer): SignalboxError | undefined {
    return inspect(body).error;
  }

  unreadable(cause: unknown): SignalboxError {
    return unreadable(cause);
  }

  refuse(error: SignalboxError): void {
    if (!this.#isStopped) this.#error ??= error;
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
}
