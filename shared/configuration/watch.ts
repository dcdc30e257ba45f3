// Notices when the configuration file has changed, however it is replaced: written in place, renamed over, or swapped by
// Kubernetes behind two symbolic links. Asking for its state twice a second costs nothing, and unlike notifications from
// the file system it works the same on network drives and mounted volumes and cannot lose track of a replaced file.
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

export interface WatchOptions {
  readonly file: string;
  /** The text in force; a file with this text has not changed. */
  readonly text: string;
  /** Called with each new text; the next one waits until this has finished. When it fails it is called again. */
  readonly onChange: (text: string) => Promise<void> | void;
  /** The file cannot be read, or `onChange` failed. Called once for each run of equal failures. */
  readonly onError: (error: Error) => void;
  readonly intervalMs?: number;
}

export interface Watch {
  close(): Promise<void>;
}

const INTERVAL_MS = 500;

export function watchConfiguration(options: WatchOptions): Watch {
  const stop = new AbortController();
  const ended = poll(options, stop.signal);
  return {
    close() {
      stop.abort();
      return ended;
    },
  };
}

async function poll(
  { file, text, onChange, onError, intervalMs = INTERVAL_MS }: WatchOptions,
  signal: AbortSignal,
) {
  let inForce = text;
  let handled = ''; // the state of the file whose text is in force
  let seen = '';
  let lastFailure = '';
  while (!signal.aborted) {
    try {
      const state = await stateOf(file);
      // A file that is still being written is read when it has stayed the same for one interval.
      if (state === seen && state !== handled) {
        const current = await readFile(file, 'utf8');
        if (current !== inForce) await onChange(current);
        inForce = current;
        handled = state;
        lastFailure = '';
      }
      seen = state;
    } catch (thrown) {
      const error = thrown as Error;
      if (error.message !== lastFailure) onError(error);
      lastFailure = error.message;
    }
    await wait(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

async function stateOf(file: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}
