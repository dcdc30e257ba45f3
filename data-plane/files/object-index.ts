// Which files and batches an API key has. A provider's own lists show everything in the account, whoever made it, so they cannot be
// passed on; what a key made through this instance, or asked it about, is remembered here instead, as it was last described.
import type { JsonObject } from '../json/values.ts';
import type { ObjectKind } from './objects.ts';

export interface IndexLimits {
  readonly objectsPerKeyMax: number;
  readonly objectsRememberedMax: number;
  readonly objectBytesMax: number;
}

interface Entry {
  readonly description: string;
  readonly createdAt: number;
}

export class ObjectIndex {
  readonly #limits: IndexLimits;
  /** By key and kind, those used least recently first; each by id, the oldest first. */
  readonly #shelves = new Map<string, Map<string, Entry>>();
  #size = 0;

  constructor(limits: IndexLimits) {
    this.#limits = limits;
  }

  remember(keyId: string, kind: ObjectKind, id: string, object: JsonObject): void {
    const description = JSON.stringify(object);
    const { objectBytesMax, objectsPerKeyMax, objectsRememberedMax } = this.#limits;
    if (description.length > objectBytesMax) return;
    const name = `${kind} ${keyId}`;
    const shelf = this.#shelves.get(name) ?? new Map<string, Entry>();
    this.#shelves.delete(name);
    this.#shelves.set(name, shelf);
    const createdAt = typeof object.created_at === 'number' ? object.created_at : 0;
    if (!shelf.has(id)) this.#size += 1;
    shelf.set(id, { description, createdAt });
    if (shelf.size > objectsPerKeyMax) this.#drop(shelf);
    while (this.#size > objectsRememberedMax) this.#dropSomewhere();
  }

  forget(keyId: string, kind: ObjectKind, id: string): void {
    if (this.#shelves.get(`${kind} ${keyId}`)?.delete(id)) this.#size -= 1;
  }

  /** The newest first. */
  list(keyId: string, kind: ObjectKind): readonly JsonObject[] {
    const shelf = this.#shelves.get(`${kind} ${keyId}`) ?? [];
    return [...shelf]
      .map(([, entry]) => entry)
      .reverse()
      .sort((one, other) => other.createdAt - one.createdAt)
      .map(({ description }) => JSON.parse(description) as JsonObject);
  }

  #dropSomewhere(): void {
    for (const [name, shelf] of this.#shelves) {
      if (shelf.size > 0) this.#drop(shelf);
      if (shelf.size === 0) this.#shelves.delete(name);
      return;
    }
  }

  #drop(shelf: Map<string, Entry>): void {
    for (const id of shelf.keys()) {
      shelf.delete(id);
      this.#size -= 1;
      return;
    }
  }
}
