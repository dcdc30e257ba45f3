// How the data plane calls an upstream. The caller describes one HTTP/1.1 exchange and is told what happens, in order:
// onHead, onData*, then exactly one of onEnd or onError. Implementations are synchronous up to the socket: no promise and
// no stream object per chunk. No callback comes before `dispatch` has returned.
import type { SignalboxError } from '#shared/errors.ts';

export interface UpstreamRequest {
  readonly origin: Origin;
  readonly method: 'GET' | 'POST' | 'DELETE';
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

export interface UpstreamClient {
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
  /** Closes idle connections and refuses new exchanges; those under way are given up with `upstream_unreachable`. */
  close(): void;
}
