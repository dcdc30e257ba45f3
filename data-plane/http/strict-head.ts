// What node:http lets through and different servers understand differently. A head that two readers in a row can take for two
// different requests is how requests are smuggled past one of them, so each of these is refused and ends its connection.
import type { IncomingMessage } from 'node:http';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';

/** Of these node:http keeps the first and says nothing of the others. */
const singletons: ReadonlySet<string> = new Set(['host', 'authorization', 'content-type']);

/** Undefined for a head that means one thing. */
export function faultOfHead(request: IncomingMessage): SignalboxError | undefined {
  const { httpVersion, httpVersionMinor, headers } = request;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return fault('invalid_request', `The request is of HTTP version ${httpVersion}. Send HTTP/1.1.`);
  }
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersionMinor === 0)) {
    return fault(
      'invalid_request',
      'The body is transferred in a way that is not supported. Send its length, or, over HTTP/1.1, "Transfer-Encoding: chunked".',
    );
  }
  if (headers.host === undefined && httpVersionMinor > 0) {
    return fault('invalid_request', 'The header "Host" is missing, which HTTP/1.1 demands.');
  }
  const repeated = repeatedSingleton(request.rawHeaders);
  if (repeated !== undefined) {
    return fault('invalid_request', `The header "${repeated}" was sent twice. Send it once.`);
  }
  if (
    headers.expect !== undefined &&
    httpVersionMinor > 0 &&
    headers.expect.toLowerCase() !== '100-continue'
  ) {
    return fault(
      'expectation_failed',
      'The header "Expect" asks for something that is not known here. Leave it out.',
    );
  }
  return undefined;
}

function repeatedSingleton(rawHeaders: readonly string[]): string | undefined {
  let seen: string[] | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    if (!singletons.has(name)) continue;
    if (seen?.includes(name) === true) return name;
    seen = seen === undefined ? [name] : [...seen, name];
  }
  return undefined;
}

function fault(code: ErrorCode, message: string): SignalboxError {
  return new SignalboxError(code, message);
}
