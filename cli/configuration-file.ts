// Which configuration file a command uses, and whether it is valid: found out before anything is started, so that a typo
// costs a second and not a half-started system.
import { existsSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { loadConfiguration } from '#shared/configuration/load.ts';
import type { Configuration } from '#shared/configuration/objects.ts';
import { SignalboxError } from '#shared/errors.ts';

const usualFile = 'signalbox.yaml';

/** Undefined when none is named and there is none in the current directory. */
export function findConfigurationFile(named: string | undefined): string | undefined {
  if (named !== undefined) return resolve(named);
  return existsSync(usualFile) ? resolve(usualFile) : undefined;
}

export function readConfigurationFile(file: string, demo: boolean): Configuration {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SignalboxError(
      'invalid_configuration',
      `the configuration file cannot be read (${(error as Error).message}); check --config or SIGNALBOX_CONFIG`,
      { cause: error },
    );
  }
  return loadConfiguration({ file, text, env: process.env, demo }).configuration;
}

/** As people would write it from where they are. */
export function shownPath(file: string): string {
  const shown = relative('', file);
  return shown.startsWith('..') ? file : shown;
}
