// Answers for bytes that never became a request: headers too large or too late, or no HTTP at all. There is no exchange
// yet, so the answer is written by hand; its body has the same shape as every other error. What was asked on the same
// connection before is answered first, because a client tells answers apart by their order alone.
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { openaiChat } from '../dialects/openai-chat/index.ts';

interface Row {
  readonly code: ErrorCode;
  readonly message: string;
}

const rows: Readonly<Record<string, Row>> = {
  HPE_HEADER_OVERFLOW: {
    code: 'headers_too_large',
    message: 'The request headers are larger than this server accepts. Send fewer or shorter headers.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    code: 'request_timeout',
    message: 'The request did not arrive in time. Send it again over a better connection.',
  },
};
const malformed: Row = {
  code: 'invalid_request',
  message: 'This is not a valid HTTP/1.1 request. Check what the client or the proxy in between sends.',
};

/** What node:http keeps with a socket: the answer that is being written to it. */
type UsedSocket = Duplex & { readonly _httpMessage?: ServerResponse | null };

export class BrokenRequests {
  readonly #lingerMs: number;
  /** A connection breaks once; whatever else comes on it is no news. */
  readonly #broken = new WeakSet<Duplex>();

  constructor({ lingerMs }: { readonly lingerMs: number }) {
    this.#lingerMs = lingerMs;
  }

  answer(cause: Error & { readonly code?: string }, socket: UsedSocket): void {
    if (this.#broken.has(socket)) {
      // Whoever has left does not wait for what was asked before.
      if (socket.readableEnded) socket.destroy();
      return;
    }
    this.#broken.add(socket);
    this.#inTurn(rows[cause.code ?? ''] ?? malformed, cause, socket);
  }

  #inTurn(row: Row, cause: Error & { readonly code?: string }, socket: UsedSocket): void {
    const current = socket._httpMessage;
    const isOver = cause.code === 'ECONNRESET' || !socket.writable;
    // An earlier request goes first. Into an answer to the broken one that is under way, nothing may be mixed.
    if (!isOver && current?.req.complete === true) {
      current.once('close', () => setImmediate(() => this.#inTurn(row, cause, socket)));
    } else if (isOver) socket.destroy();
    else if (current?.headersSent === true) this.#end(socket, '');
    else this.#end(socket, answerOf(row));
  }

  /** Reading goes on for a moment, because a client that is cut off while it sends never sees why. */
  #end(socket: Duplex, last: string): void {
    socket.end(last);
    const timer = setTimeout(() => socket.destroy(), this.#lingerMs);
    socket.once('close', () => clearTimeout(timer));
  }
}

function answerOf({ code, message }: Row): string {
  const error = new SignalboxError(code, message);
  const body = JSON.stringify(openaiChat.renderError(error));
  const { status } = error.kind;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
