// What a change demands of the object it changes, checked in the same transaction as the change.
import { SignalboxError } from '#shared/errors.ts';

export type Precondition =
  | 'none'
  /** The caller has not seen the object: fine as long as there is none. */
  | 'must-be-new'
  | 'must-exist'
  | { readonly revisions: readonly bigint[] };

/** Throws unless an object at this revision (undefined: no object) meets the precondition. */
export function checkPrecondition(
  precondition: Precondition,
  what: string,
  revision: bigint | undefined,
): void {
  if (precondition === 'none') return;
  if (precondition === 'must-be-new') {
    if (revision === undefined) return;
    throw new SignalboxError(
      'precondition_required',
      `${what} exists. Send If-Match with the ETag you last saw, "${revision}" if you mean its present state, or *.`,
    );
  }
  if (revision === undefined) {
    throw new SignalboxError(
      'precondition_failed',
      `${what} does not exist, but If-Match says that it should.`,
    );
  }
  if (precondition === 'must-exist' || precondition.revisions.includes(revision)) return;
  throw new SignalboxError(
    'precondition_failed',
    `${what} was changed in the meantime; it is now at "${revision}". Read it again and repeat your change.`,
  );
}
