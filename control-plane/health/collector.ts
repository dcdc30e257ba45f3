// What the data planes say of those they ask, as this replica has heard it: the newest digest of each node, in memory and for seconds.
// Every replica listens, so any of them can answer; nothing of it is stored, because a second later it is said again.
import { type Bus, healthSubject } from '#shared/bus/bus.ts';
import { type Clock, systemClock } from '#shared/clock.ts';
import { decodeDigest } from '#shared/health/digest.ts';
import { DigestBook, type HeardReport } from '#shared/health/digest-book.ts';
import type { Metrics } from '#shared/metrics.ts';

export interface HealthCollectorOptions {
  readonly bus: Pick<Bus, 'broadcast'>;
  readonly metrics: Metrics;
  readonly clock?: Clock;
}

export interface HealthReports {
  reportsOn(subject: string): readonly (HeardReport & { readonly ageMs: number })[];
}

export interface HealthCollector extends HealthReports {
  close(): void;
}

export function startHealthCollector({
  bus,
  metrics,
  clock = systemClock,
}: HealthCollectorOptions): HealthCollector {
  const digests = new DigestBook();
  const listening = bus.broadcast.listen(healthSubject, (data) => {
    const digest = decodeDigest(data);
    if (digest !== undefined) digests.take(digest, clock.monotonicMs());
  });
  metrics.gauge('signalbox_health_nodes', (gauge) => gauge.set(digests.nodeCount(clock.monotonicMs())));
  return {
    reportsOn(subject) {
      const nowMs = clock.monotonicMs();
      return digests.reportsOn(subject, nowMs).map((heard) => ({ ...heard, ageMs: nowMs - heard.atMs }));
    },
    close: () => listening.stop(),
  };
}
