// A WebSocket as both ends of a relay see it: messages come in only while somebody takes them, sending says when the other
// side is slow, and the end is told once. It reads nothing until there is a listener, so that no message is lost between the
// handshake and the moment when somebody cares.
import { WebSocket } from 'ws';

export interface MessageListener {
  /** Text is valid UTF-8. The bytes are the listener's to keep. */
  onMessage(bytes: Buffer, isBinary: boolean): void;
  /** What was waiting has gone out, after `send` had returned false. */
  onDrain(): void;
  /** The peer has answered a ping. */
  onPong(): void;
  /** Exactly once; nothing follows. */
  onClose(closing: Closing): void;
}

export interface ReceivedMessage {
  readonly bytes: Buffer;
  readonly isBinary: boolean;
}

export interface Closing {
  /** As RFC 6455 has it; 1006 when the connection ended without a word. */
  readonly code: number;
  readonly reason: string;
  /** What the peer sent that it must not send. */
  readonly fault: 'too-large' | 'protocol' | undefined;
}

/** Above this a sender is told to wait … */
const HIGH_WATER_BYTES = 1024 * 1024;
/** … until no more than this is left. */
const LOW_WATER_BYTES = 256 * 1024;
/** A reason that does not fit into a control frame could not be sent at all. */
const REASON_BYTES_MAX = 123;

export class MessageSocket {
  readonly #socket: WebSocket;
  #listener: MessageListener | undefined;
  /** Nobody takes messages at the moment. One read may hold several, so those behind the last one taken wait here. */
  #paused = true;
  readonly #held: ReceivedMessage[] = [];
  /** We have said goodbye; what still comes is for nobody. */
  #leaving = false;
  #full = false;
  #fault: Closing['fault'];
  #closing: Closing | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.pause();
    socket.on('message', (data, isBinary) => {
      if (this.#leaving) return;
      this.#held.push({ bytes: data as Buffer, isBinary });
      this.#deliver();
    });
    socket.on('pong', () => this.#listener?.onPong());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('WS_ERR_'))
        this.#fault ??= error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'too-large' : 'protocol';
    });
    socket.on('close', (code, reason) => {
      this.#closing = { code, reason: reason.toString('utf8'), fault: this.#fault };
      this.#deliver();
    });
  }

  /** Messages come from now on, to this listener instead of an earlier one. */
  listen(listener: MessageListener): void {
    this.#listener = listener;
    this.resume();
  }

  /** False when the peer is slow: send no more until `onDrain`. What is sent after the end is dropped. */
  send(message: Buffer | string, isBinary = false): boolean {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return true;
    socket.send(message, { binary: isBinary }, () => this.#sent());
    if (socket.bufferedAmount > HIGH_WATER_BYTES) this.#full = true;
    return !this.#full;
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
    if (!this.#paused) this.#socket.resume();
  }

  /** Begins the closing handshake; reading goes on, so that the peer's half of it is heard. */
  close(code: number, reason: string): void {
    this.#leaving = true;
    this.#held.length = 0;
    this.#socket.close(code, shortened(reason));
    this.resume();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #deliver(): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    while (!this.#paused && this.#held.length > 0) {
      const { bytes, isBinary } = this.#held.shift()!;
      listener.onMessage(bytes, isBinary);
    }
    if (this.#paused || this.#closing === undefined || this.#held.length > 0) return;
    this.#listener = undefined;
    listener.onClose(this.#closing);
  }

  #sent(): void {
    if (!this.#full || this.#socket.bufferedAmount > LOW_WATER_BYTES) return;
    this.#full = false;
    this.#listener?.onDrain();
  }
}

function shortened(reason: string): string {
  let text = reason;
  while (Buffer.byteLength(text) > REASON_BYTES_MAX) text = text.slice(0, -1);
  return text;
}
