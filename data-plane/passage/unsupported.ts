// What becomes of a field that an upstream has no words for: the request is refused by the name the client used, or, where the
// client asked for that, goes out without the field and the client is told which.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { FieldNames, Unsupported } from '../dialects/dialect.ts';

export interface UnsupportedFields {
  readonly unsupported: Unsupported;
  readonly leftOut: (field: string) => void;
  /** What was left out so far, each once. */
  readonly dropped: readonly string[];
}

export function collectUnsupported(names: FieldNames, drops: boolean): UnsupportedFields {
  const dropped: string[] = [];
  // Clients choose how many fields there are.
  const known = new Set<string>();
  const unsupported: Unsupported = (field, reason) => {
    const name = nameOf(names, field);
    if (!drops) throw unsupportedField(name, reason);
    note(name);
  };
  const note = (name: string): void => {
    if (known.has(name)) return;
    known.add(name);
    dropped.push(name);
  };
  return { unsupported, leftOut: (field) => note(nameOf(names, field)), dropped };
}

export function unsupportedField(name: string, reason: string): SignalboxError {
  return new SignalboxError(
    'unsupported_field',
    `The field "${name}" is not possible here: ${reason} Leave it out, ask a model whose provider knows it, or send "drop_unsupported": true in "x-gateway".`,
    { param: name },
  );
}

function nameOf(names: FieldNames, field: string): string {
  const known = Object.hasOwn(names, field) ? (names as Readonly<Record<string, string>>)[field] : undefined;
  // Where nobody knows the field, the client has chosen its name.
  return known ?? field.slice(0, limits.nameLengthMax);
}
