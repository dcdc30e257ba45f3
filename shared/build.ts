// Which program this is, for logs, metrics, `Hello` and `--version`.
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const build = `signalbox/${manifest.version}`;
export const version = manifest.version;

/** The oldest and newest shape of configuration resources that this build understands. */
export const schemaRange = { min: 1, max: 1 } as const;
