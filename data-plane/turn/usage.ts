// Token counts as a disjoint vector: no token is in two meters, so parts can be summed and priced one by one. Vendors
// nest theirs differently (some count cached tokens inside the input, some reasoning outside the output); each dialect
// takes them apart when it reads.

export interface Usage {
  /** Input tokens at the full price: not cached, not audio. */
  readonly input: number;
  readonly inputCacheRead: number;
  readonly inputCacheWrite: number;
  readonly inputAudio: number;
  /** Visible output: not reasoning, not audio. */
  readonly output: number;
  readonly outputReasoning: number;
  readonly outputAudio: number;
}

export const noUsage: Usage = Object.freeze({
  input: 0,
  inputCacheRead: 0,
  inputCacheWrite: 0,
  inputAudio: 0,
  output: 0,
  outputReasoning: 0,
  outputAudio: 0,
});

export function inputTotal(usage: Usage): number {
  return usage.input + usage.inputCacheRead + usage.inputCacheWrite + usage.inputAudio;
}

export function outputTotal(usage: Usage): number {
  return usage.output + usage.outputReasoning + usage.outputAudio;
}

/** What a provider says was used. */
export interface FoundUsage {
  readonly usage: Usage;
  /** As the provider sent it. */
  readonly raw: string;
}

/** A count as a provider sends it; whatever is none counts nothing. */
export function tokenCount(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER) : 0;
}
