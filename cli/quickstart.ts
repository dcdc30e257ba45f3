// The key with which a newcomer tries things out at once: made at the first start of the all-in-one, kept beside the
// data, and made again when it has been lost or revoked.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Keys {
  createApiKey(input: { name: string }): Promise<{ id: string; key: string }>;
  apiKeyExists(id: string): Promise<boolean>;
}

export async function quickstartKey(keys: Keys, dataDirectory: string): Promise<string> {
  const keyFile = join(dataDirectory, 'quickstart.key');
  const idFile = join(dataDirectory, 'quickstart.id');
  const [key, id] = [read(keyFile), read(idFile)];
  if (key !== '' && id !== '' && (await keys.apiKeyExists(id))) return key;
  const made = await keys.createApiKey({ name: 'quickstart' });
  write(idFile, made.id);
  write(keyFile, made.key);
  return made.key;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function write(path: string, text: string): void {
  rmSync(path, { force: true }); // a file that is there would keep its own mode
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
}
