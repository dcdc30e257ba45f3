// Errors as clients of Anthropic's messages expect them, in a body and in a stream. Their SDKs decide by the type, so every
// code has one of the types that Anthropic documents.
import type { SignalboxError } from '#shared/errors.ts';
import type { Frame } from '../../framing/frame.ts';

const typesByStatus: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

export function renderError(error: SignalboxError): Record<string, unknown> {
  const { status } = error.kind;
  const type = typesByStatus[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message: error.message } };
}

/** Their SDKs raise on an event of this name, and read nothing behind it. */
export function renderStreamError(error: SignalboxError): Frame[] {
  return [{ event: 'error', data: JSON.stringify(renderError(error)) }];
}
