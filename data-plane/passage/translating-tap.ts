// A tap that translates: upstream bytes of one dialect in, client bytes of another out. An error of the turn is not written
// but reported, like anything else that is no part of a stream, so that whoever relays decides what becomes of it: another
// target while nothing has been sent, an error in the client's words after that.
import type { Clock } from '#shared/clock.ts';
import type { SignalboxError } from '#shared/errors.ts';
import type { ClientDialect, Dialect, Reader, StreamReport, StreamTap, Writer } from '../dialects/dialect.ts';
import type { Frame, FrameReader } from '../framing/frame.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { Usage } from '../turn/usage.ts';
import { complete } from './complete.ts';

export interface TranslatingTapOptions {
  readonly upstream: Dialect;
  readonly client: ClientDialect;
  readonly wantsUsage: boolean;
  /** What is being answered, as the client meant it … */
  readonly request: TurnRequest;
  /** … and as the upstream was asked. */
  readonly asked: TurnRequest;
  readonly clock: Clock;
}

export class TranslatingTap implements StreamTap {
  readonly #client: ClientDialect;
  readonly #clock: Clock;
  readonly #frames: FrameReader;
  readonly #reader: Reader;
  readonly #writer: Writer;
  #id = '';
  #usage: Usage | undefined;
  #rawUsage = '';
  #error: SignalboxError | undefined;
  #isComplete = false;

  constructor({ upstream, client, wantsUsage, request, asked, clock }: TranslatingTapOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#frames = upstream.framing.reader();
    this.#reader = upstream.reader(asked);
    this.#writer = client.writer({ wantsUsage, request });
  }

  get isBroken(): boolean {
    return this.#error !== undefined;
  }

  push(bytes: Buffer): Buffer {
    return this.#write(this.#frames.push(bytes).flatMap((frame) => this.#reader.push(frame)));
  }

  end(): { bytes: Buffer; report: StreamReport } {
    const left = this.#frames.end().flatMap((frame) => this.#reader.push(frame));
    const bytes = this.#write([...left, ...this.#reader.end()]);
    // That a stream stopped is no finding of its own: whoever relays knows best what stopped it.
    if (this.#error?.code === 'upstream_truncated') this.#error = undefined;
    return { bytes, report: this.report() };
  }

  report(): StreamReport {
    return {
      id: this.#id,
      usage: this.#usage,
      rawUsage: this.#rawUsage,
      error: this.#error,
      complete: this.#isComplete,
    };
  }

  #write(events: readonly TurnEvent[]): Buffer {
    const frames: Frame[] = [];
    for (const event of events) {
      if (event.type === 'turn-error') {
        this.#error = event.error;
        break;
      }
      frames.push(...this.#writer.push(this.#note(event)));
    }
    return this.#client.framing.write(frames);
  }

  #note(event: TurnEvent): TurnEvent {
    if (event.type === 'turn-end') this.#isComplete = true;
    if (event.type === 'usage') {
      this.#usage = event.usage;
      this.#rawUsage = event.raw;
    }
    if (event.type !== 'turn-start') return event;
    this.#id = event.id;
    return complete(event, this.#clock);
  }
}
