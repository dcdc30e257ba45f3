// Where AWS's own tools find keys that nobody configured here, in their order: the environment, the shared files, a token of
// a workload, the agent of a container, the machine itself. A source that is not set up says so by giving nothing; one that is
// set up and fails ends the search, because going on would quietly use another account.
import { readFile } from 'node:fs/promises';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { objectOf, textOf } from '../../json/values.ts';
import type { Origin } from '../../upstream/client.ts';
import { fetchText, type ShortAnswer, type ShortQuestion } from '../../upstream/fetch-text.ts';
import type { CredentialTools } from '../credential.ts';
import type { FetchedToken } from '../renewed-token.ts';
import { type AwsHosts, originNamed } from './hosts.ts';
import { profileKeys } from './profile.ts';
import type { AwsKeys } from './signature.ts';

export type FetchedKeys = FetchedToken<AwsKeys>;

export interface SourceInput {
  readonly tools: CredentialTools;
  readonly hosts: AwsHosts;
  readonly region: string;
}

interface Source {
  readonly name: string;
  /** Undefined where this source is not set up. */
  find(input: SourceInput): Promise<FetchedKeys | undefined>;
}

/** Files are looked at again so often, because somebody may have changed them. */
const FILE_LIFE_MS = 15 * 60_000;
/** The machine's own address answers in a millisecond or does not exist. */
const INSTANCE_MS = 1000;
const INSTANCE_TOKEN_SECONDS = 300;
const ROLES_PATH = '/latest/meta-data/iam/security-credentials/';

const sources: readonly Source[] = [
  { name: 'AWS_ACCESS_KEY_ID', find: async ({ tools }) => environmentKeys(tools) },
  { name: 'the shared credentials file', find: fileKeys },
  { name: 'AWS_WEB_IDENTITY_TOKEN_FILE', find: webIdentityKeys },
  { name: 'AWS_CONTAINER_CREDENTIALS_*', find: containerKeys },
  { name: 'the metadata of the instance', find: instanceKeys },
];

/** Rejects with `upstream_unauthorized` where no source has any. */
export async function findKeys(input: SourceInput): Promise<FetchedKeys> {
  for (const { name, find } of sources) {
    try {
      const found = await find(input);
      if (found !== undefined) return found;
    } catch (cause) {
      throw new SignalboxError(
        'upstream_unauthorized',
        `No keys for AWS: ${name} is set up and gives none. ${cause instanceof SignalboxError ? cause.message : 'The log has the details.'}`,
        { cause },
      );
    }
  }
  throw new SignalboxError(
    'upstream_unauthorized',
    `No keys for AWS: there are no api_keys in the configuration, and nothing in ${sources.map(({ name }) => name).join(', ')}.`,
  );
}

/** Undefined unless both halves are there; an empty variable is an absent one. */
export function environmentKeys({ environment }: CredentialTools): FetchedKeys | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  if (!accessKeyId || !secretAccessKey) return undefined;
  const sessionToken = environment.AWS_SESSION_TOKEN || undefined;
  return { value: { accessKeyId, secretAccessKey, sessionToken }, expiresAtMs: Number.POSITIVE_INFINITY };
}

async function fileKeys({ tools }: SourceInput): Promise<FetchedKeys | undefined> {
  const value = await profileKeys(tools.environment);
  return value && { value, expiresAtMs: tools.clock.wallMs() + FILE_LIFE_MS };
}

async function webIdentityKeys({ tools, hosts, region }: SourceInput): Promise<FetchedKeys | undefined> {
  const { environment } = tools;
  const { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role } = environment;
  if (!file || !role) return undefined;
  const token = (await readFile(file, 'utf8')).trim();
  const named = environment.AWS_ENDPOINT_URL_STS;
  const form = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: role,
    RoleSessionName: environment.AWS_ROLE_SESSION_NAME || `signalbox-${tools.clock.wallMs()}`,
    WebIdentityToken: token,
  });
  const { body } = await ask(tools, {
    origin: named ? originNamed('AWS_ENDPOINT_URL_STS', new URL(named)) : hosts.sts(region),
    method: 'POST',
    path: '/',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
  });
  const xml = body.toString('utf8');
  const member = (name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
  return readKeys({
    AccessKeyId: member('AccessKeyId'),
    SecretAccessKey: member('SecretAccessKey'),
    Token: member('SessionToken'),
    Expiration: member('Expiration'),
  });
}

