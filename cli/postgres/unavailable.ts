// Every reason why the embedded database cannot run ends with the way out that always works: a database of one's own.
import { SignalboxError } from '#shared/errors.ts';

export function unavailable(what: string, remedy: string | undefined, cause?: unknown): SignalboxError {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  const first = remedy === undefined ? 'Set' : `${remedy[0]!.toUpperCase()}${remedy.slice(1)}, or set`;
  return new SignalboxError(
    'database_unavailable',
    `The embedded database cannot start: ${what}${reason}. ${first} SIGNALBOX_DATABASE_URL to a PostgreSQL 15 or newer of your own.`,
    { cause },
  );
}
