// An application that Microsoft Entra knows, as what authorises requests at Azure: its secret is exchanged for a token that Azure's AI
// services take.
import { SignalboxError } from '#shared/errors.ts';
import type { Origin } from '../../upstream/client.ts';
import type { Credential, CredentialTools } from '../credential.ts';
import { requestToken } from '../oauth.ts';
import { renewedToken } from '../renewed-token.ts';

/** Where tokens come from; the program's own constant. */
export const entraHost: Origin = Object.freeze({
  secure: true,
  host: 'login.microsoftonline.com',
  port: 443,
  allowPrivateNetwork: false,
});

const SCOPE = 'https://cognitiveservices.azure.com/.default';
/** A directory's id or one of its domains. */
const TENANT = /^[A-Za-z0-9][A-Za-z0-9.-]*$/;

export interface EntraApplication {
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Throws `invalid_configuration` for a tenant that cannot be one. */
export function entraCredential(
  { tenantId, clientId, clientSecret }: EntraApplication,
  tools: CredentialTools,
  host: Origin,
): Credential {
  if (!TENANT.test(tenantId)) {
    throw new SignalboxError(
      'invalid_configuration',
      `tenant_id is "${tenantId}", but has to be the id or a domain of an Entra directory.`,
    );
  }
  const form = {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
    scope: SCOPE,
  };
  const token = renewedToken({
    clock: tools.clock,
    async fetch() {
      const path = `/${tenantId}/oauth2/v2.0/token`;
      const { value, expiresAtMs } = await requestToken(tools, { origin: host, path, form });
      return { value: { authorization: `Bearer ${value}` }, expiresAtMs };
    },
  });
  return Object.freeze<Credential>({ headers: {}, authorise: () => token.current() });
}
