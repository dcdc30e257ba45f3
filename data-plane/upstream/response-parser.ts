// Reads HTTP/1.1 responses: a synchronous state machine, pushed bytes as they arrive, that tells a sink what they mean.
// Body bytes are passed on as slices, never copied or gathered. It is strict where leniency lets two readers of one byte
// stream disagree about where a message ends (RFC 9112 §11.2): a response is refused, and its connection with it, for a
// bare CR or LF, a NUL, a folded header, a space before a colon, a Content-Length that is repeated, signed or beside a
// Transfer-Encoding, a transfer coding other than `chunked`, and a chunk size that is not plain hexadecimal.
import { limits } from '#shared/limits.ts';

export interface ResponseSink {
  onHead(status: number, headers: Readonly<Record<string, string>>): void;
  onBody(chunk: Buffer): void;
}

/** `more`: the response goes on. `complete`: it ended at `consumed`. `stopped`: the sink asked. `invalid`: see `problem`. */
export type ParseOutcome = 'more' | 'complete' | 'stopped' | 'invalid';

type State =
  | 'head'
  | 'body-length'
  | 'body-until-close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-end'
  | 'chunk-data'
  | 'chunk-data-cr'
  | 'chunk-data-lf'
  | 'trailer'
  | 'done';

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const HEAD_END = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);
const HEAD_BYTES_START = 1024;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Control characters other than tab, and a CR or LF that is not part of a CRLF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const FORBIDDEN_IN_HEAD = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;
const DIGITS = /^\d{1,15}$/;
const CLOSE_TOKEN = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i;
const KEEP_ALIVE_TIMEOUT = /(?:^|[,\s])timeout=(\d{1,9})/i;
/** 13 hexadecimal digits stay below 2^53. */
const CHUNK_SIZE_DIGITS_MAX = 13;
/** No known server sends chunk extensions; enough for a signature, too little to hide a body in. */
const CHUNK_EXTENSION_BYTES_MAX = 4096;
const INTERIM_RESPONSES_MAX = 8;

export class ResponseParser {
  /** How many bytes of the last push belong to the response. */
  consumed = 0;
  /** What was wrong, in words for the log, after `invalid`. */
  problem = '';
  /** Whether the connection may serve another request after `complete`. */
  reusable = false;
  /** What the server says about how long it keeps an idle connection. */
  keepAliveMs: number | undefined;

  readonly #sink: ResponseSink;
  #state: State = 'head';
  #stopped = false;
  /** A head that did not arrive in one read. */
  #head: Buffer = NOTHING;
  #headBytes = 0;
  #interimResponses = 0;
  /** Bytes left of the body, or of the chunk. */
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerLine = '';
  #any = false;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** Makes ready for the next response on the same connection. */
  reset(): void {
    this.#state = 'head';
    this.#stopped = false;
    this.#forgetHead();
    this.#interimResponses = 0;
    this.#any = false;
    this.reusable = false;
  }

  /** Called by the sink's owner in the middle of a push: nothing more is wanted. */
  stop(): void {
    this.#stopped = true;
  }

  get sawBytes(): boolean {
    return this.#any;
  }

  /** Whether the end of the connection is the end of the response, rather than a break. */
  get endsWithConnection(): boolean {
    return this.#state === 'body-until-close';
  }

  push(bytes: Buffer): ParseOutcome {
    this.#any = true;
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      at = this.#step(bytes, at);
      if (this.#stopped) return 'stopped';
      if (at < 0) return 'invalid';
    }
    this.consumed = at;
    return this.#state === 'done' ? 'complete' : 'more';
  }

