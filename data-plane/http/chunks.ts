// The chunked transfer coding, written as one buffer per write. Node's own framing makes four writes of each chunk, which
// is most of what a streamed token costs.
const LINE = '\r\n';
const LINE_BYTES = LINE.length;
const END = '0\r\n\r\n';
/** Up to eight hexadecimal digits. */
const SIZE_BYTES_MAX = 8;

export function chunkOf(bytes: Buffer): Buffer {
  return framed(bytes, '');
}

/** The last chunk, if there is anything left to say, and the end of the body. */
export function lastChunk(bytes: Buffer): Buffer {
  return bytes.length === 0 ? Buffer.from(END) : framed(bytes, END);
}

function framed(bytes: Buffer, after: string): Buffer {
  const frame = Buffer.allocUnsafe(SIZE_BYTES_MAX + 2 * LINE_BYTES + bytes.length + after.length);
  let at = frame.write(bytes.length.toString(16) + LINE, 0, 'latin1');
  at += bytes.copy(frame, at);
  at += frame.write(LINE + after, at, 'latin1');
  return frame.subarray(0, at);
}
