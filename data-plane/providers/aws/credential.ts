// What authorises requests at AWS. A key of the configuration is an API key of Bedrock, sent as it is, or the two or three parts
// of an access key, which sign. Without a key the machine's own are used. Temporary keys are shared by all providers of one
// region and outlive the snapshots that the providers belong to, so that a change of configuration fetches nothing.
import { SignalboxError } from '#shared/errors.ts';
import {
  type AuthorisedRequest,
  bearerCredential,
  type Credential,
  type CredentialTools,
} from '../credential.ts';
import type { ProviderSettings } from '../provider.ts';
import { type RenewedToken, renewedToken } from '../renewed-token.ts';
import type { AwsHosts } from './hosts.ts';
import { type AwsKeys, signRequest } from './signature.ts';
import { environmentKeys, findKeys } from './sources.ts';

const SERVICE = 'bedrock';

const ACCESS_KEY_ID = /^[A-Z0-9]{16,128}$/;

export type AwsCredentials = (secret: string | undefined, settings: ProviderSettings) => Credential;

export function awsCredentials(tools: CredentialTools, hosts: AwsHosts): AwsCredentials {
  const chains = new Map<string, RenewedToken<AwsKeys>>();
  const chainFor = (region: string): RenewedToken<AwsKeys> => {
    const known = chains.get(region);
    if (known !== undefined) return known;
    const chain = renewedToken({ clock: tools.clock, fetch: () => findKeys({ tools, hosts, region }) });
    chains.set(region, chain);
    return chain;
  };
  return (secret, { region = '' }) => {
    const sign = (request: AuthorisedRequest, keys: AwsKeys) =>
      signRequest(request, keys, { region, service: SERVICE }, tools.clock.wallMs());
    if (secret !== undefined) {
      const keys = accessKeyIn(secret);
      return keys === undefined ? bearerCredential(secret) : signing((request) => sign(request, keys));
    }
    const bearer = tools.environment.AWS_BEARER_TOKEN_BEDROCK?.trim();
    if (bearer) return bearerCredential(bearer);
    const own = environmentKeys(tools)?.value;
    if (own !== undefined) return signing((request) => sign(request, own));
    const chain = chainFor(region);
    return signing((request) => {
      const keys = chain.current();
      return keys instanceof Promise ? keys.then((found) => sign(request, found)) : sign(request, keys);
    });
  };
}

function signing(authorise: NonNullable<Credential['authorise']>): Credential {
  return Object.freeze<Credential>({ headers: Object.freeze({}), authorise });
}

/** Undefined for an API key. Throws `invalid_configuration` for what is neither. */
function accessKeyIn(secret: string): AwsKeys | undefined {
  if (!secret.includes(':')) return undefined;
  const [accessKeyId = '', secretAccessKey = '', sessionToken, ...others] = secret.split(':');
  if (!ACCESS_KEY_ID.test(accessKeyId) || secretAccessKey === '' || others.length > 0) {
    throw new SignalboxError(
      'invalid_configuration',
      'A key of Bedrock is an API key, or an access key written as ACCESS_KEY_ID:SECRET_ACCESS_KEY, with :SESSION_TOKEN behind it where there is one.',
    );
  }
  return { accessKeyId, secretAccessKey, sessionToken: sessionToken || undefined };
}
