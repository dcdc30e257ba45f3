// How a command asks a running control plane: over its admin API, with the admin key, and with an error that says what to do.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';
import { Secret } from '#shared/secret.ts';

export interface AdministrationRequest {
  /** Where the admin API is. */
  readonly url: string;
  readonly key: Secret;
  readonly path: string;
  readonly body: object;
  /** 10 s when left out. */
  readonly withinMs?: number;
}

const ANSWER_MS_MAX = 10_000;

export async function askAdministration(request: AdministrationRequest): Promise<unknown> {
  const { url, key, path, body, withinMs = ANSWER_MS_MAX } = request;
  let response: Response;
  try {
    response = await fetch(new URL(path, url), {
      method: 'POST',
      headers: { authorization: `Bearer ${key.reveal()}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(withinMs),
    });
  } catch (error) {
    throw new SignalboxError(
      'not_ready',
      `no control plane answers at ${url}; name its admin address with --url`,
      { cause: error },
    );
  }
  if (response.ok) return response.json();
  const problem = (await response.json().catch(() => ({}))) as { detail?: string; title?: string };
  const said = problem.detail ?? problem.title ?? response.statusText;
  throw new SignalboxError(
    'invalid_request',
    `the control plane at ${url} refused (${response.status}): ${said}`,
  );
}

export function adminKey({ masterKey, dataDirectory }: Settings): Secret {
  if (masterKey !== undefined) return masterKey;
  const file = join(dataDirectory, 'admin.key');
  try {
    return new Secret(readFileSync(file, 'utf8').trim());
  } catch (error) {
    throw new SignalboxError(
      'invalid_configuration',
      `the admin key is needed: set SIGNALBOX_MASTER_KEY, or point --data-dir at the control plane's data directory (${file} cannot be read)`,
      { cause: error },
    );
  }
}