async function containerKeys({ tools, hosts }: SourceInput): Promise<FetchedKeys | undefined> {
  const { environment } = tools;
  const relative = environment.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI;
  const full = environment.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (!relative && !full) return undefined;
  const url = new URL(relative || full!, 'http://container.invalid');
  const origin = relative ? hosts.container : originNamed('AWS_CONTAINER_CREDENTIALS_FULL_URI', url);
  const file = environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE;
  const token = file ? (await readFile(file, 'utf8')).trim() : environment.AWS_CONTAINER_AUTHORIZATION_TOKEN;
  const { body } = await ask(tools, {
    origin,
    method: 'GET',
    path: url.pathname + url.search,
    headers: { accept: 'application/json', ...(token ? { authorization: token } : {}) },
  });
  return readKeys(JSON.parse(body.toString('utf8')));
}

async function instanceKeys({ tools, hosts }: SourceInput): Promise<FetchedKeys | undefined> {
  const { environment } = tools;
  if (environment.AWS_EC2_METADATA_DISABLED?.toLowerCase() === 'true') return undefined;
  const named = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT;
  const origin = named ? originNamed('AWS_EC2_METADATA_SERVICE_ENDPOINT', new URL(named)) : hosts.instance;
  const token = await instanceToken(tools, origin);
  if (token === undefined) return undefined;
  const headers = { 'x-aws-ec2-metadata-token': token };
  const read = (path: string): Promise<ShortAnswer> => ask(tools, { origin, method: 'GET', path, headers });
  const role = (await read(ROLES_PATH)).body.toString('utf8').split('\n')[0]!.trim();
  const { body } = await read(ROLES_PATH + encodeURIComponent(role));
  return readKeys(JSON.parse(body.toString('utf8')));
}

/** Where nothing answers there is no instance, and so no source that could have failed. */
async function instanceToken(tools: CredentialTools, origin: Origin): Promise<string | undefined> {
  const question = {
    origin,
    method: 'PUT',
    path: '/latest/api/token',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(INSTANCE_TOKEN_SECONDS) },
    timeoutMs: INSTANCE_MS,
    bytesMax: limits.credentialBytesMax,
  } as const;
  try {
    const { status, body } = await fetchText(tools.upstream, question);
    return status === 200 ? body.toString('utf8') : undefined;
  } catch {
    return undefined;
  }
}

async function ask(
  { upstream }: CredentialTools,
  question: Omit<ShortQuestion, 'timeoutMs' | 'bytesMax'>,
): Promise<ShortAnswer> {
  const answer = await fetchText(upstream, {
    ...question,
    timeoutMs: limits.credentialFetchMs,
    bytesMax: limits.credentialBytesMax,
  });
  if (answer.status === 200) return answer;
  // What it says in a refusal may name accounts; it is for the log alone.
  throw new SignalboxError(
    'upstream_unauthorized',
    `${question.origin.host} answered ${answer.status}. Check the role and who may assume it.`,
    { cause: new Error(answer.body.toString('utf8', 0, 2000)) },
  );
}

/** In the form in which containers and machines are told. */
function readKeys(answer: unknown): FetchedKeys {
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = objectOf(answer);
  const accessKeyId = textOf(AccessKeyId);
  const secretAccessKey = textOf(SecretAccessKey);
  const expiresAtMs = Date.parse(textOf(Expiration));
  if (accessKeyId === '' || secretAccessKey === '' || Number.isNaN(expiresAtMs)) {
    throw new SignalboxError('upstream_invalid', 'Its answer holds no keys that can be used.');
  }
  return { value: { accessKeyId, secretAccessKey, sessionToken: textOf(Token) || undefined }, expiresAtMs };
}
