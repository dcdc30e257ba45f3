// Server-sent events as providers really send them: CRLF, CR or LF, comments as heartbeats, `data:` with and without a
// space, several data lines, a byte order mark, a last event without its blank line, and any cut between two bytes. An event
// is decoded only once it is whole, so a character cut in half needs no care.
import { EventBoundary } from './event-boundary.ts';
import type { ClientFraming, Frame, FrameReader } from './frame.ts';
import { HeldBytes } from './held-bytes.ts';

const BYTE_ORDER_MARK = '\uFEFF';
const LINE_END = /\r\n|\n|\r/;

export const sse: ClientFraming = {
  name: 'sse',
  mediaType: 'text/event-stream',
  contentType: 'text/event-stream; charset=utf-8',
  reader: () => new SseReader(),
  write: (frames) => Buffer.from(frames.map(writeFrame).join('')),
};

/** Reads one event's bytes; undefined when it carries no data, as comments do. */
export function readEvent(bytes: Buffer): Frame | undefined {
  return readEventText(bytes.toString('utf8'));
}

class SseReader implements FrameReader {
  readonly #boundary = new EventBoundary();
  readonly #held = new HeldBytes();

  push(bytes: Uint8Array): Frame[] {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const frames: Frame[] = [];
    let start = 0;
    for (let end = this.#boundary.next(buffer, 0); end !== -1; end = this.#boundary.next(buffer, start)) {
      const frame = readEvent(this.#complete(buffer.subarray(start, end)));
      if (frame !== undefined) frames.push(frame);
      start = end;
    }
    if (start < buffer.length) this.#held.append(buffer.subarray(start));
    return frames;
  }

  end(): Frame[] {
    if (this.#held.length === 0) return [];
    const frame = readEvent(this.#held.take());
    return frame === undefined ? [] : [{ ...frame, unterminated: true }];
  }

  #complete(tail: Buffer): Buffer {
    if (this.#held.length === 0) return tail;
    this.#held.append(tail);
    return this.#held.take();
  }
}

function readEventText(text: string): Frame | undefined {
  const lines = (text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text).split(LINE_END);
  let event: string | undefined;
  let data: string | undefined;
  for (const line of lines) {
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    if (field !== 'data' && field !== 'event') continue;
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') event = value;
    else data = data === undefined ? value : `${data}\n${value}`;
  }
  if (data === undefined) return undefined;
  return event === undefined || event === '' ? { data } : { event, data };
}

function writeFrame(frame: Frame): string {
  const name = frame.event === undefined ? '' : `event: ${frame.event}\n`;
  const data = LINE_END.test(frame.data) ? frame.data.split(LINE_END).join('\ndata: ') : frame.data;
  return `${name}data: ${data}\n\n`;
}
