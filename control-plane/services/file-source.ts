// The configuration that is declared outside the API: the file, provider keys in the environment, and at the very first
// start the built-ins. All of it is applied in one change, so that data planes never see a state in between, and again
// whenever the file changes. A file with any problem changes nothing; what is wrong with it is logged once and shown.
import { readFile } from 'node:fs/promises';
import type { Clock } from '#shared/clock.ts';
import type { Environment } from '#shared/configuration/expansion.ts';
import { loadConfiguration, problemText } from '#shared/configuration/load.ts';
import type { Configuration } from '#shared/configuration/objects.ts';
import { type Watch, watchConfiguration } from '#shared/configuration/watch.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import { type Actor, systemActor } from '../domain/actor.ts';
import { writeAlias, writeModel, writeProvider, writeRoute } from '../domain/kinds.ts';
import type { ProviderSecrets } from '../secrets/provider-secrets.ts';
import { type Change, inChange } from '../store/changes.ts';
import { asDatabaseError, type Db } from '../store/database.ts';
import { applyLayers, type Layer } from './apply.ts';
import { builtInLayer } from './built-ins.ts';
import { environmentLayer } from './environment-source.ts';

export interface LoadedFile {
  readonly file: string;
  readonly text: string;
  readonly configuration: Configuration;
}

/** What became of the file most recently. */
export interface FileStatus {
  readonly file: string | null;
  readonly status: 'none' | 'applied' | 'rejected';
  /** The revision in force after the file was last applied. */
  readonly revision: bigint | null;
  readonly appliedAt: Date | null;
  /** Why the newest text was not applied. */
  readonly error: SignalboxError | null;
}

export interface DeclaredOptions {
  readonly db: Db;
  readonly secrets: ProviderSecrets;
  readonly environment: Environment;
  readonly demo: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

interface ApplyFileOptions {
  readonly takeOver?: boolean;
  readonly actor?: Actor;
  /** Whether the very first change makes the built-ins too. */
  readonly builtIns?: boolean;
  /** Done in the same change, before anything else. */
  readonly first?: (change: Change) => Promise<void>;
}

/** Reads and checks a file without applying it; rejects with everything that is wrong with it. */
export async function loadFile(
  file: string,
  options: { environment: Environment; demo: boolean },
): Promise<LoadedFile> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    const message = `The configuration file ${file} cannot be read: ${cause.message}.`;
    throw new SignalboxError('invalid_configuration', message, { cause });
  });
  return loadText(file, text, options);
}

function loadText(
  file: string,
  text: string,
  { environment, demo }: { environment: Environment; demo: boolean },
): LoadedFile {
  return { file, text, ...loadConfiguration({ file, text, env: environment, demo }) };
}

export class DeclaredConfiguration {
  readonly #options: DeclaredOptions;
  readonly #loaded: LoadedFile | undefined;
  #status: FileStatus;
  #watch: Watch | undefined;

  constructor(options: DeclaredOptions, file: LoadedFile | undefined) {
    this.#options = options;
    this.#loaded = file;
    this.#status = { file: file?.file ?? null, status: 'none', revision: null, appliedAt: null, error: null };
  }

  get status(): FileStatus {
    return this.#status;
  }

  /**
   * Applies everything and begins to watch the file. A file that contradicts what was made through the API does not keep
   * the control plane from starting, because the API is where that is mended. `first` runs in the same change.
   */
  async start(first: (change: Change) => Promise<void>): Promise<void> {
    const file = this.#loaded;
    try {
      // The built-ins make way for a file that needs their names, before the file is refused.
      await this.#apply(file, { first }).catch((error: unknown) => {
        if (file === undefined || !isContradiction(error)) throw error;
        return this.#apply(file, { first, builtIns: false });
      });
    } catch (error) {
      if (file === undefined || !isContradiction(error)) throw error;
      this.#reject(error);
      await this.#apply(undefined, { first });
    }
    if (file === undefined) return;
    this.#watch = watchConfiguration({
      file: file.file,
      text: file.text,
      onChange: (text) => this.#onChange(text),
      onError: (error) =>
        this.#options.log.error({ file: file.file, err: error }, 'configuration file not applied'),
    });
  }

  /** Reads the file again and applies it now; rejects with what is wrong with it. */
  async reapply(options: { takeOver: boolean; actor: Actor }): Promise<FileStatus> {
    if (this.#loaded === undefined) {
      throw new SignalboxError('not_found', 'This control plane was started without a configuration file.');
    }
    try {
      await this.#apply(await loadFile(this.#loaded.file, this.#options), options);
    } catch (error) {
      throw this.#reject(error);
    }
    return this.#status;
  }

  async close(): Promise<void> {
    await this.#watch?.close();
  }

  /** The watch calls again after a rejection, which only a missing database is worth. */
  async #onChange(text: string): Promise<void> {
    try {
      await this.#apply(loadText(this.#loaded!.file, text, this.#options), {});
    } catch (error) {
      const reason = SignalboxError.from(asDatabaseError(error));
      if (reason.code === 'database_unavailable') throw reason;
      this.#reject(reason);
    }
  }

  async #apply(
    file: LoadedFile | undefined,
    { takeOver = false, actor = systemActor, builtIns = this.#options.demo, first }: ApplyFileOptions,
  ): Promise<void> {
    const { db, secrets, environment, clock, log } = this.#options;
    const { revision, changed } = await inChange(db, actor, async (change) => {
      await first?.(change);
      const isFirstStart = change.previousRevision === 0n;
      await applyLayers(change, secrets, [
        ...(file ? [fileLayer(file.configuration, takeOver)] : []),
        environmentLayer(environment),
        ...(builtIns && isFirstStart ? [builtInLayer()] : []),
      ]);
    });
    if (file === undefined) return;
    const appliedAt = new Date(clock.wallMs());
    this.#status = { file: file.file, status: 'applied', revision, appliedAt, error: null };
    log.info({ file: file.file, revision: Number(revision), changed }, 'configuration file applied');
  }

  #reject(thrown: unknown): SignalboxError {
    const error = SignalboxError.from(asDatabaseError(thrown));
    const { log } = this.#options;
    this.#status = { ...this.#status, status: 'rejected', error };
    const file = this.#loaded?.file ?? '';
    const problems = error.problems.map((problem) => problemText(file, problem));
    log.error(
      { file, code: error.code, problems, err: error.cause },
      `configuration file not applied: ${error.message}`,
    );
    return error;
  }
}

/** Whether the file is right by itself and does not fit to what else there is. */
function isContradiction(error: unknown): boolean {
  return (
    error instanceof SignalboxError &&
    ['conflict', 'invalid_configuration', 'managed_elsewhere'].includes(error.code)
  );
}

function fileLayer({ providers, models, aliases, routes }: Configuration, takeOver: boolean): Layer {
  const wanted = [
    ...providers.map((provider) => writeProvider(provider)),
    ...models.map(writeModel),
    ...aliases.map(writeAlias),
    ...routes.map(writeRoute),
  ];
  return { source: 'file', wanted, takeOver };
}
