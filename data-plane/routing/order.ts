// The order in which equals are tried: lower priority numbers first, then what is near, then by lot, where a weight says
// how many lots one has. The lots are exponential variables (-ln(u) / weight, smallest first), which gives exactly the
// order of drawing without replacement; weight 0 is drawn after everyone who has a lot.

export interface Ranked {
  readonly priority: number;
  readonly weight: number;
}

export interface OrderOptions<Item> {
  /** A number from 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  readonly isNear?: (item: Item) => boolean;
}

export function inOrder<Item extends Ranked>(
  items: readonly Item[],
  { random, isNear = () => false }: OrderOptions<Item>,
): readonly Item[] {
  if (items.length < 2) return items;
  return items
    .map((item) => ({ item, far: isNear(item) ? 0 : 1, lot: lotOf(item.weight, random()) }))
    .sort((a, b) => a.item.priority - b.item.priority || a.far - b.far || compareLots(a.lot, b.lot))
    .map(({ item }) => item);
}

function compareLots(a: Lot, b: Lot): number {
  return a.without - b.without || a.value - b.value;
}

interface Lot {
  readonly without: 0 | 1;
  readonly value: number;
}

function lotOf(weight: number, chance: number): Lot {
  return weight > 0 ? { without: 0, value: -Math.log(1 - chance) / weight } : { without: 1, value: chance };
}
