// Asking a provider whether it can be reached, when its requests do not tell: its breaker is open, or nobody has asked it for a while.
// What is asked costs nothing, a handshake or a list of models, and never a completion. A provider that was down and is up again is let
// off the rest of its pause; one that was up all along fails for another reason, and its pause goes on. A probe that fails prolongs
// nothing.
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Snapshot } from '../../snapshot/snapshot.ts';
import { deploymentSubject } from '../members.ts';
import type { HealthBook } from './health-book.ts';
import type { Subject } from './vitals.ts';

export type ProbeFinding = 'up' | 'down';

export interface ProbingOptions {
  readonly health: HealthBook;
  readonly snapshot: () => Snapshot | undefined;
  /** A handshake with the provider of this name, or its list of models. What it throws counts as down. */
  readonly probe: (provider: string) => Promise<ProbeFinding>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How often it is looked who needs a probe. */
  readonly lookMs?: number;
}

export interface Probing {
  close(): void;
}

const LOOK_MS = 500;
/** Nodes that hear of an outage together do not ask together. */
const JITTER = 0.25;
/** Of a minute ago, less than one request is left. */
const IDLE_REQUESTS_PER_MINUTE = 0.5;

export function startProbing(options: ProbingOptions): Probing {
  return new Prober(options);
}

class Prober implements Probing {
  readonly #options: ProbingOptions;
  readonly #timer: NodeJS.Timeout;
  /** By provider: when it was probed last, give or take the jitter. */
  readonly #probedAtMs = new Map<string, number>();
  readonly #underWay = new Set<string>();
  #needed: { readonly snapshot: Snapshot; readonly providers: Needed } | undefined;
  #isClosed = false;

  constructor(options: ProbingOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.lookMs ?? LOOK_MS);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  #look(): void {
    const snapshot = this.#options.snapshot();
    if (snapshot === undefined) return;
    if (this.#needed?.snapshot !== snapshot) {
      this.#needed = { snapshot, providers: neededProviders(snapshot) };
      for (const name of this.#probedAtMs.keys())
        if (!this.#needed.providers.has(name)) this.#probedAtMs.delete(name);
    }
    for (const [provider, subjects] of this.#needed.providers) {
      if (this.#underWay.size >= limits.probesAtOnceMax) return;
      if (this.#isDue(provider)) void this.#probe(provider, subjects);
    }
  }

  #isDue(provider: string): boolean {
    if (this.#underWay.has(provider)) return false;
    const { health, clock, random } = this.#options;
    const nowMs = clock.monotonicMs();
    const probedAtMs = this.#probedAtMs.get(provider);
    if (probedAtMs === undefined) {
      // As if it had been asked some time ago: a fleet that starts does not ask everyone at once.
      this.#probedAtMs.set(provider, nowMs - limits.probeIdleMs * random());
      return false;
    }
    const { breaker, requestsPerMinute } = health.read(`provider:${provider}`, nowMs);
    if (breaker === 'open') return nowMs - probedAtMs >= limits.probeOpenMs;
    return requestsPerMinute < IDLE_REQUESTS_PER_MINUTE && nowMs - probedAtMs >= limits.probeIdleMs;
  }

  async #probe(provider: string, subjects: Subjects): Promise<void> {
    const { health, clock, random, log, metrics } = this.#options;
    this.#underWay.add(provider);
    const finding = await this.#ask(provider);
    this.#underWay.delete(provider);
    if (this.#isClosed) return;
    const nowMs = clock.monotonicMs();
    this.#probedAtMs.set(provider, nowMs + limits.probeOpenMs * JITTER * (2 * random() - 1));
    health.noteReach(subjects, finding === 'up', nowMs);
    metrics.counter('signalbox_provider_probes_total').inc({ provider, finding });
    log.debug({ provider, finding }, 'provider probed');
  }

  /** Within a bounded time, whatever the probe does. */
  async #ask(provider: string): Promise<ProbeFinding> {
    const { promise: late, resolve } = Promise.withResolvers<ProbeFinding>();
    const timer = setTimeout(() => resolve('down'), limits.probeMsMax);
    try {
      return await Promise.race([this.#options.probe(provider), late]);
    } catch (error) {
      this.#options.log.debug({ err: error, provider }, 'a provider cannot be reached');
      return 'down';
    } finally {
      clearTimeout(timer);
    }
  }
}

type Subjects = readonly [Subject, ...Subject[]];
type Needed = ReadonlyMap<string, Subjects>;

/** Those over the network that some deployment leads to, with everyone who can be reached only if they can. */
function neededProviders({ models }: Snapshot): Needed {
  const needed = new Map<string, [Subject, ...Subject[]]>();
  for (const deployment of [...models.values()].flat()) {
    const { name, origin } = deployment.provider;
    if (origin === undefined) continue;
    const subjects = needed.get(name) ?? [`provider:${name}`];
    subjects.push(deploymentSubject(deployment));
    needed.set(name, subjects);
  }
  return needed;
}
