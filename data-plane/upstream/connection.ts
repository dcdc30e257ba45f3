// One connection and the exchange it carries. It is reused only after an answer that ended where its framing says, with
// nothing behind it, to a request that had been sent whole.
//
// When a reused connection breaks before any answer byte, the server may have closed it for idleness, and the request may
// be sent again on another connection; or it may have read the request, started to generate and crashed, and sending it
// again would be paid twice. The two look the same from here unless the request never left this process whole: then
// nobody can have acted on it. So it is sent again only if it was not yet written, if the kernel refused it, if part of
// it was still waiting to be sent, or if it is a GET. Otherwise `upstream_unreachable` lets the caller decide. To make
// the undecidable case rare, a connection that has been idle for a while is given one turn of the event loop to show
// that it was closed meanwhile before anything is written to it.
import { SignalboxError } from '#shared/errors.ts';
import type { Line } from './dial.ts';
import type { Exchange, ExchangeHolder } from './exchange.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';

export interface ConnectionOwner {
  /** `host:port`, for messages. */
  readonly name: string;
  readonly idleConnectionMs: number;
  nowMs(): number;
  /** The connection is free. */
  release(connection: Connection): void;
  /** The connection is gone. */
  remove(connection: Connection): void;
  /** Nothing of this exchange was acted on; it needs another connection. */
  requeue(exchange: Exchange): void;
}

/** Below this, head and body are copied into one write: cheaper than gathering. */
const ONE_WRITE_BYTES_MAX = 64 * 1024;
/** Larger bodies go out in parts, so that a slow network can be told from a stuck one. */
const BODY_PART_BYTES = 256 * 1024;
const RECHECK_IDLE_MS = 1000;
/** We close this much before the server says it would. */
const KEEP_ALIVE_MARGIN_MS = 1000;

export class Connection implements ResponseSink, ExchangeHolder {
  readonly #owner: ConnectionOwner;
  readonly #line: Line;
  readonly #parser = new ResponseParser(this);
  #exchange: Exchange | undefined;
  #exchanges = 0;
  #gone = false;
  #failure: Error | undefined;
  #headReceived = false;
  /** The kernel has taken the whole request, as far as can be told. */
  #handedOver = false;
  #bodyIndex = 0;
  #bodyOffset = 0;
  /** Set by traffic, read by `tick`: no clock is asked per chunk. */
  #progress = false;
  #quietSinceMs: number;
  #idleLimitMs: number;

