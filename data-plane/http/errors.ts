// Every error of this surface leaves through here: the status and shape come from the error table and the dialect, and
// what helps a client to react (when to come back, how to authenticate) goes into headers.
import type { SignalboxError } from '#shared/errors.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import type { Exchange, RawHeaders } from './exchange.ts';

export function answerError(exchange: Exchange, error: SignalboxError, extra: RawHeaders = []): void {
  exchange.error = error;
  exchange.answerJson(error.kind.status, clientDialectNamed(exchange.dialect).renderError(error), [
    ...errorHeaders(error),
    ...extra,
  ]);
}

/** An attempt ends as it has to and is answered for; whatever else takes so long is no longer waited for. */
export function answerLate(exchange: Exchange, reason: SignalboxError): void {
  const isAttempt = exchange.listener !== undefined;
  exchange.interrupt(reason);
  if (!isAttempt && !exchange.begun) answerError(exchange, reason);
}

export function errorHeaders(error: SignalboxError): string[] {
  const headers: string[] = [];
  if (error.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.ceil(error.retryAfterMs));
    headers.push('retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms));
  }
  // The SDKs of OpenAI and Anthropic would otherwise try again, and spend the time that was not given a second time.
  if (error.code === 'deadline_exceeded') headers.push('x-should-retry', 'false');
  if (error.kind.status === 401) headers.push('www-authenticate', 'Bearer');
  return headers;
}
