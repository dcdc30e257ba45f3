// The few guards with which every dialect reads parsed JSON. Providers that call themselves compatible leave fields out, send
// null, or send something else, so nothing that comes from a network is trusted to have its documented type.
import { SignalboxError } from '#shared/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members whose value is an object; everything else is left out. */
export function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

/** What is left of an object when the fields that are understood are taken out; undefined when that is nothing. */
export function rest(value: JsonObject, understood: readonly string[]): JsonObject | undefined {
  const entries = Object.entries(value).filter(([key]) => !understood.includes(key));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** `{ extras }` when there are any, to be spread. */
export function withExtras(extras: JsonObject | undefined): { extras?: JsonObject } {
  return extras === undefined || Object.keys(extras).length === 0 ? {} : { extras };
}

/** Leaves out members that are undefined, because undefined is not JSON. */
export function defined(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}

export function wrongType(param: string, expected: string): SignalboxError {
  return new SignalboxError('invalid_request', `The field "${param}" has to be ${expected}.`, { param });
}

/** The row of a table under a name from outside: "constructor" and its like are in no table. */
export function rowFor<Row>(table: Readonly<Record<string, Row>>, name: string): Row | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
