// One line per request: successes at debug, failures of the caller at info, failures of ours or a provider's at warn.
// Never a body, never a credential.

import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Exchange } from './exchange.ts';
import { headerList } from './headers.ts';

export function logClosed(log: Logger, exchange: Exchange): void {
  const { error } = exchange;
  if (!error) {
    log.debug(describe(exchange), 'request answered');
    return;
  }
  const line = { ...describe(exchange), code: error.code, reason: error.message };
  if (error.kind.fault === 'caller') log.info(line, 'request failed');
  else if (error.code === 'internal') log.error({ ...line, err: error.cause }, 'request failed');
  else log.warn(line, 'request failed');
}

function describe(exchange: Exchange): Record<string, unknown> {
  const { served } = exchange;
  return {
    requestId: exchange.requestId,
    clientRequestId: exchange.clientRequestId,
    operation: exchange.operation,
    status: exchange.status,
    keyId: exchange.keyId,
    requestedModel: exchange.requestedModel,
    route: served?.route,
    model: served?.model,
    provider: served?.provider,
    attempts: exchange.attempts,
    // One step says no more than the lines above it.
    trail: exchange.trail.length < 2 ? undefined : exchange.trail.text(limits.trailHeaderBytesMax),
    dropped: exchange.dropped.length === 0 ? undefined : headerList(exchange.dropped),
    durationMs: Math.round(exchange.elapsedMs()),
    firstByteMs: exchange.firstByteMs === undefined ? undefined : Math.round(exchange.firstByteMs),
  };
}
