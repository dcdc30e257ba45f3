// One request and its answer, wherever they are: waiting for a connection, on one, or over. This is what the caller holds.
import type { SignalboxError } from '#shared/errors.ts';
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from './contract.ts';

/** Whoever has the exchange at the moment. */
export interface ExchangeHolder {
  abandon(exchange: Exchange): void;
  setReading(exchange: Exchange, reading: boolean): void;
}

export class Exchange implements UpstreamCall {
  readonly request: UpstreamRequest;
  readonly handler: UpstreamHandler;
  readonly head: string;
  readonly bodyBytes: number;
  holder: ExchangeHolder | undefined;
  waitingSinceMs: number;
  requestSent = false;
  paused = false;
  over = false;
  /** A second connection has already been tried. */
  retried = false;

  constructor(
    request: UpstreamRequest,
    handler: UpstreamHandler,
    head: string,
    bodyBytes: number,
    nowMs: number,
  ) {
    this.request = request;
    this.handler = handler;
    this.head = head;
    this.bodyBytes = bodyBytes;
    this.waitingSinceMs = nowMs;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.holder?.abandon(this);
  }

  pause(): void {
    this.#setPaused(true);
  }

  resume(): void {
    this.#setPaused(false);
  }

  fail(error: SignalboxError): void {
    if (this.over) return;
    this.over = true;
    this.handler.onError(error);
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.handler.onEnd();
  }

  #setPaused(paused: boolean): void {
    if (this.over || this.paused === paused) return;
    this.paused = paused;
    this.holder?.setReading(this, !paused);
  }
}
