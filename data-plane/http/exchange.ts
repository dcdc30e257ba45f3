// One request and its answer on a client's connection: the client's end of everything. It knows HTTP and nothing of
// models: how an answer is framed, which headers it carries, that nobody is written to who has left, and that a client
// that reads slowly is waited for, but not for ever.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { uuidV7 } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { AnswerHead, AnswerListener, ClientAnswer, Served } from '../attempt/relay.ts';
import { Trail } from '../attempt/trail.ts';
import type { ClientDialectName } from '../dialects/dialect.ts';
import { chunkOf, lastChunk } from './chunks.ts';
import { type Coding, encodeBody, representationFor } from './compress.ts';
import { type CorsPolicy, corsAnswer } from './cors.ts';
import { headerList, headerText, saneRequestId } from './headers.ts';
import type { UpgradeConnection } from './upgrade-connection.ts';

export interface ExchangeServices {
  readonly clock: Clock;
  readonly limits: ExchangeLimits;
  /** Whether this instance is stopping: then connections are not kept. */
  readonly draining: () => boolean;
  readonly cors: CorsPolicy | undefined;
  readonly onClosed: (exchange: Exchange) => void;
  /** The time that the request was given has passed. */
  readonly onLate: (exchange: Exchange, reason: SignalboxError) => void;
}

export interface ExchangeLimits {
  readonly clientStallMs: number;
  readonly lingerMs: number;
  readonly requestBodyBytesMax: number;
}

/** Names and values in turn, as node:http takes them without copying. */
export type RawHeaders = readonly string[];

/** A whole answer that goes out coded: its length is known when it has been. */
interface CodedAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly coding: Coding;
  readonly parts: Buffer[];
}

export class Exchange implements ClientAnswer {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly requestId: string;
  /** The client's own id for this request: repeated and logged, never used to tell requests apart. */
  readonly clientRequestId: string | undefined;
  readonly startedMs: number;
  listener: AnswerListener | undefined;
  /** Called when the request itself goes out, the first time. */
  onCalled: (() => void) | undefined;
  /** Set where the client wants to use the connection for something else than HTTP. */
  connection: UpgradeConnection | undefined;
  /** What the log and the metrics say about it. */
  operation = 'unknown';
  /** In whose words errors are told. */
  dialect: ClientDialectName = 'openai-chat';
  keyId = '';
  /** How urgent it is where it has to wait for a place; 0 is the most urgent. */
  queuePriority: number = limits.queuePriorityDefault;
  requestedModel = '';
  attempts = 0;
  readonly trail = new Trail();
  /** Whether the client asked to be told it. */
  wantsTrail = false;
  served: Served | undefined;
  /** What the provider was not asked for, although the client had, by the client's names. */
  dropped: readonly string[] = [];
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
  /** Whether the client holds its body back until it is asked for it. */
  #awaitsContinue: boolean;
  /** Set from the moment when an answer is decided that goes out coded. */
  #coded: CodedAnswer | undefined;
  /** Whether caches must tell answers apart by the codings that clients accept. */
  #variesByCoding = false;
  /** The connection has become something else; whoever has it tells how that ended. */
  #switched = false;
  #stopReason: SignalboxError | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(services: ExchangeServices, path: string, request: IncomingMessage, response: ServerResponse) {
    this.#services = services;
    this.request = request;
    this.response = response;
    this.startedMs = services.clock.monotonicMs();
    this.path = path;
    this.requestId = uuidV7(services.clock.wallMs());
    this.clientRequestId = saneRequestId(request.headers['x-request-id']);
    this.#awaitsContinue = request.headers.expect !== undefined && request.httpVersionMinor > 0;
    response.on('close', () => this.#closed());
    response.on('error', ignore);
  }

  get begun(): boolean {
    return this.response.headersSent || this.#coded !== undefined || this.#switched;
  }

  /** Whether the client has left before its answer was complete. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Why nothing more is to be done for this request, once something has stopped it. */
  get stopReason(): SignalboxError | undefined {
    return this.#stopReason;
  }

  elapsedMs(): number {
    return this.#services.clock.monotonicMs() - this.startedMs;
  }

