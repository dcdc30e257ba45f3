// Access tokens as OAuth hands them out: one form is posted, one JSON object comes back. What the server says about a refusal stays
// in the cause, for the log: it may name accounts, and whoever asked the gateway a question has no business with those.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { objectOf, textOf } from '../json/values.ts';
import type { Origin } from '../upstream/client.ts';
import { fetchText, type ShortAnswer } from '../upstream/fetch-text.ts';
import type { CredentialTools } from './credential.ts';
import type { FetchedToken } from './renewed-token.ts';

export interface TokenQuestion {
  readonly origin: Origin;
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

/** Rejects with `upstream_unauthorized` when the server refuses, or with what kept it from answering. */
export async function requestToken(
  { upstream, clock }: CredentialTools,
  { origin, path, form }: TokenQuestion,
): Promise<FetchedToken<string>> {
  const answer = await fetchText(upstream, {
    origin,
    method: 'POST',
    path,
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: Buffer.from(new URLSearchParams(form).toString()),
    timeoutMs: limits.credentialFetchMs,
    bytesMax: limits.credentialBytesMax,
  });
  return readToken(answer, { host: origin.host, clock });
}

/** The shape of every OAuth token answer, and of Google's metadata server. */
export function readToken(
  { status, body }: ShortAnswer,
  { host, clock }: { readonly host: string; readonly clock: Clock },
): FetchedToken<string> {
  const answer = parse(body);
  if (status !== 200) throw refused(status, answer, host);
  const { access_token: token, expires_in: lifeSeconds } = answer;
  if (typeof token !== 'string' || !visible.test(token) || typeof lifeSeconds !== 'number') {
    throw new SignalboxError('upstream_invalid', `The answer of ${host} holds no token that can be used.`);
  }
  return { value: token, expiresAtMs: clock.wallMs() + lifeSeconds * 1000 };
}

/** What a header may carry, without spaces. */
const visible = /^[\x21-\x7e]+$/;

function parse(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    return objectOf(JSON.parse(body.toString('utf8')));
  } catch {
    return {};
  }
}

/** OAuth's own name of the refusal, as `invalid_grant`, and Entra's number of it: both say much and give nothing away. */
function refused(status: number, answer: Readonly<Record<string, unknown>>, host: string): SignalboxError {
  const description = textOf(answer.error_description);
  const number = /\bAADSTS\d+\b/.exec(description)?.[0];
  const name = /^[\w-]{1,64}$/.exec(textOf(answer.error))?.[0];
  const said = [name, number].filter((part) => part !== undefined).join(', ') || `status ${status}`;
  const cause = new Error(description || `status ${status}`);
  if (status === 429 || status >= 500) {
    return new SignalboxError('upstream_error', `${host} gave no token (${said}). Try again.`, { cause });
  }
  return new SignalboxError(
    'upstream_unauthorized',
    `${host} refused the credentials that are configured for this provider (${said}). Check its key.`,
    { cause },
  );
}