  /** Reads one element from `at` and returns where the next begins, or -1. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, at);
      case 'body-length':
        return this.#readBody(bytes, at, 'done');
      case 'body-until-close':
        this.#sink.onBody(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length;
      case 'chunk-size':
        return this.#readChunkSize(bytes, at);
      case 'chunk-extension':
        return this.#readChunkExtension(bytes, at);
      case 'chunk-size-end':
        return this.#expectByte(bytes, at, LF, this.#left === 0 ? 'trailer' : 'chunk-data');
      case 'chunk-data':
        return this.#readBody(bytes, at, 'chunk-data-cr');
      case 'chunk-data-cr':
        return this.#expectByte(bytes, at, CR, 'chunk-data-lf');
      case 'chunk-data-lf':
        return this.#expectByte(bytes, at, LF, 'chunk-size');
      default:
        return this.#readTrailer(bytes, at);
    }
  }

  #refuse(problem: string): -1 {
    this.problem = problem;
    return -1;
  }

  #readBody(bytes: Buffer, at: number, after: State): number {
    const available = bytes.length - at;
    const end = available < this.#left ? bytes.length : at + this.#left;
    this.#left -= end - at;
    if (this.#left === 0) {
      this.#digits = 0;
      this.#state = after;
    }
    this.#sink.onBody(bytes.subarray(at, end));
    return end;
  }

  // ── The head ─────────────────────────────────────────────────────────────

  #readHead(bytes: Buffer, at: number): number {
    if (this.#headBytes === 0) {
      const end = bytes.indexOf(HEAD_END, at);
      if (end >= 0) return this.#finishHead(bytes, at, end, end + HEAD_END.length);
    }
    return this.#gatherHead(bytes, at);
  }

  /** Keeps what there is of a head until its end arrives, in a buffer that doubles: single bytes stay linear. */
  #gatherHead(bytes: Buffer, at: number): number {
    const before = this.#headBytes;
    const room = limits.upstreamHeaderBytesMax + HEAD_END.length - before;
    const part = bytes.subarray(at, at + room);
    const total = before + part.length;
    if (total > this.#head.length) {
      const larger = Buffer.alloc(Math.max(total, 2 * this.#head.length, HEAD_BYTES_START));
      this.#head.copy(larger, 0, 0, before);
      this.#head = larger;
    }
    part.copy(this.#head, before);
    this.#headBytes = total;
    const head = this.#head.subarray(0, total);
    const end = head.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length + 1));
    if (end >= 0) {
      const next = at + end + HEAD_END.length - before;
      return this.#finishHead(head, 0, end, next);
    }
    // A server that ends its lines with LF alone would otherwise look like one that is still thinking.
    if (hasBareLineFeed(head, before)) return this.#refuse('a header line ends in LF without CR');
    // Up to three bytes may already belong to the end mark.
    if (total >= limits.upstreamHeaderBytesMax + HEAD_END.length) return this.#refuse(HEAD_TOO_LARGE);
    return bytes.length;
  }

  #finishHead(bytes: Buffer, start: number, end: number, next: number): number {
    if (end - start > limits.upstreamHeaderBytesMax) return this.#refuse(HEAD_TOO_LARGE);
    const text = bytes.toString('latin1', start, end);
    if (this.#headBytes > 0) this.#forgetHead();
    if (FORBIDDEN_IN_HEAD.test(text)) return this.#refuse('the head contains a control character');
    const lineEnd = text.indexOf('\r\n');
    const statusLine = STATUS_LINE.exec(lineEnd < 0 ? text : text.slice(0, lineEnd));
    if (statusLine === null) return this.#refuse('the status line is not that of an HTTP/1.1 response');
    const status = Number(statusLine[2]);
    if (status < 200) return this.#skipInterim(status, next);
    const headers = lineEnd < 0 ? Object.create(null) : this.#readHeaders(text, lineEnd + 2);
    if (headers === undefined) return -1;
    if (!this.#chooseFraming(status, statusLine[1] === '1', headers)) return -1;
    this.#sink.onHead(status, headers);
    return next;
  }

  #forgetHead(): void {
    this.#head = NOTHING;
    this.#headBytes = 0;
  }

  #skipInterim(status: number, next: number): number {
    if (status === 101) return this.#refuse('it switched protocols without being asked');
    this.#interimResponses++;
    if (this.#interimResponses > INTERIM_RESPONSES_MAX) return this.#refuse('too many interim responses');
    return next;
  }

