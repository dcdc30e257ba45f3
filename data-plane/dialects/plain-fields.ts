// Fields whose value is the same on the wire and in a canonical request, as tables: one row says where the value stands, what it is called
// here and what it has to be.
import { defined, type JsonObject, rest, wrongType } from '../json/values.ts';
import type { TurnRequest } from '../turn/request.ts';

export interface PlainField {
  readonly wire: string;
  readonly name: keyof TurnRequest;
  readonly type: Scalar;
}

type Scalar = 'number' | 'integer' | 'string' | 'boolean';

const checks: Readonly<Record<Scalar, (value: unknown) => boolean>> = {
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
};

/** Undefined for a field that is null or not there. Throws `invalid_request` for one of another type. */
export function scalarAt(wire: JsonObject, field: string, type: Scalar): unknown {
  const value = wire[field];
  if (value == null) return undefined;
  if (!checks[type](value)) throw wrongType(field, `${type === 'integer' ? 'an' : 'a'} ${type}`);
  return value;
}

export function listAt(wire: JsonObject, field: string): readonly unknown[] {
  const value = wire[field];
  if (!Array.isArray(value)) throw wrongType(field, 'a list');
  return value;
}

export function readPlain(wire: JsonObject, fields: readonly PlainField[]): Partial<TurnRequest> {
  return defined(
    Object.fromEntries(fields.map(({ wire: field, name, type }) => [name, scalarAt(wire, field, type)])),
  );
}

export function writePlain(request: TurnRequest, fields: readonly PlainField[]): Record<string, unknown> {
  return defined(Object.fromEntries(fields.map(({ wire, name }) => [wire, request[name]])));
}

export function plainNames(fields: readonly PlainField[]): Partial<Record<keyof TurnRequest, string>> {
  return Object.fromEntries(fields.map(({ wire, name }) => [name, wire]));
}

/** Which of them are written back from canonical values alone: all but those that were sent as null. */
export function plainRestored(wire: JsonObject, fields: readonly PlainField[]): Record<string, boolean> {
  return Object.fromEntries(fields.map((field) => [field.wire, wire[field.wire] !== null]));
}

/** Every field that is not written back from canonical values alone, as it was sent. */
export function unrestored(wire: JsonObject, isRestored: Readonly<Record<string, boolean>>): JsonObject {
  const restored = Object.keys(isRestored).filter((field) => isRestored[field]);
  return rest(wire, restored) ?? {};
}
