// One attempt's share of a stream that may be gone on with: upstream bytes in, events to whoever writes for the client, bytes out. Nothing
// reaches the writer that does not reach the client too, so that both always know the same.
import { SignalboxError } from '#shared/errors.ts';
import type { Dialect, Reader, StreamReport, StreamTap } from '../dialects/dialect.ts';
import type { FrameReader } from '../framing/frame.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { ContinuedAnswer, Share } from './recovery-answer.ts';

export interface UpstreamSide {
  readonly upstream: Dialect;
  /** As the upstream was asked. */
  readonly asked: TurnRequest;
}

export class RecoveringTap implements StreamTap {
  readonly answer: ContinuedAnswer;
  readonly share: Share;
  readonly #frames: FrameReader;
  readonly #reader: Reader;
  #id = '';
  #error: SignalboxError | undefined;
  #isComplete = false;

  constructor(
    { upstream, asked }: UpstreamSide,
    answer: ContinuedAnswer,
    start: Pick<Share, 'isContinuing' | 'skipsSpace'>,
  ) {
    this.#frames = upstream.framing.reader();
    this.#reader = upstream.reader(asked);
    this.answer = answer;
    this.share = { ...start, places: new Map(), hasAdopted: false, usage: undefined, rawUsage: '' };
  }

  get isBroken(): boolean {
    return this.#error !== undefined;
  }

  push(bytes: Buffer): Buffer {
    return this.#take(this.#frames.push(bytes).flatMap((frame) => this.#reader.push(frame)));
  }

  /** What is left over counts if it ends the turn; else it is half an event, which nobody has seen. */
  end(): { bytes: Buffer; report: StreamReport } {
    const left = this.#leftOver();
    const isEnd = left.some(({ type }) => type === 'turn-end');
    if (!isEnd) for (const event of left) this.#noteUsage(event);
    return { bytes: isEnd ? this.#take(left) : Buffer.alloc(0), report: this.report() };
  }

  report(): StreamReport {
    const { usage, rawUsage } = this.share;
    return { id: this.#id, usage, rawUsage, error: this.#error, complete: this.#isComplete };
  }

  #leftOver(): TurnEvent[] {
    if (this.#isComplete || this.#error) return [];
    try {
      const left = this.#frames.end().flatMap((frame) => this.#reader.push(frame));
      return [...left, ...this.#reader.end()];
    } catch (thrown) {
      if (!(thrown instanceof SignalboxError)) throw thrown;
      return [];
    }
  }

  #take(events: readonly TurnEvent[]): Buffer {
    const told: Buffer[] = [];
    for (const event of events) {
      if (event.type === 'turn-error') {
        this.#error = event.error;
        break;
      }
      this.#note(event);
      told.push(this.answer.write(event, this.share));
    }
    return told.length === 1 ? told[0]! : Buffer.concat(told);
  }

  #note(event: TurnEvent): void {
    if (event.type === 'turn-end') this.#isComplete = true;
    else if (event.type === 'turn-start') this.#id = event.id;
    this.#noteUsage(event);
  }

  #noteUsage(event: TurnEvent): void {
    if (event.type !== 'usage') return;
    this.share.usage = event.usage;
    this.share.rawUsage = event.raw;
  }
}
