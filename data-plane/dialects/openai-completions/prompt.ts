// A prompt in its four forms: a text, a list of texts, a list of tokens, a list of lists of tokens. Only a text means the same
// to every model.

/** How many answers it asks for. */
export function promptsIn(prompt: unknown): number {
  if (!Array.isArray(prompt) || prompt.length === 0) return 1;
  return typeof prompt[0] === 'number' ? 1 : prompt.length;
}

/** The one text that it is; undefined for several, and for tokens. */
export function promptText(prompt: unknown): string | undefined {
  if (typeof prompt === 'string') return prompt;
  if (!Array.isArray(prompt) || prompt.length !== 1) return undefined;
  return typeof prompt[0] === 'string' ? prompt[0] : undefined;
}
