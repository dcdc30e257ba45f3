// Answers for bytes that never became a request: headers too large or too late, or no HTTP at all. There is no exchange
// yet, so the answer is written by hand; its body has the same shape as every other error.
import { STATUS_CODES } from 'node:http';
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

export function answerBrokenRequest(cause: Error & { code?: string }, socket: Duplex): void {
  // Nobody is there any more, or an answer is under way into which nothing may be mixed.
  if (cause.code === 'ECONNRESET' || !socket.writable || hasAnswer(socket)) {
    socket.destroy();
    return;
  }
  const { code, message } = rows[cause.code ?? ''] ?? malformed;
  const error = new SignalboxError(code, message);
  const body = JSON.stringify(openaiChat.renderError(error));
  const { status } = error.kind;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** node:http keeps the response that a socket is being used for under this name. */
function hasAnswer(socket: Duplex & { _httpMessage?: { headersSent: boolean } | null }): boolean {
  return socket._httpMessage?.headersSent === true;
}
