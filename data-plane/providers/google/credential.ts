// What authorises requests at Google Cloud. A key of the configuration is either the whole file of a service account or a user, which
// begins with a brace, or an API key; without any, the machine's own account is used.
import type { Credential, CredentialTools } from '../credential.ts';
import { fixedCredential } from '../credential.ts';
import { type FetchedToken, renewedToken } from '../renewed-token.ts';
import { ambientToken, type Headers, withHeaders } from './ambient.ts';
import { parseGoogleKey } from './key-file.ts';
import { type GoogleHosts, tokenFor } from './token.ts';

export function googleCredential(
  secret: string | undefined,
  tools: CredentialTools,
  hosts: GoogleHosts,
): Credential {
  if (secret === undefined) return tokenCredential(tools, () => ambientToken(tools, hosts));
  if (!secret.trimStart().startsWith('{')) return fixedCredential({ 'x-goog-api-key': secret });
  const key = parseGoogleKey(secret, 'The key');
  return tokenCredential(tools, async () => withHeaders(await tokenFor(key, tools, hosts), key));
}

function tokenCredential(
  { clock }: CredentialTools,
  fetch: () => Promise<FetchedToken<Headers>>,
): Credential {
  const token = renewedToken({ clock, fetch });
  return Object.freeze<Credential>({ headers: {}, authorise: () => token.current() });
}
