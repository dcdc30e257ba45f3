// Those who wait for one place, in the order in which they are let in: the urgent ones first, among equally urgent ones each API key in
// turn, and of one key whoever came first. A key that was served goes to the end of its level, so a key with a thousand requests in line
// costs another key with one request a single turn. Urgency has no such bound: as long as the urgent keep coming, the patient wait,
// until their time is up. Whoever gives out urgency says how many may have it. The same order from behind says who gives way when there
// is no room in line: the most patient, and of equals the key that has the most in it.
import { limits } from '#shared/limits.ts';

export interface InLine {
  readonly principal: string;
  /** 0 is the most urgent. */
  readonly priority: number;
}

/** By principal, in the order of their turns; of each, in the order of arrival. */
type Level<Item> = Map<string, Set<Item>>;

export class WaitingLine<Item extends InLine> {
  /** By priority; those that were never used are not there. */
  readonly #levels: (Level<Item> | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  join(item: Item): void {
    const level = this.#levelOf(item);
    const own = level.get(item.principal);
    if (own === undefined) level.set(item.principal, new Set([item]));
    else own.add(item);
    this.#size += 1;
  }

  /** Goes without having been served: nobody's turn changes. */
  leave(item: Item): void {
    const level = this.#levelOf(item);
    const own = level.get(item.principal);
    if (own?.delete(item) !== true) return;
    this.#size -= 1;
    if (own.size === 0) level.delete(item.principal);
  }

  /** Goes because it was served: its key has had its turn. */
  serve(item: Item): void {
    this.leave(item);
    const level = this.#levelOf(item);
    const own = level.get(item.principal);
    if (own === undefined) return;
    level.delete(item.principal);
    level.set(item.principal, own);
  }

  /** The first in order that may go now; those before it that may not are passed over and keep their turn. */
  first(mayGo: (item: Item) => boolean): Item | undefined {
    if (this.#size === 0) return undefined;
    for (const level of this.#levels) {
      for (const own of level?.values() ?? []) {
        for (const item of own) if (mayGo(item)) return item;
      }
    }
    return undefined;
  }

  /** Who has to make room for somebody new, if anybody: nobody does for one that is no more urgent and whose key has as many in line. */
  givesWay({ principal, priority }: InLine, mayBe: (item: Item) => boolean): Item | undefined {
    const own = levelAt(priority);
    for (let at = limits.queuePriorityMax; at >= own; at -= 1) {
      const level = this.#levels[at] ?? new Map<string, Set<Item>>();
      const longest = [...level.values()].reduce(
        (one, other) => (other.size > one.size ? other : one),
        new Set(),
      );
      // One more of the newcomer's, and it must still be the shorter one.
      const bound = at === own ? (level.get(principal)?.size ?? 0) + 1 : 0;
      const last = longest.size > bound ? [...longest].findLast(mayBe) : undefined;
      if (last !== undefined) return last;
    }
    return undefined;
  }

  #levelOf({ priority }: Item): Level<Item> {
    const index = levelAt(priority);
    this.#levels[index] ??= new Map();
    return this.#levels[index];
  }
}

function levelAt(priority: number): number {
  return Math.min(Math.max(Math.trunc(priority), 0), limits.queuePriorityMax);
}
