// What nodes tell each other about those they ask: about once a second, and at once when somebody is found to be ill, so that one node's
// trouble spares the others theirs. It is advice: a node without others, or whose bus is away or frozen, decides as it would alone.
// Nothing here runs within a request, nothing is waited for, and what others send is checked before it counts.
import { type Broadcast, healthSubject, type Listening } from '#shared/bus/bus.ts';
import type { Clock } from '#shared/clock.ts';
import { decodeDigest, encodeDigest } from '#shared/health/digest.ts';
import { DigestBook, type Finding } from '#shared/health/digest-book.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { HealthBook } from './health-book.ts';
import { HeardNodes } from './other-nodes.ts';

export interface HealthSharingOptions {
  readonly health: HealthBook;
  readonly broadcast: Broadcast;
  readonly nodeId: string;
  readonly region: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface HealthSharing {
  close(): void;
}

/** Nodes that were started together drift apart. */
const JITTER = 0.2;
const breakerLevels = { closed: 0, 'half-open': 1, open: 2 } as const;
const PROVIDER = 'provider:';
const kinds = ['key', 'deployment', 'provider'] as const;
const states = ['open', 'half-open'] as const;

export function startHealthSharing(options: HealthSharingOptions): HealthSharing {
  return new Sharing(options);
}

class Sharing implements HealthSharing {
  readonly #options: HealthSharingOptions;
  readonly #digests = new DigestBook();
  readonly #others: HeardNodes;
  readonly #boot: bigint;
  readonly #listening: Listening;
  #sequence = 0n;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: HealthSharingOptions) {
    const { health, broadcast, clock, region } = options;
    this.#options = options;
    this.#boot = BigInt(Math.max(0, Math.round(clock.wallMs())));
    this.#others = new HeardNodes(this.#digests, region);
    health.share({ others: this.#others, onTrouble: () => this.#tellSoon() });
    this.#listening = broadcast.listen(healthSubject, (data) => this.#hear(data));
    this.#watchBreakers();
    this.#tellLater();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#listening.stop();
  }

  #hear(data: Uint8Array): void {
    const digest = decodeDigest(data);
    if (digest?.nodeId === this.#options.nodeId) return;
    const finding = digest === undefined ? 'refused' : this.#digests.take(digest, this.#nowMs());
    if (finding === 'taken') this.#others.refresh();
    this.#count(finding);
  }

  /** Several troubles within a moment go out together. */
  #tellSoon(): void {
    if (this.#isClosed) return;
    const waitMs = Math.max(0, this.#toldAtMs + limits.healthUrgentMs - this.#nowMs());
    if (this.#nowMs() + waitMs < this.#dueAtMs) this.#tellIn(waitMs);
  }

  #tellLater(): void {
    const spread = 1 + JITTER * (2 * this.#options.random() - 1);
    this.#tellIn(limits.healthDigestMs * spread);
  }

  #tellIn(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#dueAtMs = this.#nowMs() + waitMs;
    this.#timer = setTimeout(() => this.#tell(), waitMs);
    this.#timer.unref();
  }

  #tell(): void {
    const { health, broadcast, nodeId, region, log } = this.#options;
    const nowMs = this.#nowMs();
    this.#toldAtMs = nowMs;
    this.#sequence += 1n;
    try {
      const subjects = health.report(nowMs);
      const digest = { nodeId, region, boot: this.#boot, sequence: this.#sequence, subjects };
      this.#count(broadcast.announce(healthSubject, encodeDigest(digest)) ? 'sent' : 'unsent');
    } catch (error) {
      log.error({ err: error }, 'a health digest could not be made');
    }
    this.#tellLater();
  }

  #watchBreakers(): void {
    const { health, metrics } = this.#options;
    metrics.gauge('signalbox_breaker_state', (gauge) => {
      gauge.reset();
      for (const subject of health.subjects()) {
        if (!subject.startsWith(PROVIDER)) continue;
        const { breaker } = health.read(subject, this.#nowMs());
        gauge.set({ provider: subject.slice(PROVIDER.length) }, breakerLevels[breaker]);
      }
    });
    metrics.gauge('signalbox_breakers', (gauge) => {
      for (const kind of kinds) for (const state of states) gauge.set({ kind, state }, 0);
      for (const subject of health.subjects()) {
        const { breaker } = health.read(subject, this.#nowMs());
        if (breaker !== 'closed') gauge.inc({ kind: subject.slice(0, subject.indexOf(':')), state: breaker });
      }
    });
  }

  #count(outcome: 'sent' | 'unsent' | Finding): void {
    this.#options.metrics.counter('signalbox_health_digests_total').inc({ outcome });
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}
