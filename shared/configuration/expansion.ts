// `${NAME}` and `${NAME:default}` stand for environment variables, anywhere in a configuration file; `$${` is a literal
// `${`. They are expanded in values that have already been parsed, so a variable can never change the structure of the
// file. Before parsing, their braces and colons are disguised as characters without a meaning in YAML, because
// `[${NAME}]` would otherwise be read as a mapping; one character for one, so that columns stay true.
import { hint } from './nearest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Disguise {
  readonly text: string;
  /** Gives disguised text its own characters back. */
  reveal(text: string): string;
}

export interface Expansion {
  readonly value: string;
  /** Whether anything was expanded, so that the value may hold a secret. */
  readonly isExpanded: boolean;
  readonly problems: readonly string[];
}

const written = /\$?\$\{[^{}\n]*\}/g;
const reference = /\$\$\{|\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?<fallback>[^{}\n]*))?\}|\$\{/g;

const ASCII_CHARS = 128;
/** Blocks of Unicode's private use area; the first that the text itself does not use is taken. */
const blocks = Array.from({ length: 48 }, (_, index) => 0xe000 + index * ASCII_CHARS);

export function disguise(text: string): Disguise {
  const block = blocks.find((start) => !inBlock(start).test(text)) ?? blocks[0]!;
  const hide = (token: string) =>
    token.replace(/[\0-\x7f]/g, (character) => String.fromCharCode(block + character.charCodeAt(0)));
  const hidden = new RegExp(inBlock(block), 'g');
  return {
    text: text.replace(written, hide),
    reveal: (some) =>
      some.replace(hidden, (character) => String.fromCharCode(character.charCodeAt(0) - block)),
  };
}

export function expand(text: string, environment: Environment): Expansion {
  const problems: string[] = [];
  let isExpanded = false;
  const value = text.replace(reference, (token, ...rest) => {
    if (token === '$${') return '${';
    const { name, fallback } = rest.at(-1) as { name?: string; fallback?: string };
    if (name === undefined) {
      problems.push(
        `"\${" does not begin a reference such as \${NAME} or \${NAME:default}; write "$\${" if it is meant as it is`,
      );
      return token;
    }
    isExpanded = true;
    if (fallback?.startsWith('-')) {
      problems.push(`a default is written \${${name}:${fallback.slice(1)}}, without "-"`);
      return token;
    }
    const found = environment[name];
    if (fallback !== undefined) return found === undefined || found === '' ? fallback : found;
    if (found !== undefined) return found;
    problems.push(
      `the environment variable ${name} is not set; set it, or give a default as in \${${name}:default}${suggestion(name, environment)}`,
    );
    return token;
  });
  return { value, isExpanded, problems };
}

/** A near miss among the variables that are set; the whole list would help nobody. */
function suggestion(name: string, environment: Environment): string {
  const words = Object.keys(environment).filter((word) => Math.abs(word.length - name.length) <= 2);
  const guess = hint(name, words);
  return guess.startsWith('; did you mean') ? guess : '';
}

function inBlock(start: number): RegExp {
  const code = (offset: number) => `\\u${(start + offset).toString(16)}`;
  return new RegExp(`[${code(0)}-${code(ASCII_CHARS - 1)}]`);
}
