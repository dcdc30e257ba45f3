// The configuration as this replica last saw it, in memory: what serves nodes while Postgres is down. Every resource keeps
// the revision that last changed it and removed ones stay as tombstones, so the difference from any revision is the
// resources with a higher version. A ring remembers what recent revisions touched, which makes a small difference cost
// what changed and not what there is. Transfers are packed once per (from, to) and shared by all nodes.
//
// A snapshot for a node that has nothing is an older packed snapshot followed by the difference since: 100,000 keys are
// packed again only when the difference has become a good part of the whole.
import { ConfigurationDigest } from '#shared/configuration-digest.ts';
import { limits } from '#shared/limits.ts';
import { Slices } from '#shared/slices.ts';
import type { ConfigurationHead, ResourceRow } from '../store/resources.ts';
import { join, type Packed, pack, type Transfer } from './transfer.ts';

/** What this replica serves. */
export interface CatalogueHead extends ConfigurationHead {
  readonly digest: Uint8Array;
}

export type SignHead = (head: CatalogueHead) => Uint8Array;

interface RingEntry {
  /** Covers the revisions after `after` up to `revision`: a replica may learn of several at once. */
  readonly after: bigint;
  readonly revision: bigint;
  readonly digest: Uint8Array;
  readonly keys: readonly string[];
}

interface State {
  readonly head: CatalogueHead;
  readonly rows: Map<string, ResourceRow>;
  readonly digest: ConfigurationDigest;
  readonly ring: readonly RingEntry[];
}

/** More rows than this are applied to a copy in slices; fewer take under a millisecond in place. */
const IN_PLACE_ROWS_MAX = 1_000;
/** A revision that touched more is not worth remembering: scanning everything costs about the same. */
const RING_KEYS_MAX = 5_000;
const STEPS_PER_LOOK = 128;
/** A packed snapshot is used again until the difference since reaches this part of it, or this many bytes. */
const BASE_GROWTH_MAX = 0.25;
const BASE_GROWTH_BYTES_MIN = 64 * 1024;
/** Nodes that were away come from as many different revisions as there were changes; each gets a small transfer. */
const DELTAS_CACHED_MAX = 1_024;

export class Catalogue {
  readonly #sign: SignHead;
  #state: State | undefined;
  #base: Promise<{ readonly revision: bigint; readonly packed: Packed }> | undefined;
  readonly #deltas = new Map<bigint, Promise<Transfer>>();
  #full: Promise<Transfer> | undefined;

  constructor(sign: SignHead) {
    this.#sign = sign;
  }

  /** Undefined until the first load. */
  get head(): CatalogueHead | undefined {
    return this.#state?.head;
  }

  get size(): number {
    return this.#state?.rows.size ?? 0;
  }

  /** What a node at that revision must hold, where this replica remembers it. */
  digestAt(revision: bigint): Uint8Array | undefined {
    return this.#state?.ring.find((entry) => entry.revision === revision)?.digest;
  }

  /** Whether `head` continues what is loaded. If not, everything has to be read again from revision 0. */
  continues(head: ConfigurationHead): boolean {
    const loaded = this.#state?.head;
    return loaded !== undefined && loaded.historyId === head.historyId && loaded.revision <= head.revision;
  }

  /**
   * Takes in the rows changed since the loaded revision. Visible all at once, when it resolves; calls must not overlap.
   */
  async apply(head: ConfigurationHead, changed: readonly ResourceRow[]): Promise<void> {
    const before = this.continues(head) ? this.#state : undefined;
    const slices = new Slices();
    const rows = before === undefined || changed.length > IN_PLACE_ROWS_MAX ? new Map() : before.rows;
    if (before !== undefined && rows !== before.rows) await copyInto(rows, before.rows, slices);
    // In place nothing may run in between; on a copy others may, and still see the state before.
    const aside = rows !== before?.rows;
    const digest = before?.digest.copy() ?? ConfigurationDigest.empty();
    for (const [index, row] of changed.entries()) {
      change(rows, digest, row);
      if (aside && index % STEPS_PER_LOOK === 0 && slices.due) await slices.rest();
    }
    this.#publish({ ...head, digest: digest.bytes() }, rows, digest, before, changed);
  }

