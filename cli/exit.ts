// How a command that cannot go on says so: what is wrong and what to do, on standard error, and an exit code of
// sysexits.h that a service manager can act on. Stack traces are for failures that nobody foresaw.
import { problemText } from '#shared/configuration/load.ts';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { shownPath } from './configuration-file.ts';

/** EX_UNAVAILABLE, EX_CANTCREAT and EX_CONFIG. */
const exitCodes: Partial<Record<ErrorCode, number>> = {
  database_unavailable: 69,
  bus_unavailable: 69,
  address_in_use: 69,
  directory_unusable: 73,
  invalid_configuration: 78,
};
const UNFORESEEN = 1;

export function explainFailure(thrown: unknown): { text: string; exitCode: number } {
  const error = knownCause(thrown);
  if (error === undefined) {
    const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    return { text: `signalbox: an unexpected error occurred\n${stack}`, exitCode: UNFORESEEN };
  }
  const { param, problems } = error;
  const isFile = param !== undefined && problems.some(({ line }) => line !== undefined);
  const text = isFile
    ? problems.map((problem) => problemText(shownPath(param), problem)).join('\n')
    : `signalbox: ${error.message}`;
  return { text, exitCode: exitCodes[error.code] ?? UNFORESEEN };
}

/** The first error in the chain of causes that says what to do; "internal" says nothing. */
function knownCause(thrown: unknown): SignalboxError | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof SignalboxError && error.code !== 'internal') return error;
    const listening = listenFailure(error);
    if (listening !== undefined) return listening;
  }
  return undefined;
}

type ListenError = NodeJS.ErrnoException & { readonly address?: string; readonly port?: number };

/** What the system says when a server cannot have its address, in words. */
export function listenFailure(error: ListenError): SignalboxError | undefined {
  if (error.syscall !== 'listen') return undefined;
  const { code, address = '', port = 0 } = error;
  const where = `port ${port} on ${address}`;
  const elsewhere =
    'choose another with --port (or SIGNALBOX_PORT, SIGNALBOX_ADMIN_PORT, SIGNALBOX_SYNC_PORT)';
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `${where} is taken by another program; stop it, or ${elsewhere}`,
    EACCES: `${where} may not be used by this account; ${elsewhere}`,
    EADDRNOTAVAIL: `this machine does not have the address ${address}; set SIGNALBOX_HOST to one that it has`,
  };
  const message = reasons[code ?? ''] ?? `${where} cannot be used (${error.message}); ${elsewhere}`;
  return new SignalboxError('address_in_use', message, { cause: error });
}
