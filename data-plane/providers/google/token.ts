// From what Google gave somebody to a token that its services take. A service account signs a short statement about itself and
// gets a token for it; a user's refresh token is exchanged; a machine of Google's asks the server beside it.
import { sign } from 'node:crypto';
import { limits } from '#shared/limits.ts';
import type { Origin } from '../../upstream/client.ts';
import { fetchText } from '../../upstream/fetch-text.ts';
import type { CredentialTools } from '../credential.ts';
import { readToken, requestToken } from '../oauth.ts';
import type { FetchedToken } from '../renewed-token.ts';
import type { AuthorizedUser, GoogleKey, ServiceAccountKey } from './key-file.ts';

/** Where tokens come from. Never read from a key or a configuration. */
export interface GoogleHosts {
  readonly token: Origin;
  readonly metadata: Origin;
}

/** The metadata server of every cloud machine; the program's own constant. */
const METADATA_ADDRESS = '169.254.169.254';

export const googleHosts: GoogleHosts = Object.freeze({
  token: { secure: true, host: 'oauth2.googleapis.com', port: 443, allowPrivateNetwork: false },
  metadata: {
    secure: false,
    host: METADATA_ADDRESS,
    port: 80,
    allowPrivateNetwork: false,
    metadataAddress: METADATA_ADDRESS,
  },
});

/** What a token is for, as the token's audience wants to hear it, whichever host it is fetched from. */
const AUDIENCE = 'https://oauth2.googleapis.com/token';
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const TOKEN_PATH = '/token';
const METADATA_PATH = '/computeMetadata/v1/instance/service-accounts/default/token';
/** The longest that Google gives. */
const LIFE_SECONDS = 3600;
/** The server is on the same machine or there is none. */
const METADATA_MS_MAX = 3_000;

export function tokenFor(
  key: GoogleKey,
  tools: CredentialTools,
  hosts: GoogleHosts,
): Promise<FetchedToken<string>> {
  const form = key.kind === 'service_account' ? assertionForm(key, tools) : refreshForm(key);
  return requestToken(tools, { origin: hosts.token, path: TOKEN_PATH, form });
}

/** The token of the account that this machine runs as. Rejects when there is no such server. */
export async function machineToken(tools: CredentialTools, origin: Origin): Promise<FetchedToken<string>> {
  const answer = await fetchText(tools.upstream, {
    origin,
    method: 'GET',
    path: METADATA_PATH,
    // Without it the server does not answer: a request that somebody else was tricked into sending has no such header.
    headers: { 'metadata-flavor': 'Google' },
    timeoutMs: METADATA_MS_MAX,
    bytesMax: limits.credentialBytesMax,
  });
  return readToken(answer, { host: origin.host, clock: tools.clock });
}

function assertionForm(key: ServiceAccountKey, { clock }: CredentialTools): Record<string, string> {
  const issuedAt = Math.floor(clock.wallMs() / 1000);
  const header = { alg: 'RS256', typ: 'JWT', ...(key.keyId === '' ? {} : { kid: key.keyId }) };
  const claims = {
    iss: key.email,
    scope: SCOPE,
    aud: AUDIENCE,
    iat: issuedAt,
    exp: issuedAt + LIFE_SECONDS,
  };
  const statement = `${encoded(header)}.${encoded(claims)}`;
  const signature = sign('sha256', Buffer.from(statement), key.privateKey).toString('base64url');
  return {
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: `${statement}.${signature}`,
  };
}

function refreshForm({ clientId, clientSecret, refreshToken }: AuthorizedUser): Record<string, string> {
  return {
    grant_type: 'refresh_token',
    client_id: clientId,
    client_secret: clientSecret,
    refresh_token: refreshToken,
  };
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
