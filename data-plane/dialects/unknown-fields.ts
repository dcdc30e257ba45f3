// Fields of a canonical request that an API has no word for, as a table: one row says which field, when a request asks for it, and why
// it cannot be had.
import { SignalboxError } from '#shared/errors.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { Unsupported } from './dialect.ts';

export interface UnknownField {
  readonly field: keyof TurnRequest;
  readonly isAsked: (request: TurnRequest) => boolean;
  readonly reason: string;
}

/** Tells of every field of the table that the request asks for. */
export function checkFields(
  request: TurnRequest,
  unknownFields: readonly UnknownField[],
  unsupported: Unsupported,
): void {
  for (const { field, isAsked, reason } of unknownFields) if (isAsked(request)) unsupported(field, reason);
}

/** For encoding without a target, where nobody else decides what becomes of such a field. */
export function refuse(field: string, reason: string): never {
  throw new SignalboxError('unsupported_field', `The field "${field}" is not possible here: ${reason}`, {
    param: field,
  });
}