  #readHeaders(text: string, from: number): Record<string, string> | undefined {
    const headers: Record<string, string> = Object.create(null);
    for (let at = from; at < text.length; ) {
      const found = text.indexOf('\r\n', at);
      const end = found < 0 ? text.length : found;
      const colon = text.indexOf(':', at);
      const name = colon < 0 || colon > end ? '' : text.slice(at, colon);
      // Refuses folded lines and spaces before the colon too: neither is part of a name.
      if (!HEADER_NAME.test(name)) {
        this.problem = 'a header line has no valid name';
        return undefined;
      }
      const key = name.toLowerCase();
      const value = trimSpaces(text, colon + 1, end);
      const known = headers[key];
      if (known === undefined) headers[key] = value;
      else if (key === 'content-length' || key === 'transfer-encoding') {
        this.problem = `the header ${key} came twice`;
        return undefined;
      } else headers[key] = `${known}, ${value}`;
      at = end + 2;
    }
    return headers;
  }

  /** RFC 9112 §6.3, with every doubtful case refused. */
  #chooseFraming(status: number, isOneDotOne: boolean, headers: Readonly<Record<string, string>>): boolean {
    const { 'transfer-encoding': coding, 'content-length': length, connection } = headers;
    this.reusable = isOneDotOne && !(connection !== undefined && CLOSE_TOKEN.test(connection));
    const timeout = headers['keep-alive'];
    const seconds = timeout === undefined ? null : KEEP_ALIVE_TIMEOUT.exec(timeout);
    this.keepAliveMs = seconds === null ? undefined : Number(seconds[1]) * 1000;
    if (coding !== undefined && length !== undefined) {
      this.problem = 'both transfer-encoding and content-length are present';
      return false;
    }
    if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || !isOneDotOne)) {
      this.problem = `the transfer-encoding ${JSON.stringify(coding)} is not chunked over HTTP/1.1`;
      return false;
    }
    if (length !== undefined && !DIGITS.test(length)) {
      this.problem = `the content-length ${JSON.stringify(length)} is not a number`;
      return false;
    }
    this.#enterBody(status, coding !== undefined, length === undefined ? undefined : Number(length));
    return true;
  }

  #enterBody(status: number, chunked: boolean, length: number | undefined): void {
    if (status === 204 || status === 304) {
      // 304 tells the length of what it does not send; 204 has none to tell, so a body may follow all the same.
      if (status === 204 && (chunked || length)) this.reusable = false;
      this.#state = 'done';
    } else if (chunked) {
      this.#digits = 0;
      this.#left = 0;
      this.#state = 'chunk-size';
    } else if (length === undefined) {
      this.reusable = false;
      this.#state = 'body-until-close';
    } else {
      this.#left = length;
      this.#state = length === 0 ? 'done' : 'body-length';
    }
  }

  // ── Chunks ───────────────────────────────────────────────────────────────

  #readChunkSize(bytes: Buffer, from: number): number {
    if (this.#digits === 0) this.#left = 0;
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!;
      const digit = hexDigit(byte);
      if (digit >= 0) {
        this.#digits++;
        if (this.#digits > CHUNK_SIZE_DIGITS_MAX) return this.#refuse('a chunk size is too large');
        this.#left = this.#left * 16 + digit;
        continue;
      }
      if (this.#digits === 0 || (byte !== CR && byte !== SEMICOLON)) {
        return this.#refuse('a chunk size is not a hexadecimal number');
      }
      this.#trailerBytes = 0;
      this.#trailerLine = '';
      this.#extensionBytes = 0;
      this.#state = byte === CR ? 'chunk-size-end' : 'chunk-extension';
      return at + 1;
    }
    return bytes.length;
  }

  #readChunkExtension(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === CR) {
        this.#state = 'chunk-size-end';
        return at + 1;
      }
      this.#extensionBytes++;
      const control = (byte < 0x20 && byte !== 0x09) || byte === 0x7f;
      if (control || this.#extensionBytes > CHUNK_EXTENSION_BYTES_MAX) {
        return this.#refuse('a chunk extension is too long or contains a control character');
      }
    }
    return bytes.length;
  }

  #expectByte(bytes: Buffer, at: number, expected: number, after: State): number {
    if (bytes[at] !== expected) return this.#refuse('a chunk does not end where its size says');
    this.#state = after;
    return at + 1;
  }

  /** Trailers are checked like headers and dropped: nobody was promised them. */
  #readTrailer(bytes: Buffer, from: number): number {
    const found = bytes.indexOf(LF, from);
    const end = found < 0 ? bytes.length : found + 1;
    this.#trailerBytes += end - from;
    if (this.#trailerBytes > limits.upstreamHeaderBytesMax) return this.#refuse('the trailers are too large');
    this.#trailerLine += bytes.toString('latin1', from, end);
    if (found < 0) return end;
    const line = this.#trailerLine;
    this.#trailerLine = '';
    if (!line.endsWith('\r\n')) return this.#refuse('a trailer line ends in LF without CR');
    if (line.length === 2) this.#state = 'done';
    else if (
      FORBIDDEN_IN_HEAD.test(line) ||
      !HEADER_NAME.test(line.slice(0, Math.max(0, line.indexOf(':'))))
    ) {
      return this.#refuse('a trailer line is not a header');
    }
    return end;
  }
}

const HEAD_TOO_LARGE = `the head is larger than ${limits.upstreamHeaderBytesMax} bytes`;

/** Not `trim`: that also removes bytes which another reader would take as part of the value. */
function trimSpaces(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function hasBareLineFeed(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) return true;
  }
  return false;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
