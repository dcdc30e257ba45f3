// What this replica knows about its nodes, and how it gets into the database: changes are noted in memory and written once
// a second for all nodes together. When the database is away the newest state waits; nothing queues up.
import { SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import type { Db } from '../store/database.ts';
import { type NodeState, saveNodes } from '../store/nodes.ts';

/** Soon enough for people and tests, rarely enough that a thousand nodes are one statement. */
const FLUSH_MS = 1_000;

export class NodeBook {
  readonly #db: Db;
  readonly #replicaId: string;
  readonly #log: Logger;
  readonly #states = new Map<string, NodeState>();
  readonly #changed = new Set<string>();
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failed = false;

  constructor({ db, replicaId, log }: { db: Db; replicaId: string; log: Logger }) {
    this.#db = db;
    this.#replicaId = replicaId;
    this.#log = log;
  }

  /** A node said hello. */
  enter(state: NodeState): void {
    // What an earlier stream was told and is not written yet still stands.
    const lastNack = state.lastNack ?? this.#states.get(state.id)?.lastNack ?? null;
    this.#states.set(state.id, { ...state, lastNack });
    this.#note(state.id);
  }

  update(id: string, change: Partial<NodeState>): void {
    const state = this.#states.get(id);
    if (state === undefined) return;
    this.#states.set(id, { ...state, ...change });
    this.#note(id);
  }

  /** Writes what has changed. Failing is not an error here: it is tried again. */
  async flush(): Promise<void> {
    await this.#flushing;
    this.#flushing = this.#write();
    await this.#flushing;
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #note(id: string): void {
    this.#changed.add(id);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, FLUSH_MS);
  }

  async #write(): Promise<void> {
    const states = [...this.#changed].map((id) => this.#states.get(id)!);
    this.#changed.clear();
    try {
      await saveNodes(this.#db, this.#replicaId, states);
      this.#failed = false;
    } catch (error) {
      for (const { id } of states) this.#note(id);
      // Once per outage; the database's own health is reported elsewhere.
      if (!this.#failed)
        this.#log.warn({ err: SignalboxError.from(error) }, 'the state of nodes cannot be written');
      this.#failed = true;
      return;
    }
    for (const written of states) this.#forgetAway(written);
  }

  #forgetAway(written: NodeState): void {
    if (!written.connected && this.#states.get(written.id) === written) this.#states.delete(written.id);
  }
}
