// Who is asking. A key arrives as `Authorization: Bearer …`, as every OpenAI SDK sends it, as Anthropic's `x-api-key` or as Google's
// `x-goog-api-key`. Missing, unknown and expired keys are told apart, because each has another remedy; what was presented is never
// repeated.
import { SignalboxError } from '#shared/errors.ts';
import type { Principal } from '../snapshot/snapshot.ts';
import type { Arrival, Credentials, Step } from './step.ts';

const SCHEME = 'bearer ';

export const authenticate: Step<Arrival, Principal> = {
  name: 'authenticate',

  run({ snapshot, credentials, nowMs }) {
    const principal = snapshot.keys.find(presentedKey(credentials));
    if (!principal) {
      throw new SignalboxError(
        'invalid_api_key',
        'The API key is not known here. Check that it was copied whole, or ask the operator for a new one.',
      );
    }
    refuseExpired(principal, nowMs);
    return principal;
  },
};

export function refuseExpired({ name, expiresAtMs }: Principal, nowMs: number): void {
  if (expiresAtMs > nowMs) return;
  throw new SignalboxError(
    'expired_api_key',
    `The API key "${name}" has expired. Ask the operator for a new one.`,
  );
}

function presentedKey({ authorization, apiKey, googleApiKey, isInAddress }: Credentials): string {
  if (isInAddress) {
    throw new SignalboxError(
      'invalid_api_key',
      'The API key stands in the address, where servers on the way write it down. Send it as the header "x-goog-api-key: <key>", and take a new one: this one may be known.',
    );
  }
  if (authorization === undefined || authorization === '') {
    const key = apiKey || googleApiKey;
    if (key) return key;
    throw new SignalboxError(
      'missing_api_key',
      'No API key was sent. Send it as the header "Authorization: Bearer <key>", "x-api-key: <key>" or "x-goog-api-key: <key>".',
    );
  }
  if (authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME) {
    return authorization.slice(SCHEME.length).trim();
  }
  throw new SignalboxError(
    'invalid_api_key',
    'The Authorization header is not of the form "Bearer <key>". Put the word Bearer before the key.',
  );
}
