// What load balancers and people ask. Alive: the process answers at all. Ready: it has a configuration, can write its
// journal and is not stopping, so requests sent here will be served; being cut off from the control plane or the bus
// does not change that, it only degrades. None of it calls a provider.

import { version } from '#shared/build.ts';
import type { GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import type { HealthReading } from './health-reading.ts';

type Status = 'ok' | 'degraded' | 'draining' | 'not_ready';

export function showLive(_context: GatewayContext, exchange: Exchange): void {
  exchange.answerJson(200, { status: 'ok', version });
}

/** `/health` and readiness answer alike: 200 while requests are served, 503 while they would not be. */
export function showReady({ health }: GatewayContext, exchange: Exchange): void {
  const reading = health.read();
  const status = statusOf(reading);
  exchange.answerJson(status === 'ok' || status === 'degraded' ? 200 : 503, {
    status,
    version,
    node: reading.nodeId,
    region: reading.region,
    revision: reading.revision === undefined ? null : Number(reading.revision),
    sync: { connected: reading.syncConnected },
    bus: { state: reading.bus },
    journal: reading.journal,
    in_flight: reading.inFlight,
  });
}

function statusOf(reading: HealthReading): Status {
  if (reading.draining) return 'draining';
  if (reading.revision === undefined || !reading.journal.writable) return 'not_ready';
  return reading.syncConnected && reading.bus === 'connected' ? 'ok' : 'degraded';
}
