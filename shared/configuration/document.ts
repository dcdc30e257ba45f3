// A YAML text as plain values, with the place of every key and value kept, environment variables expanded, and everything
// that is wrong with it as a text collected instead of thrown at the first.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar } from 'yaml';
import { limits } from '../limits.ts';
import { type Disguise, disguise, type Environment, expand } from './expansion.ts';
import type { FoundProblem } from './issues.ts';
import type { Shape } from './schema.ts';
import { isRequired, type Path, pathText, typesAt } from './shape.ts';

export interface PlacedProblem {
  readonly path: string;
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

export interface Document {
  readonly value: unknown;
  readonly problems: readonly PlacedProblem[];
  /** Gives a problem its line and column: those of the path, or of the nearest thing around it that exists. */
  place(problem: Pick<FoundProblem, 'path' | 'message'> & { readonly atKey?: boolean }): PlacedProblem;
  /** Whether the value at a path came from the environment. */
  isExpanded(path: string): boolean;
}

/** References to anchors may unfold one text to exponentially many values, and each is looked up in the whole text. */
const REFERENCES_MAX = 1000;

export function readDocument(text: string, shape: Shape, environment: Environment): Document {
  return new Reader(text, shape, environment).read();
}

interface Place {
  readonly keyOffset: number;
  readonly valueOffset: number;
}

class Reader {
  readonly #disguise: Disguise;
  readonly #lines = new LineCounter();
  readonly #shape: Shape;
  readonly #environment: Environment;
  readonly #places = new Map<string, Place>();
  readonly #expanded = new Set<string>();
  readonly #problems: PlacedProblem[] = [];
  #references = 0;
  #isTooMuch = false;
  #resolve: (node: Node) => Node | undefined = () => undefined;

  constructor(text: string, shape: Shape, environment: Environment) {
    this.#disguise = disguise(text);
    this.#shape = shape;
    this.#environment = environment;
  }

  read(): Document {
    // Repeated keys are found here, after expansion and with both places.
    const options = {
      lineCounter: this.#lines,
      uniqueKeys: false,
      prettyErrors: false,
      stringKeys: true,
    } as const;
    const document = parseDocument(this.#disguise.text, options);
    for (const { message, pos } of [...document.errors, ...document.warnings])
      this.#report('', this.#disguise.reveal(message), pos[0]);
    this.#resolve = (node) => (isAlias(node) ? node.resolve(document) : node);
    const root = document.contents;
    const isReadable = document.errors.length === 0 && root !== null;
    return {
      value: isReadable ? (this.#read(root, []) ?? {}) : {},
      problems: this.#problems,
      place: (problem) => ({
        path: problem.path,
        message: problem.message,
        ...this.#find(problem.path, problem.atKey),
      }),
      isExpanded: (path) => this.#expanded.has(path),
    };
  }

  /** Undefined stands for a value that is not there. */
  #read(node: Node | null, path: Path, keyOffset = offsetOf(node)): unknown {
    const text = pathText(path);
    this.#places.set(text, { keyOffset, valueOffset: node === null ? keyOffset : offsetOf(node) });
    if (node === null) return undefined;
    if (isAlias(node)) this.#references++;
    if (this.#references > REFERENCES_MAX || path.length > limits.jsonDepthMax) {
      if (!this.#isTooMuch)
        this.#report(text, 'is nested too deeply, or unfolds to too much', offsetOf(node));
      this.#isTooMuch = true;
      return undefined;
    }
    const actual = this.#resolve(node);
    if (isMap(actual)) return this.#readMap(actual.items, path);
    if (isSeq(actual))
      return actual.items.map((item, index) => this.#read(item as Node, [...path, index]) ?? null);
    if (isScalar(actual)) return this.#readScalar(actual, path);
    return undefined;
  }

  #readMap(items: readonly { key: unknown; value: unknown }[], path: Path): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (const { key: keyNode, value: valueNode } of items) {
      const key = this.#readKey(keyNode as Node, path);
      const keyPath = [...path, key];
      const offset = offsetOf(keyNode as Node);
      if (entries.has(key)) {
        const { line } = this.#find(pathText(keyPath), true);
        this.#report(pathText(keyPath), `the key "${key}" is already given in line ${line}`, offset);
        continue;
      }
      entries.set(key, this.#read(valueNode as Node | null, keyPath, offset));
    }
    return Object.fromEntries([...entries].filter(([, value]) => value !== undefined));
  }

  #readKey(node: Node, path: Path): string {
    const actual = this.#resolve(node);
    const text = isScalar(actual) ? String(actual.value ?? '') : '';
    return this.#expand(text, pathText(path), offsetOf(node)).value;
  }

  #readScalar(scalar: Scalar, path: Path): unknown {
    if (scalar.value === null) return undefined;
    if (typeof scalar.value !== 'string') return scalar.value;
    const { value, isExpanded } = this.#expand(scalar.value, pathText(path), offsetOf(scalar));
    if (!isExpanded) return value;
    this.#expanded.add(pathText(path));
    if (value === '' && typeof path.at(-1) === 'string' && !isRequired(this.#shape, path)) return undefined;
    return scalar.type === 'PLAIN' ? typed(value, typesAt(this.#shape, path)) : value;
  }

  #expand(text: string, path: string, offset: number): { value: string; isExpanded: boolean } {
    const { value, isExpanded, problems } = expand(this.#disguise.reveal(text), this.#environment);
    for (const message of problems) this.#report(path, message, offset);
    return { value, isExpanded };
  }

  #report(path: string, message: string, offset: number): void {
    this.#problems.push({ path, message, ...this.#position(offset) });
  }

  #find(path: string, atKey = false): { line: number; column: number } {
    for (let around = path; ; around = around.replace(/(\.[^.[]*|\[\d+\]|^[^.[]*)$/, '')) {
      const place = this.#places.get(around);
      // A thing that is missing is looked for where the mapping around it begins.
      if (place !== undefined)
        return this.#position(atKey || around !== path ? place.keyOffset : place.valueOffset);
      if (around === '') return { line: 1, column: 1 };
    }
  }

  #position(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

function offsetOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

/** What an unquoted scalar means where text is not allowed: `rpm: ${RPM:500}` is a number. */
function typed(value: string, types: ReadonlySet<string>): unknown {
  if (types.has('string')) return value;
  if ((types.has('integer') || types.has('number')) && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (types.has('boolean') && /^(true|false)$/.test(value)) return value === 'true';
  return value;
}
