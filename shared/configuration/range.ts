// Ranges of numbers as people write them: `>=4000`, `<=200`, `200..4000`. Both ends belong to it.

export interface Range {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

const NUMBER = String.raw`\d+(?:\.\d+)?`;
export const rangePattern = new RegExp(
  String.raw`^\s*(?:>=\s*${NUMBER}|<=\s*${NUMBER}|${NUMBER}\s*\.\.\s*${NUMBER})\s*$`,
);
const parts = new RegExp(String.raw`(?<least>>=)|(?<most><=)|(?<number>${NUMBER}(?!\d))`, 'g');

/** Expects what the schema has accepted. */
export function rangeOf(written: string): Range {
  const found = [...written.matchAll(parts)].map(({ groups }) => groups!);
  const [first, second] = found.flatMap(({ number }) => (number === undefined ? [] : [Number(number)]));
  if (found.some(({ least }) => least !== undefined)) return { min: first };
  if (found.some(({ most }) => most !== undefined)) return { max: first };
  return { min: first, max: second };
}
