// How the data plane calls an upstream. The caller describes one HTTP/1.1 exchange and is told what happens, in order:
// onHead, onData*, then exactly one of onEnd or onError. Implementations are synchronous up to the socket: no promise and
// no stream object per chunk.
import type { SignalboxError } from '#shared/errors.ts';

export interface UpstreamRequest {
  readonly origin: Origin;
  readonly method: 'GET' | 'POST';
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
  /** Whether the name may resolve to a private, loopback or link-local address. */
  readonly allowPrivateNetwork: boolean;
}

export interface UpstreamHandler {
  onHead(status: number, headers: Readonly<Record<string, string | undefined>>): void;
  onData(chunk: Buffer): void;
  /** The answer arrived whole, as its framing says. */
  onEnd(): void;
  /** `upstream_unreachable`, `upstream_timeout`, `upstream_truncated`, `upstream_invalid` or `upstream_forbidden_address`. */
  onError(error: SignalboxError): void;
}

export interface UpstreamCall {
  /** Gives the exchange up and closes its connection. No callback follows. */
  abort(): void;
  /** Stops reading, so that a slow client slows the upstream instead of filling memory. */
  pause(): void;
  resume(): void;
}

export interface UpstreamClient {
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
  close(): void;
}