  /** Asks a client for its body that waits to be asked. */
  inviteBody(): void {
    if (this.#awaitsContinue) this.response.writeContinue();
    this.#awaitsContinue = false;
  }

  /** Lets nothing follow on this connection: what has come on it cannot be trusted to be understood alike by everybody. */
  closeConnection(): void {
    this.#closes = true;
  }

  /** Ends the request so long after its arrival, whatever is going on for it then. */
  limitTime(timeoutMs: number): void {
    const leftMs = timeoutMs - this.elapsedMs();
    if (leftMs <= 0) throw deadlineExceeded(timeoutMs);
    const { onLate } = this.#services;
    this.#deadlineTimer = setTimeout(() => onLate(this, deadlineExceeded(timeoutMs)), leftMs);
  }

  upstreamCalled(): void {
    if (this.overheadMs !== undefined) return;
    this.overheadMs = this.elapsedMs() - this.bodyWaitMs;
    this.onCalled?.();
  }

  begin({ status, contentType, bodyBytes, served }: AnswerHead): void {
    if (this.#gone) return;
    this.served = served;
    if (bodyBytes !== undefined) {
      const headers = ['content-type', contentType];
      this.#coded = this.#codedAnswer(status, contentType, bodyBytes, headers);
      if (!this.#coded) this.#writeHead(status, [...headers, 'content-length', String(bodyBytes)]);
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
    if (this.#coded) {
      this.#coded.parts.push(bytes);
      return true;
    }
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
    if (this.#coded) {
      this.#coded.parts.push(bytes);
      void this.#sendCoded(this.#coded);
    } else this.response.end(this.#chunked ? lastChunk(bytes) : bytes);
  }

  breakOff(): void {
    this.response.destroy();
  }

  /** A whole answer of our own making. */
  answer(status: number, contentType: string, body: Buffer, extra: RawHeaders = []): void {
    if (this.#gone || this.begun) return;
    const lingers = this.#hasUnreadBody();
    if (lingers) this.#closes = true;
    const headers = ['content-type', contentType, ...extra];
    this.#coded = lingers ? undefined : this.#codedAnswer(status, contentType, body.length, headers);
    if (this.#coded) {
      this.end(body);
      return;
    }
    this.#writeHead(status, [...headers, 'content-length', String(body.length)]);
    if (lingers) this.#linger(body);
    else this.response.end(body);
  }

  answerJson(status: number, value: object, extra: RawHeaders = []): void {
    this.answer(status, 'application/json', Buffer.from(JSON.stringify(value)), extra);
  }

  /** The answer is 101 and the connection is another's from here on. Returns the headers that go with it. */
  switchProtocols(): RawHeaders {
    this.#switched = true;
    this.status = SWITCHING_PROTOCOLS;
    this.firstByteMs = this.elapsedMs();
    const headers: string[] = [];
    this.#addOwnHeaders(headers);
    return headers;
  }

  /** Nothing but a status and headers. */
  answerEmpty(status: number, extra: RawHeaders): void {
    if (this.#gone || this.begun) return;
    this.#writeHead(status, [...extra]);
    this.response.end();
  }

  /** Stops whatever is going on for this request: the client left, the instance has to stop, or the time is up. */
  interrupt(reason: SignalboxError): void {
    this.#stopReason ??= reason;
    this.listener?.onStop(reason);
  }

  #codedAnswer(
    status: number,
    contentType: string,
    bodyBytes: number,
    headers: readonly string[],
  ): CodedAnswer | undefined {
    const accepted = this.request.headers['accept-encoding'];
    const { coding, varies } = representationFor(
      typeof accepted === 'string' ? accepted : undefined,
      contentType,
      bodyBytes,
    );
    this.#variesByCoding = varies;
    return coding && { status, headers, coding, parts: [] };
  }

  async #sendCoded({ status, headers, coding, parts }: CodedAnswer): Promise<void> {
    try {
      const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      const encoded = await encodeBody(body, coding);
      if (this.#gone) return;
      this.#writeHead(status, [
        ...headers,
        'content-encoding',
        coding,
        'content-length',
        String(encoded.length),
      ]);
      this.response.end(encoded);
    } catch (thrown) {
      this.error ??= SignalboxError.from(thrown);
      this.response.destroy();
    }
  }

  #writeHead(status: number, headers: string[]): void {
    this.status = status;
    this.firstByteMs = this.elapsedMs();
    this.#addOwnHeaders(headers);
    this.#addVariance(headers);
    if (this.#closes || this.#services.draining()) headers.push('connection', 'close');
    this.response.writeHead(status, headers);
  }

  #addOwnHeaders(headers: string[]): void {
    headers.push('x-request-id', this.clientRequestId ?? this.requestId);
    if (this.clientRequestId !== undefined) headers.push('x-signalbox-request-id', this.requestId);
    if (this.served) {
      const { model, provider, route } = this.served;
      if (model !== '') headers.push('x-signalbox-model', headerText(model));
      headers.push('x-signalbox-provider', headerText(provider));
      if (route !== '') headers.push('x-signalbox-route', headerText(route));
    }
    if (this.attempts > 0) headers.push('x-signalbox-attempts', String(this.attempts));
    if (this.overheadMs !== undefined) {
      headers.push('x-signalbox-overhead-ms', String(Math.round(this.overheadMs * 1000) / 1000));
    }
    if (this.dropped.length > 0) headers.push('x-signalbox-dropped', headerList(this.dropped));
    if (this.wantsTrail && this.trail.length > 0) {
      headers.push('x-signalbox-trail', this.trail.text(limits.trailHeaderBytesMax));
    }
  }

  #addVariance(headers: string[]): void {
    const { cors } = this.#services;
    const answer = cors && corsAnswer(cors, this.request.headers.origin);
    if (answer) headers.push(...answer.headers);
    const varies = [
      ...(this.#variesByCoding ? ['accept-encoding'] : []),
      ...(answer?.varies === true ? ['origin'] : []),
    ];
    if (varies.length > 0) headers.push('vary', varies.join(', '));
  }

  /** Whether more of the request is coming than we are willing to take in silence. */
  #hasUnreadBody(): boolean {
    if (this.request.complete) return false;
    // Whoever was not asked for its body may send it all the same, or not; only the end of the connection is clear.
    if (this.#closes || this.#awaitsContinue || this.error?.code === 'request_timeout') return true;
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
    clearTimeout(this.#deadlineTimer);
    if (!this.response.writableFinished && !this.#switched) {
      this.#gone = true;
      if (!this.response.headersSent) this.status = CLIENT_CLOSED.kind.status;
      this.error ??= CLIENT_CLOSED;
      this.interrupt(CLIENT_CLOSED);
    }
    this.#services.onClosed(this);
  }
}

const SWITCHING_PROTOCOLS = 101;

/** A connection that breaks while we write is told by `close`; there is nothing to add. */
function ignore(): void {}

function deadlineExceeded(timeoutMs: number): SignalboxError {
  return new SignalboxError(
    'deadline_exceeded',
    `The request was given ${timeoutMs} ms, which have passed. Give it more time, or ask a faster model.`,
  );
}

const CLIENT_CLOSED = new SignalboxError('client_closed', 'The client closed the connection.');
