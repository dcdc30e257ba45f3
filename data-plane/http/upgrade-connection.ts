// A connection whose client wants to use it for something else than HTTP. Until that is granted it is answered like any
// request, errors included; and it is read meanwhile, because only who reads notices that the other side has left.
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { limits } from '#shared/limits.ts';

export class UpgradeConnection {
  readonly socket: Socket;
  #early: Buffer[];
  #earlyBytes: number;

  /** `head`: what came with the request's head. */
  constructor(socket: Socket, head: Buffer) {
    this.socket = socket;
    this.#early = [head];
    this.#earlyBytes = head.length;
    socket.on('error', this.#leave);
    socket.on('end', this.#leave);
    socket.on('data', this.#keep);
  }

  /** Gives the connection away, with what has been read of it. */
  take(): Buffer {
    this.socket.off('data', this.#keep);
    this.socket.off('end', this.#leave);
    const early = Buffer.concat(this.#early);
    this.#early = [];
    return early;
  }

  readonly #leave = (): void => void this.socket.destroy();

  /** A client has nothing to say before it is let in; a little haste is forgiven. */
  readonly #keep = (bytes: Buffer): void => {
    this.#early.push(bytes);
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes > limits.requestHeaderBytesMax) this.socket.destroy();
  };
}

/** For a request that node:http has let go of; the connection ends with its answer. */
export function responseOver(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.on('finish', () => socket.end());
  return response;
}
