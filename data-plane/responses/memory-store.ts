// Answers kept in this process: for an all-in-one, and for a data plane without Redis, whose fellows then do not know them.
import type { Clock } from '#shared/clock.ts';
import type { KeptAnswer, ResponseStore, StoreLimits } from './store.ts';

interface Entry {
  readonly keyId: string;
  readonly answer: KeptAnswer;
  readonly bytes: number;
  expiresAtMs: number;
}

/** What an entry costs beside its document: two map entries, and one for each item. */
const ENTRY_BYTES = 512;
const ITEM_BYTES = 128;

export function createMemoryStore(clock: Clock, limits: StoreLimits): ResponseStore {
  return new MemoryStore(clock, limits);
}

class MemoryStore implements ResponseStore {
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  /** Least recently used first, which is also the order in which they expire. */
  readonly #entries = new Map<string, Entry>();
  readonly #byKey = new Map<string, Set<string>>();
  readonly #items = new Map<string, string>();
  #bytes = 0;

  constructor(clock: Clock, limits: StoreLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  put(keyId: string, answer: KeptAnswer): void {
    const place = placeOf(keyId, answer.id);
    this.#drop(place);
    const bytes = answer.document.length + ENTRY_BYTES + answer.itemIds.length * ITEM_BYTES;
    const { responseStoreDocumentBytesMax, responseStoreBytesMax, responseStorePerKeyMax } = this.#limits;
    if (answer.document.length > responseStoreDocumentBytesMax || bytes > responseStoreBytesMax) return;
    // A document may be a view into a buffer that is much larger.
    const kept = { ...answer, document: Buffer.from(answer.document) };
    this.#entries.set(place, { keyId, answer: kept, bytes, expiresAtMs: this.#expiry() });
    this.#bytes += bytes;
    const own = this.#byKey.get(keyId) ?? new Set();
    this.#byKey.set(keyId, own.add(place));
    for (const itemId of answer.itemIds) this.#items.set(placeOf(keyId, itemId), answer.id);
    if (own.size > responseStorePerKeyMax) this.#drop(first(own)!);
    this.#sweep();
    while (this.#bytes > responseStoreBytesMax) this.#drop(first(this.#entries.keys())!);
  }

  read(keyId: string, ids: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    this.#sweep();
    return Promise.resolve(ids.map((id) => this.#use(placeOf(keyId, id))?.answer.document));
  }

  findItems(keyId: string, itemIds: readonly string[]): Promise<readonly (string | undefined)[]> {
    this.#sweep();
    return Promise.resolve(itemIds.map((id) => this.#items.get(placeOf(keyId, id))));
  }

  remove(keyId: string, id: string): Promise<boolean> {
    this.#sweep();
    return Promise.resolve(this.#drop(placeOf(keyId, id)));
  }

  close(): Promise<void> {
    this.#entries.clear();
    this.#byKey.clear();
    this.#items.clear();
    this.#bytes = 0;
    return Promise.resolve();
  }

  #use(place: string): Entry | undefined {
    const entry = this.#entries.get(place);
    if (entry === undefined) return undefined;
    entry.expiresAtMs = this.#expiry();
    this.#entries.delete(place);
    this.#entries.set(place, entry);
    const own = this.#byKey.get(entry.keyId)!;
    own.delete(place);
    own.add(place);
    return entry;
  }

  #drop(place: string): boolean {
    const entry = this.#entries.get(place);
    if (entry === undefined) return false;
    const { keyId, answer, bytes } = entry;
    this.#entries.delete(place);
    this.#bytes -= bytes;
    const own = this.#byKey.get(keyId)!;
    own.delete(place);
    if (own.size === 0) this.#byKey.delete(keyId);
    for (const itemId of answer.itemIds) {
      const item = placeOf(keyId, itemId);
      // The same item may stand in an answer that came later.
      if (this.#items.get(item) === answer.id) this.#items.delete(item);
    }
    return true;
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [place, entry] of this.#entries) {
      if (entry.expiresAtMs > nowMs) return;
      this.#drop(place);
    }
  }

  #expiry(): number {
    return this.#clock.monotonicMs() + this.#limits.responseStoreTtlMs;
  }
}

/** Ids are anything a client may send, names of keys are not: nothing in one can be taken for the other. */
function placeOf(keyId: string, id: string): string {
  return `${keyId}\n${id}`;
}

function first<Value>(values: Iterable<Value>): Value | undefined {
  for (const value of values) return value;
  return undefined;
}
