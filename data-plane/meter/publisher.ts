// From the journal to the bus. Settlements are cut into batches in their order, a few are under way at a time, and a batch
// counts as delivered only when the ledger's own high-water mark has passed it: the bus saying "taken" may still lose it.
// Until then it is sent again, later and later, with the same settlements under the same id, so that the bus may drop what
// it has. The publisher keeps no records, only places in files: its memory does not grow with the backlog.
import { backoffMs } from '#shared/backoff.ts';
import { type Bus, usageSubject } from '#shared/bus/bus.ts';
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Batch, EpochLog, Place } from './epoch-log.ts';
import type { Journal } from './journal.ts';

export interface PublisherOptions {
  readonly journal: Journal;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly timing?: Partial<PublisherTiming>;
}

export interface PublisherTiming {
  /** How long a settlement may wait for others to share its batch. */
  readonly lingerMs: number;
  /** How often to look for what is due without being told. */
  readonly lookMs: number;
  /** Between a batch being taken by the bus and being sent again, if the ledger does not show it. */
  readonly resend: { readonly msMin: number; readonly msMax: number };
  /** Between the return of a bus that was away and sending again what it had taken before: it may have lost that. */
  readonly returnGraceMs: number;
  /** Between a refusal and the next try. */
  readonly retry: { readonly msMin: number; readonly msMax: number };
  /** How long closing may take to hand over what is left. */
  readonly flushMsMax: number;
}

export interface Publisher {
  close(): Promise<void>;
}

const defaultTiming: PublisherTiming = {
  lingerMs: 50,
  lookMs: 500,
  // The mark comes with heartbeats, every few seconds, after the ledger's transaction.
  resend: { msMin: 30_000, msMax: limits.busDuplicateWindowMs / 2 },
  returnGraceMs: 5_000,
  retry: { msMin: 500, msMax: 10_000 },
  flushMsMax: 5_000,
};

/** A batch that the ledger has not shown yet. */
interface Pending {
  firstSequence: number;
  readonly lastSequence: number;
  readonly from: Place;
  /** When to send it (again); Infinity while it is under way. */
  dueMs: number;
  /** Times the bus took it. */
  taken: number;
  /** Refusals since it was last taken. */
  refusals: number;
}

/** How far one epoch has been published. */
interface Progress {
  readonly log: EpochLog;
  readonly pending: Pending[];
  next: Place;
  nextSequence: number;
}

class JournalPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #timing: PublisherTiming;
  readonly #progress = new Map<string, Progress>();
  readonly #lookTimer: NodeJS.Timeout;
  #lingerTimer: NodeJS.Timeout | undefined;
  #underWay = 0;
  #wasConnected = false;
  #pumping = false;
  #again = false;
  #closed = false;
  #changed = Promise.withResolvers<void>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#lookTimer = setInterval(() => this.#pump(), this.#timing.lookMs).unref();
    options.journal.onSettled(() => this.#linger());
    options.metrics.gauge('signalbox_bus_connected', (gauge) =>
      gauge.set(options.bus.state === 'connected' ? 1 : 0),
    );
    this.#pump();
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => this.#stop(), this.#timing.flushMsMax);
    // Without a bus there is nothing to wait for: the next start publishes what is left.
    while (!this.#closed && this.#options.bus.state === 'connected' && !this.#allTaken()) {
      const { promise } = this.#changed;
      this.#pump();
      await promise;
    }
    clearTimeout(timer);
    this.#stop();
  }

  #stop(): void {
    this.#closed = true;
    clearInterval(this.#lookTimer);
    clearTimeout(this.#lingerTimer);
    this.#options.journal.onSettled(() => undefined);
    this.#tellChanged();
  }

  #tellChanged(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  #allTaken(): boolean {
    for (const log of this.#options.journal.logs()) {
      const { pending, nextSequence } = this.#progressOf(log);
      if (Math.max(nextSequence, log.watermark + 1) <= log.lastSequence) return false;
      if (pending.some(({ taken, lastSequence }) => taken === 0 && lastSequence > log.watermark))
        return false;
    }
    return true;
  }

  #linger(): void {
    this.#lingerTimer ??= setTimeout(() => {
      this.#lingerTimer = undefined;
      this.#pump();
    }, this.#timing.lingerMs).unref();
  }

  /** Runs one round at a time; a call during a round asks for another. */
  #pump(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    void (async () => {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#round();
      }
      this.#pumping = false;
    })();
  }

  async #round(): Promise<void> {
    const connected = this.#options.bus.state === 'connected';
    const logs = this.#options.journal.logs();
    this.#forgetGone(logs);
    if (connected && !this.#wasConnected) this.#hurry();
    this.#wasConnected = connected;
    if (!connected) return;
    for (const log of logs) await this.#sendFrom(log);
  }

  async #sendFrom(log: EpochLog): Promise<void> {
    const progress = this.#progressOf(log);
    this.#dropConfirmed(progress);
    try {
      await this.#sendDue(progress);
      await this.#sendNew(progress);
    } catch (error) {
      this.#options.log.warn(
        { err: error, epoch: log.epoch },
        'the journal cannot be read for publishing, trying again',
      );
    }
  }

  #progressOf(log: EpochLog): Progress {
    const known = this.#progress.get(log.epoch);
    if (known !== undefined) return known;
    const progress = { log, pending: [], next: log.start, nextSequence: log.watermark + 1 };
    this.#progress.set(log.epoch, progress);
    return progress;
  }

  #forgetGone(logs: readonly EpochLog[]): void {
    const alive = new Set(logs.map(({ epoch }) => epoch));
    for (const epoch of this.#progress.keys()) if (!alive.has(epoch)) this.#progress.delete(epoch);
  }

  #dropConfirmed(progress: Progress): void {
    const { log, pending } = progress;
    const open = pending.findIndex(({ lastSequence }) => lastSequence > log.watermark);
    pending.splice(0, open === -1 ? pending.length : open);
    // The mark may stand within a batch that an earlier start cut otherwise; what it has passed may be gone from the files.
    const [first] = pending;
    if (first !== undefined) first.firstSequence = Math.max(first.firstSequence, log.watermark + 1);
    progress.nextSequence = Math.max(progress.nextSequence, log.watermark + 1);
  }

  /** The bus is back: what it refused is due now, and what it took may have been lost with it. */
  #hurry(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const { pending } of this.#progress.values()) {
      for (const batch of pending) {
        if (batch.dueMs === Number.POSITIVE_INFINITY) continue;
        batch.refusals = 0;
        const graceMs = batch.taken === 0 ? 0 : this.#timing.returnGraceMs;
        batch.dueMs = Math.min(batch.dueMs, nowMs + graceMs);
      }
    }
  }

  get #room(): boolean {
    return this.#underWay < limits.usageBatchesInFlightMax && !this.#closed;
  }

  async #sendDue({ log, pending }: Progress): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    for (const batch of pending.filter(({ dueMs }) => dueMs <= nowMs)) {
      if (!this.#room) return;
      // Cut at the same place up to the same record: the same settlements, which the id promises.
      const cut = await this.#cut(log, batch.from, batch.firstSequence, batch.lastSequence);
      if (cut !== undefined && cut.lastSequence === batch.lastSequence) this.#send(log, cut, batch);
    }
  }

  async #sendNew(progress: Progress): Promise<void> {
    const { log, pending } = progress;
    while (
      this.#room &&
      pending.length < limits.usageBatchesUnconfirmedMax &&
      progress.nextSequence <= log.lastSequence
    ) {
      const cut = await this.#cut(log, progress.next, progress.nextSequence, log.lastSequence);
      if (cut === undefined) return;
      const { firstSequence, lastSequence, from } = cut;
      const batch: Pending = { firstSequence, lastSequence, from, dueMs: 0, taken: 0, refusals: 0 };
      pending.push(batch);
      progress.next = cut.to;
      progress.nextSequence = lastSequence + 1;
      this.#send(log, cut, batch);
    }
  }

  #cut(log: EpochLog, from: Place, firstSequence: number, lastSequence: number): Promise<Batch | undefined> {
    return log.cut({ from, firstSequence, lastSequence, sender: this.#options.journal.sender });
  }

  #send(log: EpochLog, { firstSequence, lastSequence, data }: Batch, batch: Pending): void {
    const { bus, clock, journal } = this.#options;
    const { resend, retry } = this.#timing;
    batch.dueMs = Number.POSITIVE_INFINITY;
    this.#underWay += 1;
    // Both ends are in the id: a batch cut differently is a different message.
    const id = `${journal.sender.nodeId}/${log.epoch}/${firstSequence}-${lastSequence}`;
    const settle = async () => {
      try {
        await bus.publish({ subject: usageSubject, id, data });
        batch.taken += 1;
        batch.refusals = 0;
        batch.dueMs = clock.monotonicMs() + backoffMs(batch.taken, resend);
      } catch (error) {
        batch.refusals += 1;
        batch.dueMs = clock.monotonicMs() + backoffMs(batch.refusals, retry);
        this.#reportRefusal(error, id);
      }
      this.#underWay -= 1;
      this.#tellChanged();
      this.#pump();
    };
    void settle();
  }

  #reportRefusal(error: unknown, id: string): void {
    const { log, metrics } = this.#options;
    metrics.counter('signalbox_bus_publish_failures_total').inc();
    log.debug({ err: error, id }, 'the bus did not take a usage batch, trying again');
  }
}

export function startPublisher(options: PublisherOptions): Publisher {
  return new JournalPublisher(options);
}
