// `signalbox join-token`: asks a running control plane for a token with which a new data plane can join, and prints it
// alone, so that it can go straight into a variable.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { durationMs, durationPattern } from '#shared/configuration/duration.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';
import { Secret } from '#shared/secret.ts';

const ANSWER_MS_MAX = 10_000;

export async function joinToken(
  settings: Settings,
  options: Readonly<Record<string, string>>,
): Promise<number> {
  const { url = '', label = '', expiresIn = '' } = options;
  if (!durationPattern.test(expiresIn))
    throw new SignalboxError(
      'invalid_configuration',
      `--expires-in must be a duration such as 1h; got "${expiresIn}"`,
    );
  const expiresAt = new Date(Date.now() + durationMs(expiresIn)).toISOString();
  const answer = await ask(url, adminKey(settings), { label, expires_at: expiresAt });
  process.stdout.write(`${answer.token}\n`);
  return 0;
}

async function ask(url: string, key: Secret, body: object): Promise<{ token: string }> {
  let response: Response;
  try {
    response = await fetch(new URL('/api/v1/nodes/join-tokens', url), {
      method: 'POST',
      headers: { authorization: `Bearer ${key.reveal()}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
  } catch (error) {
    throw new SignalboxError(
      'not_ready',
      `no control plane answers at ${url}; name its admin address with --url`,
      {
        cause: error,
      },
    );
  }
  if (response.ok) return (await response.json()) as { token: string };
  const problem = (await response.json().catch(() => ({}))) as { detail?: string; title?: string };
  const said = problem.detail ?? problem.title ?? response.statusText;
  throw new SignalboxError(
    'invalid_request',
    `the control plane at ${url} refused (${response.status}): ${said}`,
  );
}

function adminKey({ masterKey, dataDirectory }: Settings): Secret {
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
