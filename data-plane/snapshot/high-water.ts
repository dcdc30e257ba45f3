// How far this node has come, so that it cannot be led back: the highest revision it has stored of each history, and
// which file on disk is the one before the newest. An old copy of the cache put in place of the current one, or a
// control plane restored from a backup under the same history, would bring revoked keys back to life.
import { z } from 'zod';

/** Where the record is kept. */
interface Store {
  read<Value>(name: string, parse: (text: string) => Value): Promise<Value | undefined>;
  write(name: string, text: string): Promise<void>;
}

/** A configuration as it lies on disk. */
export interface StoredGeneration {
  readonly fileId: string;
  readonly historyId: string;
  readonly revision: bigint;
}

const FILE = 'high-water.json';
/** A history ends only when a database is restored or replaced; older ones than these are not coming back. */
const HISTORIES_MAX = 16;

const revisionShape = z.string().regex(/^\d{1,20}$/);
const recordShape = z.object({
  // Oldest first.
  histories: z.array(z.object({ id: z.string(), revision: revisionShape })),
  current: z.string(),
  previous: z.string(),
});
type HighWaterRecord = z.infer<typeof recordShape>;

export class HighWater {
  readonly #store: Store;
  #record: HighWaterRecord;

  private constructor(store: Store, record: HighWaterRecord) {
    this.#store = store;
    this.#record = record;
  }

  static async open(store: Store): Promise<HighWater> {
    const stored = await store.read(FILE, (text) => recordShape.parse(JSON.parse(text)));
    return new HighWater(store, stored ?? { histories: [], current: '', previous: '' });
  }

  /** The highest revision of this history that was stored here; 0 for a history not seen before. */
  of(historyId: string): bigint {
    const known = this.#record.histories.find((history) => history.id === historyId);
    return BigInt(known?.revision ?? 0);
  }

  /** Whether a file may be started from: nothing newer was stored, or it is the one kept in case the newest is damaged. */
  accepts(generation: StoredGeneration): boolean {
    return (
      generation.revision >= this.of(generation.historyId) || generation.fileId === this.#record.previous
    );
  }

  /**
   * To be called once the file is safely on disk: before that, a crash must find the older file acceptable. `previous`
   * is the file that now lies beside it; it stays acceptable if it was so far.
   */
  async stored({ historyId, revision, fileId }: StoredGeneration, previous: string): Promise<void> {
    let highest = this.of(historyId);
    if (revision > highest) highest = revision;
    const others = this.#record.histories.filter((history) => history.id !== historyId);
    const known = previous === this.#record.current || previous === this.#record.previous;
    this.#record = {
      histories: [...others, { id: historyId, revision: highest.toString() }].slice(-HISTORIES_MAX),
      current: fileId,
      previous: known ? previous : '',
    };
    await this.#store.write(FILE, JSON.stringify(this.#record));
  }
}
