// AWS event streams: binary messages with a length, headers of several types, a payload, and two checksums.
//
//   total length (4) | headers length (4) | CRC of these eight (4) | headers | payload | CRC of all before it (4)
//
// The first checksum is verified as soon as it is there, so that bytes of another kind (a page of a proxy in between) are
// recognised at once and a wrong length is never waited for. What a message is, its headers say: `:message-type` is `event`,
// or `exception` or `error` for a failure inside an answer that began well. A failure becomes a frame whose event begins
// with a mark, so that nothing that reads frames can take it for an event it does not know.
import { crc32 } from 'node:zlib';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type HeaderValue, readHeaders } from './aws-event-stream-headers.ts';
import type { Frame, FrameReader, Framing } from './frame.ts';
import { HeldBytes } from './held-bytes.ts';

export const awsEventStream: Framing = {
  name: 'aws-event-stream',
  mediaType: 'application/vnd.amazon.eventstream',
  reader: () => new EventStreamReader(),
};

const EXCEPTION = 'exception:';
const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;
const MESSAGE_BYTES_MIN = PRELUDE_BYTES + CRC_BYTES;

/** The kind of failure that a frame reports; undefined for a frame that reports none. */
export function exceptionIn(frame: Frame): string | undefined {
  return frame.event?.startsWith(EXCEPTION) ? frame.event.slice(EXCEPTION.length) : undefined;
}

class EventStreamReader implements FrameReader {
  readonly #held = new HeldBytes();
  /** How long the message that is held will be, once its prelude is there. */
  #heldSize: number | undefined;

  push(bytes: Uint8Array): Frame[] {
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const frames: Frame[] = [];
    while (rest.length > 0) {
      const size = this.#held.length === 0 ? sizeAt(rest) : undefined;
      if (size !== undefined && size <= rest.length) {
        frames.push(readMessage(rest.subarray(0, size)));
        rest = rest.subarray(size);
        continue;
      }
      const missing = (this.#heldSize ?? PRELUDE_BYTES) - this.#held.length;
      this.#held.append(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      this.#heldSize ??= sizeAt(this.#held.view());
      if (this.#held.length === this.#heldSize) {
        this.#heldSize = undefined;
        frames.push(readMessage(this.#held.take()));
      }
    }
    return frames;
  }

  /** A message that was cut cannot be read, but that there was one is worth knowing. */
  end(): Frame[] {
    if (this.#held.length === 0) return [];
    this.#held.take();
    return [{ data: '', unterminated: true }];
  }
}

/** The length of the message that begins here; undefined until its prelude has arrived. */
function sizeAt(bytes: Buffer): number | undefined {
  if (bytes.length < PRELUDE_BYTES) return undefined;
  const size = bytes.readUInt32BE(0);
  const headerBytes = bytes.readUInt32BE(4);
  if (crc32(bytes.subarray(0, 8)) !== bytes.readUInt32BE(8)) throw unreadable('its first checksum is wrong');
  if (size < MESSAGE_BYTES_MIN || headerBytes > size - MESSAGE_BYTES_MIN) {
    throw unreadable('its lengths contradict each other');
  }
  if (size > limits.streamEventBytesMax) {
    throw unreadable(`it has ${size} bytes and the limit is ${limits.streamEventBytesMax}`);
  }
  return size;
}

function readMessage(bytes: Buffer): Frame {
  const end = bytes.length - CRC_BYTES;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) throw unreadable('its checksum is wrong');
  const payloadAt = PRELUDE_BYTES + bytes.readUInt32BE(4);
  const headers = readHeaders(bytes.subarray(PRELUDE_BYTES, payloadAt));
  if (headers === undefined) throw unreadable('its headers cannot be read');
  const data = bytes.toString('utf8', payloadAt, end);
  const type = textIn(headers, ':message-type');
  if (type === 'exception') return { event: EXCEPTION + textIn(headers, ':exception-type'), data };
  if (type === 'error') {
    const message = textIn(headers, ':error-message');
    return { event: EXCEPTION + textIn(headers, ':error-code'), data: JSON.stringify({ message }) };
  }
  return { event: textIn(headers, ':event-type'), data };
}

function textIn(headers: ReadonlyMap<string, HeaderValue>, name: string): string {
  const value = headers.get(name);
  return typeof value === 'string' ? value : '';
}

function unreadable(why: string): SignalboxError {
  return new SignalboxError(
    'upstream_invalid',
    `The provider sent a message of an event stream that cannot be read: ${why}.`,
  );
}