  #publish(
    head: CatalogueHead,
    rows: Map<string, ResourceRow>,
    digest: ConfigurationDigest,
    before: State | undefined,
    changed: readonly ResourceRow[],
  ): void {
    const ring = nextRing(before, head, changed);
    if (before === undefined) this.#base = undefined;
    this.#state = { head, rows, digest, ring };
    this.#deltas.clear();
    this.#full = undefined;
  }

  /** What brings a node from a revision of this history to the head. */
  delta(from: bigint): Promise<Transfer> {
    const known = this.#deltas.get(from);
    if (known !== undefined) return known;
    const state = this.#loaded();
    const packing = this.#packDelta(state, from);
    if (this.#deltas.size < DELTAS_CACHED_MAX) this.#deltas.set(from, packing);
    packing.catch(() => this.#deltas.delete(from));
    return packing;
  }

  /** What gives a node everything. */
  full(): Promise<Transfer> {
    if (this.#full !== undefined) return this.#full;
    const packing = this.#packFull();
    this.#full = packing;
    packing.catch(() => {
      if (this.#full === packing) this.#full = undefined;
    });
    return packing;
  }

  async #packDelta(state: State, from: bigint): Promise<Transfer> {
    const rows = await changedSince(state, from);
    return this.#toTransfer(state.head, from, false, await pack(rows));
  }

  async #packFull(): Promise<Transfer> {
    let base = await this.#packBase();
    for (let attempt = 0; ; attempt++) {
      const state = this.#loaded();
      const difference = await pack(await changedSince(state, base.revision));
      const growthMax = Math.max(BASE_GROWTH_BYTES_MIN, base.packed.totalBytes * BASE_GROWTH_MAX);
      if (difference.totalBytes <= growthMax || attempt > 0) {
        return this.#toTransfer(state.head, 0n, true, join(base.packed, difference));
      }
      this.#base = undefined;
      base = await this.#packBase();
    }
  }

  #packBase(): Promise<{ readonly revision: bigint; readonly packed: Packed }> {
    if (this.#base !== undefined) return this.#base;
    const { head, rows } = this.#loaded();
    // The rows as they are now: they are immutable, only the map changes.
    const live = [...rows.values()].filter((row) => row.payload !== null);
    const packing = pack(live).then((packed) => ({ revision: head.revision, packed }));
    this.#base = packing;
    packing.catch(() => {
      if (this.#base === packing) this.#base = undefined;
    });
    return packing;
  }

  #toTransfer(head: CatalogueHead, from: bigint, full: boolean, packed: Packed): Transfer {
    return Object.freeze({
      historyId: head.historyId,
      from,
      to: head.revision,
      full,
      chunks: packed.chunks,
      totalBytes: packed.totalBytes,
      sha256: packed.hash.copy().digest(),
      digest: head.digest,
      signature: this.#sign(head),
    });
  }

  #loaded(): State {
    if (this.#state === undefined)
      throw new Error('the catalogue is asked for a transfer before it is loaded');
    return this.#state;
  }
}

function keyOf({ type, name }: ResourceRow): string {
  return `${type}/${name}`;
}

function change(rows: Map<string, ResourceRow>, digest: ConfigurationDigest, row: ResourceRow): void {
  const key = keyOf(row);
  const before = rows.get(key);
  if (before !== undefined && before.payload !== null)
    digest.remove(before.type, before.name, before.version);
  if (row.payload !== null) digest.add(row.type, row.name, row.version);
  rows.set(key, row);
}

async function copyInto(
  target: Map<string, ResourceRow>,
  source: ReadonlyMap<string, ResourceRow>,
  slices: Slices,
): Promise<void> {
  let steps = 0;
  for (const [key, row] of source) {
    target.set(key, row);
    if (++steps % STEPS_PER_LOOK === 0 && slices.due) await slices.rest();
  }
}

function nextRing(
  before: State | undefined,
  head: CatalogueHead,
  changed: readonly ResourceRow[],
): readonly RingEntry[] {
  if (before === undefined || changed.length > RING_KEYS_MAX) {
    return [{ after: head.revision, revision: head.revision, digest: head.digest, keys: [] }];
  }
  const { revision, digest } = head;
  const entry = { after: before.head.revision, revision, digest, keys: changed.map(keyOf) };
  return [...before.ring, entry].slice(-limits.syncRingRevisions);
}

/** Live rows and tombstones above a revision: from the ring where it reaches back that far, else from everything. */
async function changedSince(state: State, from: bigint): Promise<ResourceRow[]> {
  const oldest = state.ring[0];
  if (oldest !== undefined && oldest.after <= from) {
    const keys = new Set(state.ring.filter((entry) => entry.revision > from).flatMap((entry) => entry.keys));
    return [...keys].map((key) => state.rows.get(key)!).filter((row) => row.version > from);
  }
  const slices = new Slices();
  const rows = [...state.rows.values()];
  const changed: ResourceRow[] = [];
  for (const [index, row] of rows.entries()) {
    if (row.version > from) changed.push(row);
    if (index % STEPS_PER_LOOK === 0 && slices.due) await slices.rest();
  }
  return changed;
}
