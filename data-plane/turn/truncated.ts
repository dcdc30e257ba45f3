// The error of an answer that stops without saying that it is finished. Whoever notices first says it in the same words.
import { SignalboxError } from '#shared/errors.ts';

export function truncated(): SignalboxError {
  return new SignalboxError(
    'upstream_truncated',
    'The answer of the provider broke off before it was finished. What has arrived is incomplete; send the request again.',
  );
}
