// "Did you mean": the known word that a mistyped one most likely stands for.

/** Undefined when nothing is close enough to be worth suggesting. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** The words as a hint to append to a message: the nearest one, or all of them when they are few. */
export function hint(word: string, known: Iterable<string>): string {
  const words = [...known].filter((candidate) => candidate !== '');
  const guess = nearest(word, words);
  if (guess !== undefined) return `; did you mean "${guess}"?`;
  return words.length > 0 && words.length <= WORDS_LISTED_MAX ? `; known: ${words.join(', ')}` : '';
}

const WORDS_LISTED_MAX = 24;

/** Insertions, deletions, replacements, and swaps of neighbours, which is how people mistype. */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwap =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current[column] = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (isSame ? 0 : 1),
        isSwap ? beforePrevious[column - 2]! + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [beforePrevious, previous] = [previous, current];
  }
  return previous[to.length]!;
}
