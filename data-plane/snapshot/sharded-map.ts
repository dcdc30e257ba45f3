// An immutable map in which one change among 100,000 entries costs microseconds. Entries are spread over many small
// maps; a change copies the small map it falls into and the list of them, and shares all others with the map it came
// from. There is nothing to compact and no large table that would have to be rehashed in one go.

const SHARDS = 1024;
/** Names differ at their end (ids, counters); hashing more than this tells no more entries apart. */
const HASHED_CHARS = 8;

type Shard<Value> = ReadonlyMap<string, Value>;

const noShard = new Map<string, never>();

export class ShardedMap<Value> {
  readonly size: number;
  readonly #shards: readonly Shard<Value>[];

  private constructor(shards: readonly Shard<Value>[], size: number) {
    this.#shards = shards;
    this.size = size;
  }

  static empty<Value>(): ShardedMap<Value> {
    return new ShardedMap<Value>(new Array<Shard<Value>>(SHARDS).fill(noShard), 0);
  }

  get(key: string): Value | undefined {
    return this.#shards[shardOf(key)]!.get(key);
  }

  *entries(): Generator<[string, Value]> {
    for (const shard of this.#shards) yield* shard;
  }

  edit(): ShardedMapEdit<Value> {
    return new ShardedMapEdit(this.#shards, this.size, (shards, size) => new ShardedMap(shards, size));
  }
}

/** Changes on the way to a new map; the map it started from never sees them. */
class ShardedMapEdit<Value> {
  readonly #shards: Shard<Value>[];
  /** The shards that were copied here and may be changed in place. */
  readonly #own = new Map<number, Map<string, Value>>();
  readonly #finish: (shards: readonly Shard<Value>[], size: number) => ShardedMap<Value>;
  #size: number;

  constructor(
    shards: readonly Shard<Value>[],
    size: number,
    finish: (shards: readonly Shard<Value>[], size: number) => ShardedMap<Value>,
  ) {
    this.#shards = shards.slice();
    this.#size = size;
    this.#finish = finish;
  }

  get(key: string): Value | undefined {
    return this.#shards[shardOf(key)]!.get(key);
  }

  set(key: string, value: Value): void {
    const shard = this.#ownShard(shardOf(key));
    const sizeBefore = shard.size;
    shard.set(key, value);
    this.#size += shard.size - sizeBefore;
  }

  delete(key: string): boolean {
    if (!this.#shards[shardOf(key)]!.has(key)) return false;
    this.#size -= 1;
    return this.#ownShard(shardOf(key)).delete(key);
  }

  /** The edit must not be used afterwards: the new map holds its shards. */
  finish(): ShardedMap<Value> {
    return this.#finish(this.#shards, this.#size);
  }

  #ownShard(index: number): Map<string, Value> {
    const owned = this.#own.get(index);
    if (owned !== undefined) return owned;
    const copy = new Map(this.#shards[index]);
    this.#own.set(index, copy);
    this.#shards[index] = copy;
    return copy;
  }
}

// FNV-1a: a few operations a character, and well spread in the low bits.
function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = Math.max(0, key.length - HASHED_CHARS); index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash ^ (hash >>> 15)) & (SHARDS - 1);
}
