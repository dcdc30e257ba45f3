// Knows whether the database answers, for health reports and the metric; says in the log when that changes. What needs the
// database finds out by itself.
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import { type Db, databaseAnswers } from '../store/database.ts';

const INTERVAL_MS = 2_000;
/** An answer that takes longer is no answer: a frozen server never refuses. */
const ANSWER_MS_MAX = 2_000;

export class DatabaseHealth {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #up = true;
  #question: Promise<boolean> | undefined;

  constructor(options: { db: Db; metrics: Metrics; log: Logger }) {
    this.#ended = this.#watch(options);
  }

  get up(): boolean {
    return this.#up;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** One question at a time: a frozen server would collect all connections. */
  async #answersInTime(db: Db): Promise<boolean> {
    this.#question ??= databaseAnswers(db).finally(() => {
      this.#question = undefined;
    });
    const { signal } = this.#stop;
    const late = wait(ANSWER_MS_MAX, false, { signal, ref: false }).catch(() => false);
    return Promise.race([this.#question, late]);
  }

  async #watch({ db, metrics, log }: { db: Db; metrics: Metrics; log: Logger }): Promise<void> {
    const gauge = metrics.gauge('signalbox_database_up');
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const up = await this.#answersInTime(db);
      if (signal.aborted) return;
      if (up !== this.#up) {
        if (up) log.info('the database answers again');
        else log.error('the database does not answer; data planes keep serving, the admin API answers 503');
      }
      this.#up = up;
      gauge.set(up ? 1 : 0);
      await wait(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
