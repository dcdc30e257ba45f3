// Errors as clients of Google's APIs expect them, in a body and in a stream: a status in capitals, and details of which each says what
// it is. What Google's servers say is read like every vendor's (see read-error.ts).
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';

/** What Google calls each status. */
const statusNames: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  408: 'DEADLINE_EXCEEDED',
  409: 'ABORTED',
  412: 'FAILED_PRECONDITION',
  413: 'INVALID_ARGUMENT',
  415: 'INVALID_ARGUMENT',
  422: 'INVALID_ARGUMENT',
  428: 'FAILED_PRECONDITION',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

const TYPES = 'type.googleapis.com/google.rpc.';

export function renderError(error: SignalboxError): Record<string, unknown> {
  const { status } = error.kind;
  const { param, retryAfterMs } = error;
  const info = {
    '@type': `${TYPES}ErrorInfo`,
    reason: error.code.toUpperCase(),
    domain: 'signalbox',
    ...(param === undefined ? {} : { metadata: { field: param } }),
  };
  const retry =
    retryAfterMs === undefined
      ? []
      : [{ '@type': `${TYPES}RetryInfo`, retryDelay: `${Math.max(0, retryAfterMs) / 1000}s` }];
  return {
    error: {
      code: status,
      message: error.message,
      status: statusNames[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL'),
      details: [info, ...retry],
    },
  };
}

/** Their SDKs raise on a chunk with an `error`, and read nothing behind it. */
export function renderStreamError(error: SignalboxError): Frame[] {
  return [{ data: JSON.stringify(renderError(error)) }];
}
