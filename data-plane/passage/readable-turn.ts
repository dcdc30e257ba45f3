// A conversation as far as it is understood here. What passes between two sides of the same dialect need not be: then it stays as it is.
import { SignalboxError } from '#shared/errors.ts';
import { once } from '#shared/once.ts';
import type { ClientDialect, RequestHead } from '../dialects/dialect.ts';
import type { TurnRequest } from '../turn/request.ts';

export function readableTurn(dialect: ClientDialect, head: RequestHead): TurnRequest | undefined {
  try {
    return dialect.decode(head);
  } catch (thrown) {
    if (thrown instanceof SignalboxError) return undefined;
    throw thrown;
  }
}

/** The same for whoever may want to know, once somebody does. */
export function turnWhenAsked(dialect: ClientDialect, head: RequestHead): () => TurnRequest | undefined {
  return once(() => readableTurn(dialect, head));
}
