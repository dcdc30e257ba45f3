// `signalbox join-token`: asks a running control plane for a token with which a new data plane can join, and prints it
// alone, so that it can go straight into a variable.
import { durationMs, durationPattern } from '#shared/configuration/duration.ts';
import type { Settings } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';
import { adminKey, askAdministration } from '../administration.ts';

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
  const answer = await askAdministration({
    url,
    key: adminKey(settings),
    path: '/api/v1/nodes/join-tokens',
    body: { label, expires_at: expiresAt },
  });
  process.stdout.write(`${(answer as { token: string }).token}\n`);
  return 0;
}
