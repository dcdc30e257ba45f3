// Giving an answer to the client as it comes in. One relay per answer, synchronous per chunk: bytes that arrive together
// are taken through the tap and sent together, a client that reads slowly slows its upstream instead of filling memory,
// and nothing is sent before there is something good to send, because the first byte is what makes failing over
// impossible.
import type { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { StreamReport, StreamTap } from '../dialects/dialect.ts';
import { joined } from '../framing/joined.ts';
import { truncated } from '../turn/truncated.ts';
import type { UpstreamCall } from '../upstream/client.ts';

/** The client's end of an answer, whatever carries it. */
export interface ClientAnswer {
  /** Whether the head has been sent. */
  readonly begun: boolean;
  /** Whether nothing is to be sent before there is something said: for an answer that another may be faster with. */
  readonly waitsForWords?: true;
  /** Told when the client can take more, and when the answer has to stop. */
  listener: AnswerListener | undefined;
  /** An upstream is about to be called; the first time counts as the end of the gateway's own work. */
  upstreamCalled(): void;
  begin(head: AnswerHead): void;
  /** False when the client is slow: send no more until `onDrain`. */
  write(bytes: Buffer): boolean;
  end(bytes: Buffer): void;
  /** Closes the connection in the middle of an answer, so that nobody takes it for whole. */
  breakOff(): void;
}

export interface AnswerListener {
  onDrain?(): void;
  /** The client left (`client_closed`) or this instance has to stop (`draining`). Called at most once. */
  onStop(reason: SignalboxError): void;
}

export interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  /** Undefined for a stream. */
  readonly bodyBytes: number | undefined;
  readonly served: Served;
}

/** What answered, as the client is told in headers. */
export interface Served {
  readonly model: string;
  readonly provider: string;
  /** Empty when the caller named a model. */
  readonly route: string;
}

export const noBytes = Buffer.alloc(0);

export interface StreamRelayOptions {
  readonly tap: StreamTap;
  /** An error in the form of this stream; undefined where it has none. */
  readonly errorBytes: (error: SignalboxError) => Buffer | undefined;
  readonly client: ClientAnswer;
  readonly head: AnswerHead;
  /** Whether the stream has begun to say something. */
  readonly hasSpoken: () => boolean;
  /** The exchange to slow down. */
  readonly upstream: UpstreamCall;
  /** The stream opened with an error: nothing has been sent, another target may do better. */
  readonly onFalseStart: (error: SignalboxError) => void;
  /** Whatever went wrong while relaying, outside any call from the owner. */
  readonly onFault: (thrown: unknown) => void;
}

export interface StreamEnding {
  readonly report: StreamReport;
  /** Undefined when the stream was whole. */
  readonly error: SignalboxError | undefined;
  send(): void;
  /** For an answer that another goes on with; nothing where the client has seen nothing yet. */
  sendWhatCame(): void;
}

/** An upstream's stream on its way to a client. */
export class StreamRelay {
  readonly #options: StreamRelayOptions;
  #waiting: Buffer[] = [];
  /** Taken through the tap, and not sent before there is something said. */
  #unsaid: Buffer = noBytes;
  #closed = false;

  constructor(options: StreamRelayOptions) {
    this.#options = options;
  }

  push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    if (this.#waiting.length === 1) process.nextTick(flushLater, this);
  }

  /** What is known of the stream so far. */
  report(): StreamReport {
    return this.#options.tap.report();
  }

  /**
   * The stream is over, `cut` when something ended it. Returns what it was and how to send the rest, so that the owner
   * can settle in between. A stream that is not whole ends with an error frame and without an end mark; one that had
   * said it was finished is whole, however its connection ended. An error that has passed is not told twice.
   */
  finish(cut?: SignalboxError): StreamEnding {
    const { tap } = this.#options;
    const last = joined(this.#takeUnsaid(), this.#drainTap());
    const isSaid = tap.report().error !== undefined && !tap.isBroken;
    const { bytes, report } = tap.end();
    this.#closed = true;
    const isWhole = report.complete || (tap.endsWithConnection === true && cut === undefined);
    const error = report.error ?? (isWhole ? undefined : (cut ?? truncated()));
    // Bytes left over by a cut are half an event; a proper end may just lack the blank line behind the last one.
    const rest = cut || error ? noBytes : bytes;
    return {
      report,
      error,
      sendWhatCame: () => {
        if (this.#options.client.begun && last.length > 0) this.#options.client.write(last);
      },
      send: () => (error && !isSaid ? this.#sendError(last, error) : this.#sendLast([last, rest])),
    };
  }

  /** Ends a stream that can no longer be read. */
  breakOff(error: SignalboxError): void {
    this.#closed = true;
    this.#sendError(noBytes, error);
  }

  /** The client is gone; nothing more is to be sent. */
  abandon(): StreamReport {
    this.#drainTap();
    this.#closed = true;
    return this.#options.tap.report();
  }

  flush(): void {
    if (this.#closed || this.#waiting.length === 0) return;
    const { client, tap, head, upstream } = this.#options;
    const bytes = joined(this.#takeUnsaid(), this.#drainTap());
    if (bytes.length === 0 && !tap.isBroken) return;
    if (this.#isToWait(bytes)) {
      this.#unsaid = bytes;
      return;
    }
    if (!client.begun) {
      const { error } = tap.report();
      if (error) {
        this.#options.onFalseStart(error);
        return;
      }
      client.begin(head);
    }
    if (bytes.length > 0 && !client.write(bytes)) upstream.pause();
    if (tap.isBroken) this.#options.onFault(tap.report().error);
  }

  fault(thrown: unknown): void {
    this.#options.onFault(thrown);
  }

  /** An error is told at once, and nobody holds more than a little for the sake of a race. */
  #isToWait(bytes: Buffer): boolean {
    const { client, tap, hasSpoken } = this.#options;
    if (client.waitsForWords !== true || client.begun || tap.isBroken) return false;
    return bytes.length <= limits.racedBytesHeldMax && !hasSpoken() && tap.report().error === undefined;
  }

  #takeUnsaid(): Buffer {
    const bytes = this.#unsaid;
    this.#unsaid = noBytes;
    return bytes;
  }

  #drainTap(): Buffer {
    if (this.#waiting.length === 0) return noBytes;
    const bytes = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting);
    this.#waiting = [];
    return this.#options.tap.push(bytes);
  }

  #sendError(before: Buffer, error: SignalboxError): void {
    const frame = this.#options.errorBytes(error);
    if (frame !== undefined) this.#sendLast([before, frame]);
    else this.#options.client.breakOff();
  }

  #sendLast(parts: Buffer[]): void {
    const { client, head } = this.#options;
    if (!client.begun) client.begin(head);
    const filled = parts.filter((part) => part.length > 0);
    client.end(filled.length === 1 ? filled[0]! : Buffer.concat(filled));
  }
}

// One function for all relays, so that scheduling a flush allocates nothing.
function flushLater(relay: StreamRelay): void {
  try {
    relay.flush();
  } catch (thrown) {
    relay.fault(thrown);
  }
}
