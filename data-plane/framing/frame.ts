// A frame is one message of a stream, freed from how the wire delimits it (server-sent events, AWS event stream, …).
// Dialects read and write frames and never see the bytes around them.

export interface Frame {
  /** The event name, where the wire has one. */
  readonly event?: string;
  readonly data: string;
  /** Set when the stream ended before the mark that closes a frame: the data may be cut short. */
  readonly unterminated?: true;
}

/** Bytes in, frames out, however the bytes are cut. Throws `upstream_invalid` when a frame grows beyond its limit. */
export interface FrameReader {
  push(bytes: Uint8Array): Frame[];
  /** What was left when the stream ended. A final event without its blank line still counts. */
  end(): Frame[];
}

export interface Framing {
  readonly name: 'sse' | 'aws-event-stream';
  readonly mediaType: string;
  reader(): FrameReader;
}

/** A framing in which clients are answered. */
export interface ClientFraming extends Framing {
  /** The media type with its parameters. */
  readonly contentType: string;
  write(frames: readonly Frame[]): Buffer;
}
