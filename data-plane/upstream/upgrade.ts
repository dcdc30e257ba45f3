// Opening a WebSocket to a provider. The connection is dialled as every other one is (the name resolved here, each address
// judged, TLS verified) and only then handed to the handshake, which resolves and dials nothing itself, follows no redirect and
// negotiates no compression.
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { SignalboxError } from '#shared/errors.ts';
import type { Origin, UpgradeOutcome, UpgradeRequest } from './contract.ts';
import { type DialOptions, dial } from './dial.ts';
import { MessageSocket } from './message-socket.ts';
import { requireSendable } from './request-head.ts';

export type UpgradeSettings = Pick<DialOptions, 'resolve' | 'certificateAuthorities' | 'connectTimeoutMs'>;

export async function openWebSocket(
  request: UpgradeRequest,
  { resolve, certificateAuthorities, connectTimeoutMs }: UpgradeSettings,
  signal: AbortSignal,
): Promise<UpgradeOutcome> {
  try {
    requireSendable(request.path, request.headers);
  } catch (cause) {
    const { message } = cause as Error;
    throw new SignalboxError('upstream_unreachable', `The request cannot be sent. ${message}`, { cause });
  }
  signal.throwIfAborted();
  const dialling = new AbortController();
  const callOff = (): void => dialling.abort();
  signal.addEventListener('abort', callOff);
  const { origin } = request;
  const options: DialOptions = {
    origin,
    resolve,
    certificateAuthorities,
    connectTimeoutMs,
    session: undefined,
    onSession: () => undefined,
    asStream: true,
  };
  try {
    const { socket } = await dial(options, dialling);
    return await shakeHands(request, socket, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', callOff);
  }
}

function shakeHands(
  request: UpgradeRequest,
  connection: Socket,
  signal: AbortSignal,
): Promise<UpgradeOutcome> {
  const { origin, path, headers, answerTimeoutMs, messageBytesMax, refusalBytesMax } = request;
  const { promise, resolve, reject } = Promise.withResolvers<UpgradeOutcome>();
  const socket = new WebSocket(`${origin.secure ? 'wss' : 'ws'}://${authorityOf(origin)}${path}`, {
    createConnection: () => connection,
    headers: { ...headers },
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    followRedirects: false,
  });
  const giveUp = (reason: unknown): void => {
    reject(reason);
    connection.destroy();
  };
  const onAbort = (): void => giveUp(signal.reason);
  const timer = setTimeout(() => giveUp(tooSlow(origin, answerTimeoutMs)), answerTimeoutMs);
  signal.addEventListener('abort', onAbort);
  socket.once('open', () => resolve({ kind: 'opened', socket: new MessageSocket(socket) }));
  socket.once('unexpected-response', (_request: ClientRequest, response: IncomingMessage) => {
    readRefusal(response, refusalBytesMax, (outcome) => {
      resolve(outcome);
      connection.destroy();
    });
  });
  // Stays for the life of the socket; after the handshake the message socket tells what went wrong.
  socket.on('error', (cause: NodeJS.ErrnoException) => reject(noHandshake(origin, cause)));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  });
}

/** The status says what happened, however much of the body arrives. */
function readRefusal(
  response: IncomingMessage,
  bytesMax: number,
  done: (outcome: UpgradeOutcome) => void,
): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  const finish = (): void => {
    const { statusCode = 0, headers } = response;
    const plain = Object.entries(headers).map(([name, value]) => [name, value?.toString()]);
    done({
      kind: 'refused',
      status: statusCode,
      headers: Object.fromEntries(plain) as Record<string, string | undefined>,
      body: Buffer.concat(parts),
    });
  };
  response.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes <= bytesMax) parts.push(part);
    else finish();
  });
  response.on('end', finish);
  response.on('error', finish);
  response.on('close', finish);
}

function authorityOf({ host, port }: Origin): string {
  return `${host.includes(':') ? `[${host}]` : host.replace(/\.$/, '')}:${port}`;
}

function tooSlow({ host, port }: Origin, answerTimeoutMs: number): SignalboxError {
  return new SignalboxError(
    'upstream_timeout',
    `${host}:${port} did not answer the request for a WebSocket within ${answerTimeoutMs} ms.`,
  );
}

function noHandshake({ host, port }: Origin, cause: NodeJS.ErrnoException): SignalboxError {
  return new SignalboxError(
    'upstream_unreachable',
    `${host}:${port} did not complete the WebSocket handshake (${cause.code ?? cause.message}).`,
    { cause },
  );
}
