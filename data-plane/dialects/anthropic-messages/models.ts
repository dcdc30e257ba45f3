// What has to be known of a model to ask it: this dialect demands a limit for every answer, and the ways to ask for
// reasoning have changed from one generation of models to the next.

interface Model {
  readonly pattern: RegExp;
  /** The longest answer it gives, which is what a client that names no limit expects. */
  readonly outputTokensMax: number;
  /** It decides by itself how long to think and takes an effort; older ones take a budget in tokens. */
  readonly isAdaptive: boolean;
}

/** The first row whose pattern fits counts. */
const models: readonly Model[] = [
  { pattern: /claude-3-(opus|sonnet|haiku)/, outputTokensMax: 4096, isAdaptive: false },
  { pattern: /claude-3-5/, outputTokensMax: 8192, isAdaptive: false },
  {
    pattern: /claude-3-7|claude-(sonnet-4|haiku-4)(-5)?(-\d{8}|$)/,
    outputTokensMax: 64_000,
    isAdaptive: false,
  },
  { pattern: /claude-opus-4-5/, outputTokensMax: 64_000, isAdaptive: false },
  { pattern: /claude-opus-4(-1)?(-\d{8}|$)/, outputTokensMax: 32_000, isAdaptive: false },
  { pattern: /claude-(sonnet|haiku)-4/, outputTokensMax: 64_000, isAdaptive: true },
];

/** Newer ones, and those nobody here has heard of. */
const later: Omit<Model, 'pattern'> = { outputTokensMax: 64_000, isAdaptive: true };

export function modelNamed(name: string): Omit<Model, 'pattern'> {
  return models.find(({ pattern }) => pattern.test(name)) ?? later;
}
