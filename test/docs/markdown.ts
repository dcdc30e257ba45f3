// The fenced blocks of a document, each with what an invisible comment above it says about how it is tried:
// `<!-- example: up -->`. The words a comment may use are explained in examples.test.ts.

export interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** The words of the comment above it, which are separated by commas. */
  readonly words: readonly string[];
}

const FENCE = /^(?:<!-- example: (?<words>.*?) -->\n\n?)?```(?<language>\S*)\n(?<text>.*?)^```$/gms;

export function blocksOf(document: string, markdown: string): Block[] {
  return [...markdown.matchAll(FENCE)].map(({ index, groups }) => ({
    document,
    line: markdown.slice(0, index).split('\n').length,
    language: groups!.language!,
    text: groups!.text!,
    words: groups!.words?.split(',').map((word) => word.trim()) ?? [],
  }));
}
