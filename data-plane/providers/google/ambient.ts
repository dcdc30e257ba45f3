// The account that a machine has at Google without anybody configuring one here, found where Google's own libraries look: a file that
// GOOGLE_APPLICATION_CREDENTIALS names, the file of `gcloud auth application-default login`, the metadata server. Looked for anew
// with every token, so that a file which was replaced is used at once.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignalboxError } from '#shared/errors.ts';
import type { Origin } from '../../upstream/client.ts';
import type { CredentialTools } from '../credential.ts';
import type { FetchedToken } from '../renewed-token.ts';
import { type GoogleKey, parseGoogleKey } from './key-file.ts';
import { type GoogleHosts, machineToken, tokenFor } from './token.ts';

export type Headers = Record<string, string>;

export async function ambientToken(
  tools: CredentialTools,
  hosts: GoogleHosts,
): Promise<FetchedToken<Headers>> {
  const key = await keyOfEnvironment(tools);
  if (key !== undefined) return withHeaders(await tokenFor(key, tools, hosts), key);
  try {
    return withHeaders(await machineToken(tools, metadataOrigin(tools, hosts)), undefined);
  } catch (cause) {
    throw new SignalboxError(
      'upstream_unauthorized',
      'This data plane has no credentials for Google: no api_keys in the configuration, no GOOGLE_APPLICATION_CREDENTIALS, no login of gcloud, and no metadata server that gives any.',
      { cause },
    );
  }
}

export function withHeaders(
  { value, expiresAtMs }: FetchedToken<string>,
  key: GoogleKey | undefined,
): FetchedToken<Headers> {
  const quotaProject = key?.kind === 'authorized_user' ? key.quotaProject : undefined;
  const headers = {
    authorization: `Bearer ${value}`,
    ...(quotaProject === undefined ? {} : { 'x-goog-user-project': quotaProject }),
  };
  return { value: headers, expiresAtMs };
}

/** Whatever is wrong with a file here concerns the account, not whoever asked: it is found out when a request is waiting. */
async function keyOfEnvironment({ environment }: CredentialTools): Promise<GoogleKey | undefined> {
  try {
    return await readKey(environment);
  } catch (thrown) {
    const { message, cause } = SignalboxError.from(thrown);
    throw new SignalboxError('upstream_unauthorized', message, { cause });
  }
}

async function readKey(environment: CredentialTools['environment']): Promise<GoogleKey | undefined> {
  const named = environment.GOOGLE_APPLICATION_CREDENTIALS;
  if (named) {
    return parseGoogleKey(await readNamed(named), 'The file that GOOGLE_APPLICATION_CREDENTIALS names');
  }
  const folder =
    environment.CLOUDSDK_CONFIG || (environment.HOME && join(environment.HOME, '.config', 'gcloud'));
  if (!folder) return undefined;
  const path = join(folder, 'application_default_credentials.json');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : parseGoogleKey(text, 'The file that the login of gcloud left');
}

async function readNamed(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new SignalboxError(
      'invalid_configuration',
      'The file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read.',
      { cause },
    );
  }
}

/** Where Google's libraries look for the server when they are told another place, as emulators do. */
function metadataOrigin({ environment }: CredentialTools, { metadata }: GoogleHosts): Origin {
  const named = environment.GCE_METADATA_HOST;
  if (!named) return metadata;
  const url = URL.parse(`http://${named}`);
  if (url === null || url.host !== named.toLowerCase()) {
    throw new SignalboxError('invalid_configuration', `GCE_METADATA_HOST is "${named}", which is no host.`);
  }
  return {
    ...metadata,
    host: url.hostname,
    port: Number(url.port || '80'),
    allowPrivateNetwork: true,
  };
}
