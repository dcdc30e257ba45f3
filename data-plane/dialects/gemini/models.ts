// What has to be known of a model to ask it: how it is told to think, whether it wants its signatures back, and what may stand in
// the result of a tool. All of it changed from one generation to the next.

export interface Model {
  readonly pattern: RegExp;
  /** `budget`: a number of tokens; `level`: a word; `none`: it does not think. */
  readonly thinking: 'none' | 'budget' | 'level';
  /** The budgets it takes; 0 is apart from them and means not to think. */
  readonly budgetMin?: number;
  readonly budgetMax?: number;
  /** Whether it can be told not to think. */
  readonly canRest?: boolean;
  /** The words it takes for each effort, where they are not the same. */
  readonly levels?: Readonly<Record<string, string>>;
  /** It refuses calls in the history that lack the signature it gave them, and takes pictures inside results of tools. */
  readonly isThird: boolean;
  /** It has no place for what the operator says, and takes it as the user's words. */
  readonly isWithoutSystem?: boolean;
}

/** The first row whose pattern fits counts. */
const models: readonly Model[] = [
  { pattern: /gemma/, thinking: 'none', isThird: false, isWithoutSystem: true },
  { pattern: /gemini-(1|2\.0)|learnlm/, thinking: 'none', isThird: false },
  {
    pattern: /gemini-2\.5-pro/,
    thinking: 'budget',
    budgetMin: 128,
    budgetMax: 32_768,
    canRest: false,
    isThird: false,
  },
  {
    pattern: /gemini-2\.5-flash-lite/,
    thinking: 'budget',
    budgetMin: 512,
    budgetMax: 24_576,
    canRest: true,
    isThird: false,
  },
  {
    pattern: /gemini-2\.5|gemini-robotics-er/,
    thinking: 'budget',
    budgetMin: 1,
    budgetMax: 24_576,
    canRest: true,
    isThird: false,
  },
  {
    pattern: /gemini-3-pro/,
    thinking: 'level',
    levels: { minimal: 'low', medium: 'high', xhigh: 'high', max: 'high' },
    isThird: true,
  },
  {
    pattern: /gemini-[\d.]+-pro|gemini-pro/,
    thinking: 'level',
    levels: { minimal: 'low', xhigh: 'high', max: 'high' },
    isThird: true,
  },
];

/** Newer ones, names such as `gemini-flash-latest`, and those nobody here has heard of. */
const later: Omit<Model, 'pattern'> = {
  thinking: 'level',
  levels: { xhigh: 'high', max: 'high' },
  isThird: true,
};

export function modelNamed(name: string): Omit<Model, 'pattern'> {
  return models.find(({ pattern }) => pattern.test(name)) ?? later;
}
