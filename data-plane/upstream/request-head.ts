// Writes the head of a request. What is put on the wire is checked here once more, whoever made it: a line break inside a
// header value would end the head early and let the value speak for itself.
import type { UpstreamRequest } from './contract.ts';

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const FORBIDDEN_IN_PATH = /[^\x21-\x7e]/;
const ownHeaders: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'expect',
]);

/** Names come from few places and repeat; each is checked once. Bounded, in case that should ever change. */
const checkedNames = new Set<string>();
const CHECKED_NAMES_MAX = 1000;

/** Throws a plain Error that names the field; the caller knows which code it deserves. */
export function writeHead(request: UpstreamRequest, hostLine: string, bodyBytes: number): string {
  const { method, path, headers } = request;
  requireSendable(path, headers);
  let head = `${method} ${path} HTTP/1.1\r\n${hostLine}`;
  for (const name in headers) head += `${name}: ${headers[name]!}\r\n`;
  return method === 'GET' && bodyBytes === 0 ? `${head}\r\n` : `${head}content-length: ${bodyBytes}\r\n\r\n`;
}

/** Throws as `writeHead` does, for requests that are written by others. */
export function requireSendable(path: string, headers: UpstreamRequest['headers']): void {
  if (!path.startsWith('/') || FORBIDDEN_IN_PATH.test(path)) {
    throw new Error(`The path ${JSON.stringify(path)} contains a character that a URL may not contain.`);
  }
  for (const name in headers) {
    if (!checkedNames.has(name)) checkName(name);
    if (FORBIDDEN_IN_VALUE.test(headers[name]!)) {
      throw new Error(`The header "${name}" contains a line break or another character that cannot be sent.`);
    }
  }
}

function checkName(name: string): void {
  if (!HEADER_NAME.test(name)) throw new Error(`${JSON.stringify(name)} is not the name of a header.`);
  if (ownHeaders.has(name.toLowerCase())) {
    throw new Error(`The header "${name}" is set by the client itself; remove it.`);
  }
  if (checkedNames.size < CHECKED_NAMES_MAX) checkedNames.add(name);
}
