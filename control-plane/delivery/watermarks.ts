// How far the ledger has taken in each node's journal, told with heartbeats. A heartbeat is answered at once with what is
// known; asking the database is paced so that the whole fleet together asks about twenty times a second: deleting a
// journal segment a minute later costs nothing, a query per heartbeat would.
import type { Logger } from '#shared/log.ts';

/** For each of a node's journals that the ledger has something of: the sequence up to which it has everything. */
export type ReadWatermarks = (
  nodeId: string,
  journalEpochs: readonly string[],
) => Promise<ReadonlyMap<string, bigint>>;

const QUERIES_PER_SECOND = 20;

interface Known {
  watermarks: ReadonlyMap<string, bigint>;
  askedMs: number;
  asking: boolean;
}

export class Watermarks {
  readonly #read: ReadWatermarks;
  readonly #log: Logger;
  readonly #known = new Map<string, Known>();

  constructor(read: ReadWatermarks, log: Logger) {
    this.#read = read;
    this.#log = log;
  }

  /** What is known now. If that is old, asks, and calls back when there is news. */
  of(
    nodeId: string,
    journalEpochs: readonly string[],
    nowMs: number,
    onNews: (watermarks: ReadonlyMap<string, bigint>) => void,
  ): ReadonlyMap<string, bigint> {
    if (journalEpochs.length === 0) return new Map();
    let known = this.#known.get(nodeId);
    if (known === undefined) {
      known = { watermarks: new Map(), askedMs: Number.NEGATIVE_INFINITY, asking: false };
      this.#known.set(nodeId, known);
    }
    const pauseMs = (this.#known.size * 1000) / QUERIES_PER_SECOND;
    if (!known.asking && nowMs - known.askedMs >= pauseMs) {
      known.asking = true;
      known.askedMs = nowMs;
      void this.#ask(nodeId, journalEpochs, known, onNews);
    }
    return known.watermarks;
  }

  forget(nodeId: string): void {
    this.#known.delete(nodeId);
  }

  async #ask(
    nodeId: string,
    journalEpochs: readonly string[],
    known: Known,
    onNews: (watermarks: ReadonlyMap<string, bigint>) => void,
  ): Promise<void> {
    try {
      known.watermarks = await this.#read(nodeId, journalEpochs);
      onNews(known.watermarks);
    } catch (error) {
      // The node keeps its journal until it hears better; the next heartbeat asks again.
      this.#log.debug({ node: nodeId, err: error }, 'watermarks cannot be read');
    } finally {
      known.asking = false;
    }
  }
}
