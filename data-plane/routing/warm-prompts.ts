// Where a conversation was answered last, and how long its prompt was: providers keep what they have just read for some minutes and
// charge a tenth for it when it comes again at the beginning of the next request. Only the last place counts, as far as it is still warm;
// who was quiet longest is forgotten first. A guess that is wrong costs a little money and nothing else.

interface WarmPrompt {
  /** The deployment, and the member of the route that led there: either may ask. */
  readonly places: readonly string[];
  readonly tokens: number;
  readonly atMs: number;
}

export interface AnsweredPrompt {
  /** What all requests of the conversation have in common; nothing is noted where that is empty. */
  readonly affinity: string;
  readonly places: readonly string[];
  readonly inputTokens: number;
  readonly nowMs: number;
}

export interface WarmPromptSettings {
  readonly conversationsMax: number;
  readonly warmMs: number;
}

export class WarmPrompts {
  readonly #settings: WarmPromptSettings;
  /** In the order in which they were last heard of. */
  readonly #prompts = new Map<string, WarmPrompt>();

  constructor(settings: WarmPromptSettings) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#prompts.size;
  }

  answered({ affinity, places, inputTokens, nowMs }: AnsweredPrompt): void {
    if (affinity === '') return;
    this.#prompts.delete(affinity);
    this.#prompts.set(affinity, { places, tokens: inputTokens, atMs: nowMs });
    if (this.#prompts.size <= this.#settings.conversationsMax) return;
    const [oldest] = this.#prompts.keys();
    this.#prompts.delete(oldest!);
  }

  /** How many tokens of the conversation's next prompt are likely to be warm at this place. */
  tokensAt(affinity: string, place: string, nowMs: number): number {
    if (affinity === '') return 0;
    const prompt = this.#prompts.get(affinity);
    if (prompt === undefined || nowMs - prompt.atMs > this.#settings.warmMs) return 0;
    return prompt.places.includes(place) ? prompt.tokens : 0;
  }
}
