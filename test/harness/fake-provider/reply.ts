// Plays one answer onto a socket, step by step: bytes, pauses, and the several ways of not ending well. Steps that follow
// each other without a pause go out in one write, so that a healthy answer costs one system call; a client that reads
// slowly stops the play until the socket drains.
import type { Socket } from 'node:net';
import type { Answer, ChatRequest, WireFormat } from './answers.ts';
import type { Behaviour } from './behaviour.ts';
import type { ServiceAnswer } from './service-answers-wire.ts';

export type Step =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly tokens: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'end'; readonly how: Ending };

/** `keep` and `close` are proper ends; `cut` and `stall` are not. */
export type Ending = 'keep' | 'close' | 'cut' | 'stall';

const WRITE_BYTES = 64 * 1024;
const HEX = 16;

const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  429: 'Too Many Requests',
};

const bytes = (text: string | Buffer, tokens = 0): Step => ({
  kind: 'bytes',
  bytes: typeof text === 'string' ? Buffer.from(text) : text,
  tokens,
});
const wait = (ms: number): Step => ({ kind: 'wait', ms });
const end = (how: Ending): Step => ({ kind: 'end', how });

function head(status: number, behaviour: Behaviour, headers: Readonly<Record<string, string>>): string {
  const closing = behaviour.framing === 'close' || behaviour.closeAfter === 'announce';
  const lines = Object.entries({ ...headers, connection: closing ? 'close' : 'keep-alive' });
  return `HTTP/1.1 ${status} ${reasons[status] ?? 'Status'}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

function properEnd(behaviour: Behaviour): Step {
  return end(behaviour.framing === 'close' || behaviour.closeAfter !== 'never' ? 'close' : 'keep');
}

/** An answer whose body is known whole. */
export function* wholeSteps(
  status: number,
  body: string,
  behaviour: Behaviour,
  {
    type = 'application/json',
    tokens = 0,
    headers = {},
  }: {
    readonly type?: string;
    readonly tokens?: number;
    readonly headers?: Readonly<Record<string, string>> | undefined;
  } = {},
): Generator<Step> {
  if (behaviour.headDelayMs > 0) yield wait(behaviour.headDelayMs);
  const length = behaviour.framing === 'length' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
  yield bytes(head(status, behaviour, { 'content-type': type, ...length, ...headers }) + body, tokens);
  yield properEnd(behaviour);
}

export function errorSteps(
  wire: WireFormat,
  status: number,
  behaviour: Behaviour,
  message?: string,
): Generator<Step> {
  const retry = behaviour.retryAfterSeconds;
  const headers: Record<string, string> = {
    ...wire.errorHeaders?.(status),
    ...(retry === undefined ? {} : { 'retry-after': String(retry) }),
  };
  return wholeSteps(status, JSON.stringify(wire.errorBody(status, message)), behaviour, { headers });
}

/** The answer of a service: a whole body, or pieces of which some may be missing. */
export function* serviceSteps(answer: ServiceAnswer, behaviour: Behaviour): Generator<Step> {
  if (behaviour.headNever) return yield end('stall');
  const { type, headers, body, completionTokens: tokens } = answer;
  if (behaviour.nonsense !== undefined) return yield* wholeSteps(200, '<!doctype html>', behaviour, { type });
  if (Buffer.isBuffer(body))
    return yield* wholeSteps(200, body.toString(), behaviour, { type, tokens, headers });
  if (behaviour.headDelayMs > 0) yield wait(behaviour.headDelayMs);
  yield bytes(head(200, behaviour, { 'content-type': type, 'transfer-encoding': 'chunked' }));
  for (const [index, piece] of body.entries()) {
    const broken = brokenAt(index, behaviour);
    if (broken !== undefined) return yield broken;
    if (behaviour.pauseMs > 0 && index > 0) yield wait(behaviour.pauseMs);
    const size = Buffer.from(`${piece.length.toString(HEX)}\r\n`);
    yield bytes(Buffer.concat([size, piece, Buffer.from('\r\n')]), index === 0 ? tokens : 0);
  }
  yield bytes('0\r\n\r\n');
  yield properEnd(behaviour);
}

export function* answerSteps(
  wire: WireFormat,
  answer: Answer,
  request: ChatRequest,
  behaviour: Behaviour,
): Generator<Step> {
  if (behaviour.headNever) return yield end('stall');
  if (behaviour.nonsense === 'page') {
    return yield* wholeSteps(200, '<!doctype html><title>Welcome</title>', behaviour, { type: 'text/html' });
  }
  if (request.streamed) return yield* streamSteps(wire, answer, request, behaviour);
  const tokens = answer.usage.completion_tokens;
  const body =
    behaviour.nonsense === 'garbage' ? '{"id": "chatcmpl-\u0007' : wire.wholeBody(answer, behaviour);
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  if (behaviour.stallAfterChunks === undefined && behaviour.cutAfterChunks === undefined) {
    return yield* wholeSteps(200, text, behaviour, { tokens });
  }
  yield* brokenWholeSteps(text, tokens, behaviour);
}

/** A whole body has no chunks to count; half of it goes out before the stall or the cut. */
function* brokenWholeSteps(text: string, tokens: number, behaviour: Behaviour): Generator<Step> {
  if (behaviour.headDelayMs > 0) yield wait(behaviour.headDelayMs);
  const length = String(Buffer.byteLength(text));
  const opening = head(200, behaviour, { 'content-type': 'application/json', 'content-length': length });
  yield bytes(opening + text.slice(0, text.length / 2), tokens);
  yield end(behaviour.cutAfterChunks === undefined ? 'stall' : 'cut');
}

function* streamSteps(
  wire: WireFormat,
  answer: Answer,
  request: ChatRequest,
  behaviour: Behaviour,
): Generator<Step> {
  const chunked = behaviour.framing === 'length';
  const framed = (content: string | Buffer, tokens = 0): Step => {
    if (!chunked) return bytes(content, tokens);
    const size = Buffer.from(`${Buffer.byteLength(content).toString(HEX)}\r\n`);
    return bytes(Buffer.concat([size, Buffer.from(content), Buffer.from('\r\n')]), tokens);
  };
  const line = behaviour.lineEnd;
  const event = (payload: object | string, tokens = 0): Step => {
    if (wire.framing) return framed(wire.framing.write(payload), tokens);
    const data = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const name = typeof payload === 'string' ? undefined : wire.eventName(payload);
    return framed(`${name === undefined ? '' : `event: ${name}${line}`}data: ${data}${line}${line}`, tokens);
  };
  const transfer: Record<string, string> = chunked ? { 'transfer-encoding': 'chunked' } : {};
  const { opening, content, closing } = wire.streamEvents(answer, request, behaviour);

  if (behaviour.headDelayMs > 0) yield wait(behaviour.headDelayMs);
  const type = wire.framing?.contentType ?? 'text/event-stream; charset=utf-8';
  yield bytes(head(200, behaviour, { 'content-type': type, ...transfer }));
  for (const payload of opening) yield event(payload);
  for (const [index, piece] of answer.pieces.entries()) {
    const broken = brokenAt(index, behaviour);
    if (broken !== undefined) return yield broken;
    if (behaviour.errorInStreamAfterChunks === index)
      return yield* errorInStream(wire, { event, framed }, answer, behaviour);
    if (behaviour.pauseMs > 0 && index > 0) yield wait(behaviour.pauseMs);
    const isGarbage = behaviour.nonsense === 'garbage' && index >= behaviour.garbageAfterChunks;
    if (isGarbage) yield event(`{"id": ${index}, \u0007`, 1);
    else for (const { payload, tokens } of content(piece)) yield event(payload, tokens);
  }
  const broken = brokenAt(answer.pieces.length, behaviour);
  if (broken !== undefined) return yield broken;
  for (const payload of closing) yield event(payload);
  if (behaviour.doneMarker) yield event(endMarkOf(wire, answer));
  if (chunked) yield bytes('0\r\n\r\n');
  yield properEnd(behaviour);
}

function endMarkOf({ endMark }: WireFormat, answer: Answer): object | string {
  return typeof endMark === 'function' ? endMark(answer) : endMark;
}

function brokenAt(chunk: number, behaviour: Behaviour): Step | undefined {
  if (behaviour.stallAfterChunks === chunk) return end('stall');
  if (behaviour.cutAfterChunks === chunk) return end('cut');
  return undefined;
}

interface StreamWriting {
  event(payload: object | string): Step;
  framed(content: Buffer): Step;
}

function* errorInStream(
  wire: WireFormat,
  { event, framed }: StreamWriting,
  answer: Answer,
  behaviour: Behaviour,
): Generator<Step> {
  const message = 'The model crashed in the middle of the answer.';
  yield wire.framing ? framed(wire.framing.writeError(message)) : event(wire.errorBody(500, message));
  if (behaviour.doneMarker) yield event(endMarkOf(wire, answer));
  if (behaviour.framing === 'length') yield bytes('0\r\n\r\n');
  yield properEnd(behaviour);
}

function* cutAt(steps: Iterable<Step>, byteCount: number): Generator<Step> {
  let left = byteCount;
  for (const step of steps) {
    if (step.kind === 'bytes' && step.bytes.length > left) {
      if (left > 0) yield { kind: 'bytes', bytes: step.bytes.subarray(0, left), tokens: 0 };
      return yield end('cut');
    }
    if (step.kind === 'bytes') left -= step.bytes.length;
    yield step;
  }
}

export interface ReplyObserver {
  onSent(byteCount: number, tokens: number): void;
  onEnd(how: Ending): void;
  /** The client left before the end. */
  onAbort(): void;
}

/** One play. `stop` is called when the connection is gone. */
export class Reply {
  readonly #socket: Socket;
  readonly #steps: Iterator<Step>;
  readonly #observer: ReplyObserver;
  readonly #oneByteWrites: boolean;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #ended = false;

  constructor(
    socket: Socket,
    steps: Iterable<Step> & Iterator<Step>,
    behaviour: Behaviour,
    observer: ReplyObserver,
  ) {
    this.#socket = socket;
    this.#steps = behaviour.cutAtByte === undefined ? steps : cutAt(steps, behaviour.cutAtByte);
    this.#observer = observer;
    this.#oneByteWrites = behaviour.oneByteWrites;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    if (!this.#ended) this.#observer.onAbort();
  }

  play = (): void => {
    while (!this.#stopped) {
      const gathered: Buffer[] = [];
      let size = 0;
      let tokens = 0;
      let next: Step | undefined;
      while (size < WRITE_BYTES) {
        next = this.#steps.next().value as Step;
        if (next.kind !== 'bytes') break;
        gathered.push(next.bytes);
        size += next.bytes.length;
        tokens += next.tokens;
        if (this.#oneByteWrites) break;
      }
      const flowing = size === 0 || this.#send(gathered, size, tokens);
      if (next!.kind === 'end') {
        this.#ended = next!.how !== 'stall';
        this.#observer.onEnd(next!.how);
        return;
      }
      if (next!.kind === 'wait') {
        this.#timer = setTimeout(this.play, next!.ms);
        return;
      }
      if (!flowing) {
        this.#socket.once('drain', this.play);
        return;
      }
      if (this.#oneByteWrites) return;
    }
  };

  #send(gathered: readonly Buffer[], size: number, tokens: number): boolean {
    const whole = gathered.length === 1 ? gathered[0]! : Buffer.concat(gathered, size);
    this.#observer.onSent(size, tokens);
    if (!this.#oneByteWrites) return this.#socket.write(whole);
    this.#dribble(whole, 0);
    return true;
  }

  #dribble(whole: Buffer, at: number): void {
    if (this.#stopped) return;
    if (at < whole.length) {
      this.#socket.write(whole.subarray(at, at + 1));
      setImmediate(() => this.#dribble(whole, at + 1));
    } else this.play();
  }
}
