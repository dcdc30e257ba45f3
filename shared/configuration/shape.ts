// Asks the schema about a place in a configuration: which keys it may have, which types, whether it must be there.
import type { Shape } from './schema.ts';

export type Path = readonly (string | number)[];

/** `providers[0].name` */
export function pathText(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('');
}

export function keysAt(shape: Shape, path: Path): string[] {
  return shapesAt(shape, path).flatMap((place) => Object.keys(place.properties ?? {}));
}

export function typesAt(shape: Shape, path: Path): ReadonlySet<string> {
  return new Set(shapesAt(shape, path).flatMap(({ type }) => type ?? []));
}

export function isRequired(shape: Shape, path: Path): boolean {
  const key = path.at(-1);
  return shapesAt(shape, path.slice(0, -1)).some(({ required = [] }) => required.includes(String(key)));
}

/** A place may have several shapes, such as a string or a mapping. */
function shapesAt(shape: Shape, [part, ...rest]: Path): Shape[] {
  if (shape.anyOf !== undefined) {
    const path = part === undefined ? [] : [part, ...rest];
    return shape.anyOf.flatMap((branch) => shapesAt(branch, path));
  }
  if (part === undefined) return [shape];
  const inner =
    typeof part === 'number' ? shape.items : (shape.properties?.[part] ?? shape.additionalProperties);
  return typeof inner === 'object' ? shapesAt(inner, rest) : [];
}

/** What a place holds, or undefined. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, part) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<string | number, unknown>)[part]
        : undefined,
    value,
  );
}
