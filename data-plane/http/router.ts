// Finds what is at a path. Paths are written as in documentation: a segment that begins with a colon stands for anything, one
// that begins with a star for the rest of the path, slashes included. Exact paths cost one look-up.

export type PathParameters = Readonly<Record<string, string>>;

export interface Match<Target> {
  readonly target: Target;
  /** As they stand in the path, still percent-encoded. */
  readonly parameters: PathParameters;
}

const none: PathParameters = Object.freeze({});

export class Router<Target> {
  readonly #exact = new Map<string, Match<Target>>();
  readonly #patterns: { readonly expression: RegExp; readonly target: Target }[] = [];

  constructor(paths: Iterable<readonly [path: string, target: Target]>) {
    for (const [path, target] of paths) {
      if (/\/[:*]/.test(path)) this.#patterns.push({ expression: expressionOf(path), target });
      else this.#exact.set(path, { target, parameters: none });
    }
  }

  find(path: string): Match<Target> | undefined {
    const exact = this.#exact.get(path);
    if (exact) return exact;
    for (const { expression, target } of this.#patterns) {
      const found = expression.exec(path);
      if (found) return { target, parameters: found.groups ?? none };
    }
    return undefined;
  }
}

function expressionOf(path: string): RegExp {
  const segments = path.split('/').map((segment) => {
    // Behind a name may stand a colon and a word, as in `:model:generateContent`.
    const [, kind, name, suffix = ''] = /^([:*])(\w+)(:\w+)?$/.exec(segment) ?? [];
    if (name === undefined) return segment.replaceAll('.', '\\.');
    return kind === '*' ? `(?<${name}>.+)${suffix}` : `(?<${name}>[^/]+?)${suffix}`;
  });
  return new RegExp(`^${segments.join('/')}$`);
}
