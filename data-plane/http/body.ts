// Reading a request's body: whole, within a size and a time, and only after the head has been found good, so that a
// client that waits for "100 Continue" never sends what will be refused.
import { SignalboxError } from '#shared/errors.ts';
import type { Exchange } from './exchange.ts';

export interface BodyLimits {
  readonly requestBodyBytesMax: number;
  readonly requestBodyMsMax: number;
}

/** Throws `unsupported_media_type`, `request_too_large`, `request_timeout`, or what stopped the exchange. */
export function readJsonBody(exchange: Exchange, limits: BodyLimits): Promise<Buffer> {
  const { headers } = exchange.request;
  requireJson(headers['content-type'], headers['content-encoding']);
  if (Number(headers['content-length'] ?? 0) > limits.requestBodyBytesMax) throw tooLarge(limits);
  if (headers.expect !== undefined) exchange.response.writeContinue();
  const waitStartedMs = exchange.elapsedMs();
  return collect(exchange, limits).finally(() => {
    exchange.bodyWaitMs = exchange.elapsedMs() - waitStartedMs;
  });
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

function requireJson(type: string | undefined, encoding: string | undefined): void {
  if (encoding !== undefined && encoding !== 'identity') {
    throw new SignalboxError(
      'unsupported_media_type',
      `The body is encoded as "${encoding}". Send it without Content-Encoding.`,
    );
  }
  if (type === undefined || isJson(type)) return;
  throw new SignalboxError(
    'unsupported_media_type',
    `The content type "${type}" is not supported. Send JSON with "Content-Type: application/json".`,
  );
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