  constructor(owner: ConnectionOwner, line: Line) {
    this.#owner = owner;
    this.#line = line;
    this.#quietSinceMs = owner.nowMs();
    this.#idleLimitMs = owner.idleConnectionMs;
    line.onBytes = (bytes) => this.#receive(bytes);
    const { socket } = line;
    socket.on('error', (error) => {
      this.#failure ??= error;
    });
    socket.on('end', () => this.#lose());
    socket.on('close', () => this.#lose());
  }

  take(exchange: Exchange, nowMs: number): void {
    this.#exchange = exchange;
    exchange.holder = this;
    this.#exchanges++;
    this.#handedOver = false;
    this.#parser.reset();
    const restedMs = nowMs - this.#quietSinceMs;
    this.#quietSinceMs = nowMs;
    if (restedMs > RECHECK_IDLE_MS) this.#sendAfterRecheck(exchange);
    else this.#send(exchange);
  }

  /** Time-outs, at the pace of the client's ticker. */
  tick(nowMs: number): void {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      if (nowMs - this.#quietSinceMs >= this.#idleLimitMs) this.destroy();
      return;
    }
    if (this.#progress || exchange.paused) {
      this.#progress = false;
      this.#quietSinceMs = nowMs;
      return;
    }
    const { headTimeoutMs, idleTimeoutMs } = exchange.request;
    const limitMs = this.#headReceived ? idleTimeoutMs : headTimeoutMs;
    if (nowMs - this.#quietSinceMs < limitMs) return;
    const what = this.#headReceived ? 'sent nothing more' : 'did not answer';
    this.#fail('upstream_timeout', `${what} within ${limitMs} ms. Try again, or raise the time-out.`);
  }

  destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#owner.remove(this);
    this.#line.socket.destroy();
  }

  // ── What the holder of the exchange may ask ──────────────────────────────

  abandon(exchange: Exchange): void {
    if (exchange !== this.#exchange) return;
    this.#exchange = undefined;
    this.#parser.stop();
    this.destroy();
  }

  setReading(exchange: Exchange, reading: boolean): void {
    if (exchange !== this.#exchange) return;
    if (reading) this.#line.socket.resume();
    else this.#line.socket.pause();
  }

  /** The client is closing. */
  giveUp(): void {
    if (this.#exchange === undefined) this.destroy();
    else this.#fail('upstream_unreachable', 'was given up because this instance is stopping.');
  }

  // ── Sending ──────────────────────────────────────────────────────────────

  /** Two turns: the first may belong to the poll that was already under way. */
  #sendAfterRecheck(exchange: Exchange): void {
    setImmediate(() => {
      setImmediate(() => {
        if (exchange === this.#exchange) this.#send(exchange);
      });
    });
  }

  #send(exchange: Exchange): void {
    const { socket } = this.#line;
    const { request, head, bodyBytes } = exchange;
    exchange.requestSent = true;
    this.#headReceived = false;
    this.#progress = false;
    if (head.length + bodyBytes > ONE_WRITE_BYTES_MAX) {
      this.#sendInParts(head);
    } else {
      const bytes = Buffer.allocUnsafe(head.length + bodyBytes);
      let at = bytes.write(head, 0, 'latin1');
      for (const part of request.body) at += part.copy(bytes, at);
      socket.write(bytes);
      // A refusal by the kernel shows at once; what it takes later is as good as taken.
      this.#handedOver = socket.errored === null;
    }
    if (exchange.paused) socket.pause();
  }

  #sendInParts(head: string): void {
    const { socket } = this.#line;
    this.#bodyIndex = 0;
    this.#bodyOffset = 0;
    socket.cork();
    socket.write(head, 'latin1');
    this.#sendNextPart();
    socket.uncork();
  }

  #sendNextPart = (error?: Error | null): void => {
    const exchange = this.#exchange;
    if (error || exchange === undefined || this.#gone) return;
    this.#progress = true;
    const part = exchange.request.body[this.#bodyIndex];
    if (part === undefined) {
      this.#handedOver = true;
      return;
    }
    const end = Math.min(part.length, this.#bodyOffset + BODY_PART_BYTES);
    const bytes = part.subarray(this.#bodyOffset, end);
    this.#bodyOffset = end;
    if (end === part.length) {
      this.#bodyIndex++;
      this.#bodyOffset = 0;
    }
    this.#line.socket.write(bytes, this.#sendNextPart);
  };

  // ── Receiving ────────────────────────────────────────────────────────────

  #receive(bytes: Buffer): void {
    // Nobody asked: whatever it is, it must not become the answer to the next request.
    if (this.#exchange === undefined || !this.#exchange.requestSent) {
      this.#lose();
      return;
    }
    const outcome = this.#parser.push(bytes);
    // A head that trickles in is no progress: its time-out is for the whole.
    if (this.#headReceived) this.#progress = true;
    if (outcome === 'complete') this.#finish(bytes.length > this.#parser.consumed);
    else if (outcome === 'invalid') {
      this.#fail('upstream_invalid', `sent an answer that is not valid HTTP/1.1: ${this.#parser.problem}.`);
    }
  }

  onHead(status: number, headers: Readonly<Record<string, string>>): void {
    this.#headReceived = true;
    this.#exchange!.handler.onHead(status, headers);
  }

  onBody(chunk: Buffer): void {
    this.#exchange!.handler.onData(chunk);
  }

  #finish(moreFollows: boolean): void {
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    const { reusable, keepAliveMs = Number.POSITIVE_INFINITY } = this.#parser;
    this.#idleLimitMs = Math.min(this.#owner.idleConnectionMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
    if (reusable && this.#handedOver && !moreFollows && this.#idleLimitMs > 0) {
      if (exchange.paused) this.#line.socket.resume();
      this.#quietSinceMs = this.#owner.nowMs();
      this.#owner.release(this);
    } else this.destroy();
    exchange.end();
  }

  // ── Losing the connection ────────────────────────────────────────────────

  #lose(): void {
    if (this.#gone) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.destroy();
    if (exchange === undefined) return;
    if (!exchange.requestSent) this.#owner.requeue(exchange);
    else if (this.#parser.endsWithConnection && this.#failure === undefined) exchange.end();
    else if (this.#parser.sawBytes) exchange.fail(this.#error('upstream_truncated', 'broke off its answer.'));
    else if (this.#mayRetry(exchange)) {
      exchange.retried = true;
      this.#owner.requeue(exchange);
    } else exchange.fail(this.#error('upstream_unreachable', 'closed the connection without an answer.'));
  }

  #mayRetry(exchange: Exchange): boolean {
    if (this.#exchanges === 1 || exchange.retried) return false;
    return !this.#handedOver || exchange.request.method === 'GET';
  }

  #fail(code: 'upstream_timeout' | 'upstream_invalid' | 'upstream_unreachable', what: string): void {
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    this.destroy();
    exchange.fail(this.#error(code, what));
  }

  #error(code: SignalboxError['code'], what: string): SignalboxError {
    return new SignalboxError(code, `The provider at ${this.#owner.name} ${what}`, { cause: this.#failure });
  }
}
