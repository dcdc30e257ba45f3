// One request and its answer on a client's connection: the client's end of everything. It knows HTTP and nothing of
// models: how an answer is framed, which headers it carries, that nobody is written to who has left, and that a client
// that reads slowly is waited for, but not for ever.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { uuidV7 } from '#shared/ids.ts';
import type { AnswerHead, AnswerListener, ClientAnswer, Served } from '../attempt/relay.ts';
import type { ClientDialectName } from '../dialects/dialect.ts';
import { chunkOf, lastChunk } from './chunks.ts';
import { headerText, saneRequestId } from './headers.ts';

export interface ExchangeServices {
  readonly clock: Clock;
  readonly limits: ExchangeLimits;
  /** Whether this instance is stopping: then connections are not kept. */
  readonly draining: () => boolean;
  readonly onClosed: (exchange: Exchange) => void;
}

export interface ExchangeLimits {
  readonly clientStallMs: number;
  readonly lingerMs: number;
  readonly requestBodyBytesMax: number;
}

/** Names and values in turn, as node:http takes them without copying. */
export type RawHeaders = readonly string[];

export class Exchange implements ClientAnswer {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly requestId: string;
  /** The client's own id for this request: repeated and logged, never used to tell requests apart. */
  readonly clientRequestId: string | undefined;
  readonly startedMs: number;
  listener: AnswerListener | undefined;
  /** What the log and the metrics say about it. */
  operation = 'unknown';
  /** In whose words errors are told. */
  dialect: ClientDialectName = 'openai-chat';
  keyId = '';
  requestedModel = '';
  attempts = 0;
  served: Served | undefined;
  error: SignalboxError | undefined;
  status = 0;
  bodyWaitMs = 0;
  overheadMs: number | undefined;
  firstByteMs: number | undefined;
  readonly #services: ExchangeServices;
  /** Whether we frame a stream ourselves; HTTP/1.0 clients are told the end by closing. */
  #chunked = false;
  #gone = false;
  /** Whether the connection ends with this answer. */
  #closes = false;
  #stallTimer: NodeJS.Timeout | undefined;

  constructor(services: ExchangeServices, path: string, request: IncomingMessage, response: ServerResponse) {
    this.#services = services;
    this.request = request;
    this.response = response;
    this.startedMs = services.clock.monotonicMs();
    this.path = path;
    this.requestId = uuidV7(services.clock.wallMs());
    this.clientRequestId = saneRequestId(request.headers['x-request-id']);
    response.on('close', () => this.#closed());
    response.on('error', ignore);
  }

  get begun(): boolean {
    return this.response.headersSent;
  }

  /** Whether the client has left before its answer was complete. */
  get gone(): boolean {
    return this.#gone;
  }

  elapsedMs(): number {
    return this.#services.clock.monotonicMs() - this.startedMs;
  }

  upstreamCalled(): void {
    this.overheadMs ??= this.elapsedMs() - this.bodyWaitMs;
  }

  begin({ status, contentType, bodyBytes, served }: AnswerHead): void {
    if (this.#gone) return;
    this.served = served;
    if (bodyBytes !== undefined) {
      this.#writeHead(status, ['content-type', contentType, 'content-length', String(bodyBytes)]);
      return;
    }
    const headers = ['content-type', contentType, 'cache-control', 'no-cache', 'x-accel-buffering', 'no'];
    this.#chunked = this.request.httpVersionMinor > 0;
    if (this.#chunked) headers.push('transfer-encoding', 'chunked');
    this.#writeHead(status, headers);
    // Node would frame each write in four pieces; we frame it in one.
    this.response.chunkedEncoding = false;
  }

  write(bytes: Buffer): boolean {
    if (this.#gone) return true;
    if (this.response.write(this.#chunked ? chunkOf(bytes) : bytes)) return true;
    this.#stallTimer = setTimeout(() => this.response.destroy(), this.#services.limits.clientStallMs);
    this.response.once('drain', () => {
      clearTimeout(this.#stallTimer);
      this.listener?.onDrain?.();
    });
    return false;
  }

  end(bytes: Buffer): void {
    if (this.#gone) return;
    this.response.end(this.#chunked ? lastChunk(bytes) : bytes);
  }

  breakOff(): void {
    this.response.destroy();
  }

  /** A whole answer of our own making. */
  answer(status: number, contentType: string, body: Buffer, extra: RawHeaders = []): void {
    if (this.#gone || this.begun) return;
    const lingers = this.#hasUnreadBody();
    if (lingers) this.#closes = true;
    this.#writeHead(status, ['content-type', contentType, 'content-length', String(body.length), ...extra]);
    if (lingers) this.#linger(body);
    else this.response.end(body);
  }

  answerJson(status: number, value: object, extra: RawHeaders = []): void {
    this.answer(status, 'application/json', Buffer.from(JSON.stringify(value)), extra);
  }

  /** Nothing but a status and headers. */
  answerEmpty(status: number, extra: RawHeaders): void {
    if (this.#gone || this.begun) return;
    this.#writeHead(status, [...extra]);
    this.response.end();
  }

  /** Stops whatever is going on for this request, because the instance has to stop. */
  interrupt(reason: SignalboxError): void {
    this.listener?.onStop(reason);
  }

  #writeHead(status: number, headers: string[]): void {
    this.status = status;
    this.firstByteMs = this.elapsedMs();
    headers.push('x-request-id', this.clientRequestId ?? this.requestId);
    if (this.clientRequestId !== undefined) headers.push('x-signalbox-request-id', this.requestId);
    if (this.served) {
      const { model, provider, route } = this.served;
      headers.push('x-signalbox-model', headerText(model), 'x-signalbox-provider', headerText(provider));
      if (route !== '') headers.push('x-signalbox-route', headerText(route));
    }
    if (this.attempts > 0) headers.push('x-signalbox-attempts', String(this.attempts));
    if (this.overheadMs !== undefined) {
      headers.push('x-signalbox-overhead-ms', String(Math.round(this.overheadMs * 1000) / 1000));
    }
    if (this.#closes || this.#services.draining()) headers.push('connection', 'close');
    this.response.writeHead(status, headers);
  }

  /** Whether more of the request is coming than we are willing to take in silence. */
  #hasUnreadBody(): boolean {
    if (this.request.complete) return false;
    if (this.error?.code === 'request_timeout') return true;
    const { 'content-length': declared = 0, 'transfer-encoding': coding } = this.request.headers;
    return coding !== undefined || Number(declared) > this.#services.limits.requestBodyBytesMax;
  }

  /** The answer goes out now, the connection closes when the client has stopped sending, or soon after. */
  #linger(body: Buffer): void {
    const { request, response } = this;
    response.write(body);
    const end = (): void => {
      clearTimeout(timer);
      response.end();
    };
    const timer = setTimeout(end, this.#services.limits.lingerMs);
    request.once('end', end);
    request.resume();
  }

  #closed(): void {
    clearTimeout(this.#stallTimer);
    if (!this.response.writableFinished) {
      this.#gone = true;
      if (!this.begun) this.status = CLIENT_CLOSED.kind.status;
      this.error ??= CLIENT_CLOSED;
      this.listener?.onStop(CLIENT_CLOSED);
    }
    this.#services.onClosed(this);
  }
}

/** A connection that breaks while we write is told by `close`; there is nothing to add. */
function ignore(): void {}

const CLIENT_CLOSED = new SignalboxError('client_closed', 'The client closed the connection.');
