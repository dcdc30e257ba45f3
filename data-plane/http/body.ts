// Reading a request's body: whole, within a size and a time, and only after the head has been found good, so that a
// client that waits for "100 Continue" never sends what will be refused. A body may come compressed; the bound then holds
// for what it unfolds to as well.
import { SignalboxError } from '#shared/errors.ts';
import { type Coding, codingNamed, codingNames, decodeBody } from './compress.ts';
import type { Exchange } from './exchange.ts';

export interface BodyLimits {
  readonly requestBodyBytesMax: number;
  readonly requestBodyMsMax: number;
}

/** Throws `unsupported_media_type`, `request_too_large`, `request_timeout`, or what stopped the exchange. */
export function readJsonBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  requireJson(exchange.request.headers['content-type']);
  return readBody(exchange, limits);
}

/** A form, as browsers send files. Throws like `readJsonBody`. */
export function readFormBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  requireForm(exchange.request.headers['content-type']);
  return readBody(exchange, limits);
}

/** Either of the two. Throws like `readJsonBody`. */
export function readFormOrJsonBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  const type = exchange.request.headers['content-type'];
  return isForm(type) ? readBody(exchange, limits) : readJsonBody(exchange, limits);
}

/** A body of any type. */
export async function readBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  const { headers } = exchange.request;
  const coding = codingOf(headers['content-encoding']);
  if (Number(headers['content-length'] ?? 0) > limits.requestBodyBytesMax) throw tooLarge(limits);
  exchange.inviteBody();
  const waitStartedMs = exchange.elapsedMs();
  const body = await collect(exchange, limits).finally(() => {
    exchange.bodyWaitMs = exchange.elapsedMs() - waitStartedMs;
  });
  return coding === undefined ? body : unfolded(exchange, body, coding, limits);
}

/** The body that the client coded. While it is unfolded elsewhere, the client may leave. */
async function unfolded(
  exchange: Exchange,
  body: Buffer,
  coding: Coding,
  limits: BodyLimits,
): Promise<Buffer> {
  const plain = await decodeBody(body, coding, limits.requestBodyBytesMax).catch((thrown: unknown) => {
    if ((thrown as { readonly code?: string }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limits);
    throw new SignalboxError(
      'invalid_request',
      `The body is not what its Content-Encoding says, "${coding}", or it is not whole. Send it again, or not compressed.`,
      { cause: thrown },
    );
  });
  if (exchange.stopReason) throw exchange.stopReason;
  return plain;
}

function collect(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  const { request } = exchange;
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => stop(tooSlow(limits)), limits.requestBodyMsMax);
    const onData = (part: Buffer): void => {
      parts.push(part);
      bytes += part.length;
      if (bytes > limits.requestBodyBytesMax) stop(tooLarge(limits));
    };
    const onEnd = (): void => {
      finish();
      resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    };
    const finish = (): void => {
      clearTimeout(timer);
      exchange.listener = undefined;
      request.removeListener('data', onData);
      request.removeListener('end', onEnd);
    };
    const stop = (reason: SignalboxError): void => {
      finish();
      reject(reason);
    };
    exchange.listener = { onStop: stop };
    request.on('data', onData);
    request.on('end', onEnd);
  });
}

function codingOf(encoding: string | undefined): Coding | undefined {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return undefined;
  const coding = codingNamed(encoding);
  if (coding !== undefined) return coding;
  throw new SignalboxError(
    'unsupported_media_type',
    `The body is encoded as "${encoding}". Send it without Content-Encoding, or in one of: ${codingNames}.`,
  );
}

function requireJson(type: string | undefined): void {
  if (type === undefined || isJson(type)) return;
  throw new SignalboxError(
    'unsupported_media_type',
    `The content type "${type}" is not supported. Send JSON with "Content-Type: application/json".`,
  );
}

function requireForm(type: string | undefined): void {
  if (isForm(type)) return;
  throw new SignalboxError(
    'unsupported_media_type',
    `The content type "${type ?? ''}" is not supported here. Send a form with "Content-Type: multipart/form-data".`,
  );
}

function isForm(type: string | undefined): boolean {
  return type !== undefined && type.split(';', 1)[0]!.trim().toLowerCase() === 'multipart/form-data';
}

function isJson(type: string): boolean {
  if (type === 'application/json') return true;
  const media = type.split(';', 1)[0]!.trim().toLowerCase();
  return media === 'application/json' || (media.startsWith('application/') && media.endsWith('+json'));
}

function tooLarge({ requestBodyBytesMax }: BodyLimits): SignalboxError {
  return new SignalboxError(
    'request_too_large',
    `The body is larger than ${requestBodyBytesMax} bytes. Send less, or put large files where the model can fetch them.`,
  );
}

function tooSlow({ requestBodyMsMax }: BodyLimits): SignalboxError {
  return new SignalboxError(
    'request_timeout',
    `The body did not arrive within ${requestBodyMsMax} ms. Send the request again over a better connection.`,
  );
}
