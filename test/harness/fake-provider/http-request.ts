// Reads HTTP/1.1 requests off a raw socket. The fake provider does not use node:http because its answers have to be
// wrong at the level of bytes and connections, which a correct server does not allow.

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Push bytes, get the requests they complete. Throws on what no client of ours should send. */
export class RequestReader {
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** How many bytes must be there before another look is worthwhile; keeps large bodies linear. */
  #wanted = 0;
  readonly #onContinue: () => void;

  /** `onContinue`: the client waits for "100 Continue" before it sends its body. */
  constructor(onContinue: () => void) {
    this.#onContinue = onContinue;
  }

  push(bytes: Buffer): RawRequest[] {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    const complete: RawRequest[] = [];
    while (this.#waitingBytes > 0 && this.#waitingBytes >= this.#wanted) {
      const all = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting);
      const found = this.#take(all);
      if (found === undefined) {
        this.#waiting = [all];
        break;
      }
      complete.push(found.request);
      const rest = all.subarray(found.end);
      this.#waiting = [rest];
      this.#waitingBytes = rest.length;
      this.#wanted = 0;
    }
    return complete;
  }

  #take(all: Buffer): { request: RawRequest; end: number } | undefined {
    const headEnd = all.indexOf(HEAD_END);
    if (headEnd < 0) return undefined;
    const { method, path, headers } = readHead(all.toString('latin1', 0, headEnd));
    const start = headEnd + HEAD_END.length;
    const incomplete = this.#wanted === 0;
    const chunked = headers['transfer-encoding'] === 'chunked';
    const length = Number(headers['content-length'] ?? 0);
    const taken = chunked ? takeChunked(all, start) : takeLength(all, start, length);
    if (taken === undefined) {
      if (incomplete && headers.expect === '100-continue') this.#onContinue();
      this.#wanted = chunked ? all.length + 1 : start + length;
      return undefined;
    }
    return { request: { method, path, headers, body: taken.body }, end: taken.end };
  }
}

function readHead(text: string) {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const [method = '', path = '', version = ''] = requestLine.split(' ');
  if (!version.startsWith('HTTP/1.')) throw new Error(`Not a request line: ${JSON.stringify(requestLine)}`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`Not a header line: ${JSON.stringify(line)}`);
    const name = line.slice(0, colon).toLowerCase();
    if (Object.hasOwn(headers, name)) throw new Error(`The header "${name}" came twice.`);
    headers[name] = line.slice(colon + 1).trim();
  }
  return { method, path, headers };
}

function takeLength(all: Buffer, start: number, length: number) {
  if (all.length < start + length) return undefined;
  return { body: all.subarray(start, start + length), end: start + length };
}

function takeChunked(all: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = all.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(all.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(size)) throw new Error('Not a chunk size.');
    const from = lineEnd + 2;
    if (all.length < from + size + 2) return undefined;
    parts.push(all.subarray(from, from + size));
    at = from + size + 2;
    if (size === 0) return { body: Buffer.concat(parts), end: at };
  }
}
