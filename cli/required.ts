// Settings that a command cannot do without.
import type { Variable } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';

export function required<Value>(value: Value | undefined, variable: Variable, reason: string): Value {
  if (value !== undefined) return value;
  throw new SignalboxError(
    'invalid_configuration',
    `${variable} is not set; ${reason}. docs/environment.md describes it.`,
  );
}
