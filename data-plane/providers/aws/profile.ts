// The files in which AWS's command line keeps keys: sections with names, lines with `name = value`. Only keys that stand there
// as they are can be used; a profile that asks for more than a file (a sign-in, another role, a program) is refused by name,
// because taking other keys instead would quietly use another account.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignalboxError } from '#shared/errors.ts';
import type { CredentialTools } from '../credential.ts';
import type { AwsKeys } from './signature.ts';

type Section = ReadonlyMap<string, string>;

const needsMore = ['role_arn', 'sso_session', 'sso_start_url', 'credential_process'];

/** Undefined where there is no such profile, or nothing in it about keys. Throws `invalid_configuration`. */
export async function profileKeys(environment: CredentialTools['environment']): Promise<AwsKeys | undefined> {
  const folder = environment.HOME || environment.USERPROFILE;
  const name = environment.AWS_PROFILE || 'default';
  const credentials = await read(environment.AWS_SHARED_CREDENTIALS_FILE, folder, 'credentials');
  const config = await read(environment.AWS_CONFIG_FILE, folder, 'config');
  // In the second file all profiles but the default one have the word before their name.
  const inConfig = config.get(name === 'default' ? name : `profile ${name}`);
  const found = [credentials.get(name), inConfig].filter((section) => section !== undefined);
  if (found.length === 0 && environment.AWS_PROFILE)
    throw unusable(name, 'is in neither of the shared files');
  const keys = found.map(keysIn).find((candidate) => candidate !== undefined);
  if (keys !== undefined) return keys;
  const more = needsMore.find((field) => found.some((section) => section.has(field)));
  if (more !== undefined)
    throw unusable(name, `says ${more}, which is not known here; it needs keys of its own`);
  return undefined;
}

function keysIn(section: Section): AwsKeys | undefined {
  const accessKeyId = section.get('aws_access_key_id');
  const secretAccessKey = section.get('aws_secret_access_key');
  if (!accessKeyId || !secretAccessKey) return undefined;
  return { accessKeyId, secretAccessKey, sessionToken: section.get('aws_session_token') || undefined };
}

async function read(
  named: string | undefined,
  folder: string | undefined,
  file: string,
): Promise<ReadonlyMap<string, Section>> {
  const path = named || (folder && join(folder, '.aws', file));
  const text = path ? await readFile(path, 'utf8').catch(() => '') : '';
  return readSections(text);
}

function readSections(text: string): ReadonlyMap<string, Section> {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const heading = /^\s*\[([^\]]*)\]/.exec(line)?.[1]?.trim().replaceAll(/\s+/g, ' ');
    if (heading !== undefined) {
      current = sections.get(heading) ?? new Map();
      sections.set(heading, current);
      continue;
    }
    const [, name, value] = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) current?.set(name.toLowerCase(), value ?? '');
  }
  return sections;
}

function unusable(name: string, why: string): SignalboxError {
  return new SignalboxError('invalid_configuration', `The AWS profile "${name}" ${why}.`);
}
