// Keeps the catalogue as new as the database. Any number of hints become one look at a time; a look reads what changed,
// in pages, and hands it to the catalogue as one step. When the database is away the catalogue stays as it is.
import { SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import type { Metrics } from '#shared/metrics.ts';
import type { Db } from '../store/database.ts';
import {
  followRevisions,
  type ResourceRow,
  type RevisionFollower,
  readHead,
  readSince,
} from '../store/resources.ts';
import type { Catalogue } from './catalogue.ts';

export interface FeedOptions {
  readonly db: Db;
  readonly databaseUrl: string;
  readonly catalogue: Catalogue;
  readonly onPublished: () => void;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Feed {
  readonly #options: FeedOptions;
  readonly #follower: RevisionFollower;
  #looking: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  #reachable = true;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#follower = followRevisions({
      databaseUrl: options.databaseUrl,
      onHint: () => void this.refresh(),
      onConnectionError: (error) => options.log.debug({ err: error }, 'the listening connection was lost'),
    });
    options.metrics.gauge('signalbox_config_revision', (gauge) =>
      gauge.set(Number(options.catalogue.head?.revision ?? 0n)),
    );
  }

  /** Resolves when a look that began after this call is done, to whether the database answered. */
  refresh(): Promise<boolean> {
    if (this.#looking === undefined) return this.#start();
    // The look under way may have read the head just before it moved.
    this.#next ??= this.#looking.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#follower.close();
    await this.#next;
    await this.#looking;
  }

  #start(): Promise<boolean> {
    const looking = this.#look().finally(() => {
      this.#looking = undefined;
    });
    this.#looking = looking;
    return looking;
  }

  async #look(): Promise<boolean> {
    if (this.#closed) return false;
    try {
      await this.#load();
      if (!this.#reachable) this.#options.log.info('the database answers again');
      this.#reachable = true;
    } catch (error) {
      const state = {
        err: SignalboxError.from(error),
        revision: String(this.#options.catalogue.head?.revision ?? ''),
      };
      // Once per outage: this is asked every second.
      if (this.#reachable)
        this.#options.log.warn(state, 'the configuration cannot be read; nodes are served from memory');
      this.#reachable = false;
    }
    return this.#reachable;
  }

  async #load(): Promise<void> {
    const { db, catalogue, onPublished, log } = this.#options;
    const newest = await readHead(db);
    const loaded = catalogue.head;
    if (loaded !== undefined && loaded.revision === newest.revision && loaded.historyId === newest.historyId)
      return;
    if (loaded !== undefined && !catalogue.continues(newest)) {
      log.warn(
        { from: loaded, to: newest },
        'the history of the configuration has changed; all of it is read again',
      );
    }
    const since = catalogue.continues(newest) ? loaded!.revision : 0n;
    const changed: ResourceRow[] = [];
    const head = await readSince(db, since, (rows) => void changed.push(...rows));
    // Restored between the two looks at it.
    if (since > 0n && !catalogue.continues(head)) return this.#load();
    await catalogue.apply(head, changed);
    onPublished();
  }
}
