// Effort and budget are two ways to say how much a model should think: some vendors take a word, some a number of tokens, and
// some changed from one to the other. The table is the exchange rate, the same for all of them.

/** An effort as a budget of reasoning tokens. The least that any vendor accepts is 1,024. */
export const effortBudgets: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 24_576,
  max: 31_999,
};

/** A budget as the effort that is nearest from below. */
export function effortOf(tokens: number): string {
  if (tokens < effortBudgets.medium!) return 'low';
  return tokens < effortBudgets.high! ? 'medium' : 'high';
}
