// An answer that cannot be read is the provider's fault, whatever exactly was wrong with it. What has been understood as an error
// already stays what it is.
import { SignalboxError } from '#shared/errors.ts';

/** `message` says what the answer is not. */
export function unreadableAnswer(message: string): (cause: unknown) => SignalboxError {
  return (cause) =>
    cause instanceof SignalboxError && cause.code !== 'invalid_json'
      ? cause
      : new SignalboxError('upstream_invalid', message, { cause });
}
