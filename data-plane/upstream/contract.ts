// How the data plane calls an upstream. The caller describes one HTTP/1.1 exchange and is told what happens, in order:
// onHead, onData*, then exactly one of onEnd or onError. Implementations are synchronous up to the socket: no promise and
// no stream object per chunk. No callback comes before `dispatch` has returned.
import type { SignalboxError } from '#shared/errors.ts';
import type { MessageSocket } from './message-socket.ts';

export interface UpstreamRequest {
  readonly origin: Origin;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  /** Without host, content-length, transfer-encoding and connection: those belong to the client. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
  /** From the last request byte to the first answer byte. */
  readonly headTimeoutMs: number;
  /** Between two bytes of the answer. */
  readonly idleTimeoutMs: number;
}

/** Where to dial. Made once per provider, when a snapshot is compiled. */
export interface Origin {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Whether the name may resolve to a private or loopback address. Link-local and metadata addresses never are. */
  readonly allowPrivateNetwork: boolean;
  /**
   * This one address may be dialled whatever it is. For the few addresses at which a cloud hands a machine its own credentials:
   * constants of the program, and never anything that configuration or an answer says.
   */
  readonly metadataAddress?: string;
}

export interface UpstreamHandler {
  /** Names in lower case; values that came under one name several times are joined by commas. */
  onHead(status: number, headers: Readonly<Record<string, string | undefined>>): void;
  /** The bytes are the handler's to keep. */
  onData(chunk: Buffer): void;
  /** The answer arrived whole, as its framing says. */
  onEnd(): void;
  /** `upstream_unreachable`, `upstream_timeout`, `upstream_truncated`, `upstream_invalid` or `upstream_forbidden_address`. */
  onError(error: SignalboxError): void;
}

export interface UpstreamCall {
  /** Whether the request has begun to leave. While it is false, nothing can have been billed. */
  readonly requestSent: boolean;
  /** Gives the exchange up and closes its connection. No callback follows. */
  abort(): void;
  /**
   * Stops reading, so that a slow client slows the upstream instead of filling memory. What one read has already
   * brought (64 KiB at most) is still delivered. The idle time-out rests meanwhile.
   */
  pause(): void;
  resume(): void;
}

/** A request to turn a connection into a WebSocket. */
export interface UpgradeRequest {
  readonly origin: Origin;
  /** Path and query. */
  readonly path: string;
  /** Without those that belong to the handshake. */
  readonly headers: Readonly<Record<string, string>>;
  /** From the open connection to the answer. */
  readonly answerTimeoutMs: number;
  readonly messageBytesMax: number;
  /** Of a refusal, no more is read. */
  readonly refusalBytesMax: number;
}

export type UpgradeOutcome =
  | { readonly kind: 'opened'; readonly socket: MessageSocket }
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly headers: Readonly<Record<string, string | undefined>>;
      readonly body: Buffer;
    };

export interface UpstreamClient {
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
  /**
   * Over a connection of its own, dialled and checked as all are. Rejects with `upstream_unreachable`, `upstream_timeout`,
   * `upstream_invalid` or `upstream_forbidden_address`, or with the reason of the signal.
   */
  upgrade(request: UpgradeRequest, signal: AbortSignal): Promise<UpgradeOutcome>;
  /** Opens a connection and closes it again. Rejects with what keeps it from opening. */
  reach(origin: Origin): Promise<void>;
  /** Closes idle connections and refuses new exchanges; those under way are given up with `upstream_unreachable`. */
  close(): void;
}
