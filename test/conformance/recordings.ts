// Exchanges that real vendors had, each in a file of its own. They are not part of this project: point RECORDINGS_DIR at a folder of
// them to hold the dialects against them; without one there are none.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.RECORDINGS_DIR ?? '';

export const areMissing = folder === '';

export interface Recording {
  /** Its file, below the folder. */
  readonly name: string;
  /** Host and path, with the query apart. */
  readonly url: string;
  readonly query: string;
  readonly request: Record<string, unknown>;
  readonly status: number;
  readonly headers: Record<string, string>;
  /** Of the answer. */
  readonly bytes: Buffer;
}

/** All that are below a folder of the recordings. */
export function load(path: string): Recording[] {
  const directory = join(folder, path);
  if (areMissing || !existsSync(directory)) return [];
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.json')).map((file) => read(join(path, file)));
}

function read(name: string): Recording {
  const recorded = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const {
    url,
    query = '',
    request,
    status,
    headers,
    response_text: text,
    response_base64: base64,
  } = recorded;
  const bytes = Buffer.from(base64 ?? text, base64 === undefined ? 'utf8' : 'base64');
  return { name, url, query, request, status, headers, bytes };
}

export function answers(recordings: readonly Recording[]): Recording[] {
  return recordings.filter(({ status }) => status === 200);
}
