// `signalbox check`: whether a configuration file is valid, without starting anything.
import type { Settings } from '#shared/configuration/environment.ts';
import { SignalboxError } from '#shared/errors.ts';
import { findConfigurationFile, readConfigurationFile, shownPath } from '../configuration-file.ts';

export async function check({ configurationFile }: Settings): Promise<number> {
  const file = findConfigurationFile(configurationFile);
  if (file === undefined)
    throw new SignalboxError(
      'invalid_configuration',
      'there is no signalbox.yaml in the current directory; name a file with --config or SIGNALBOX_CONFIG',
    );
  const { providers, models, aliases, routes } = readConfigurationFile(file, true);
  const counts = Object.entries({ providers, models, aliases, routes }).map(
    ([kind, list]) => `${kind} ${list.length}`,
  );
  process.stdout.write(`${shownPath(file)} is valid: ${counts.join(', ')}\n`);
  return 0;
}
