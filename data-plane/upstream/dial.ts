// Opening a connection: the name is resolved here, every address it has is judged, and the connection goes to exactly one
// of the judged addresses. Nothing resolves the name again between the check and the dialling. Addresses are tried in the
// order in which the resolver gave them, each with its share of the time that is left.
import { lookup } from 'node:dns/promises';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { SignalboxError } from '#shared/errors.ts';
import { judgeAddress } from './address-guard.ts';
import type { Origin } from './contract.ts';

/** All addresses of a name, in the order in which they should be tried. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export interface DialOptions {
  readonly origin: Origin;
  readonly resolve: Resolve;
  readonly connectTimeoutMs: number;
  /** Instead of the system's, for tests. */
  readonly certificateAuthorities: readonly string[] | undefined;
  /** A TLS session to take up again. */
  readonly session: Buffer | undefined;
  readonly onSession: (session: Buffer) => void;
  /** Whoever takes the connection reads it as a stream, so `onBytes` is never called. */
  readonly asStream?: boolean;
}

/** An open connection and the place where its bytes come out. */
export interface Line {
  readonly socket: Socket;
  onBytes: (bytes: Buffer) => void;
}

export const systemResolve: Resolve = async (host) => {
  const found = await lookup(host, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
};

const READ_BYTES = 64 * 1024;
/** A model may think for minutes; address translators on the way forget silent connections sooner. */
const PROBE_AFTER_MS = 30_000;
/**
 * One buffer for the reads of all plain connections: a read is handed on before the next begins, and copying what it
 * brought (about 1 KB) costs less than the 64 KiB allocation Node would make for each.
 */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** `called` off from outside, or by the time-out here. */
export async function dial(options: DialOptions, called: AbortController): Promise<Line> {
  const { origin, connectTimeoutMs } = options;
  const endMs = performance.now() + connectTimeoutMs;
  const timer = setTimeout(() => called.abort(), connectTimeoutMs);
  let failure: unknown;
  try {
    const addresses = await orAborted(resolveChecked(options), called.signal);
    for (const [index, address] of addresses.entries()) {
      const shareMs = Math.ceil((endMs - performance.now()) / (addresses.length - index));
      try {
        return await connectTo(address, options, called.signal, Math.max(shareMs, 1));
      } catch (thrown) {
        failure = thrown;
        if (called.signal.aborted) break;
      }
    }
  } catch (thrown) {
    if (thrown instanceof SignalboxError) throw thrown;
    failure = thrown;
  } finally {
    clearTimeout(timer);
  }
  throw describeFailure(
    failure,
    called.signal.aborted || failure instanceof TooSlow,
    origin,
    connectTimeoutMs,
  );
}

class TooSlow extends Error {}

async function resolveChecked({ origin, resolve }: DialOptions): Promise<readonly string[]> {
  const { host, allowPrivateNetwork, metadataAddress } = origin;
  const addresses = isIP(host) ? [host] : await resolve(host);
  if (addresses.length === 0) throw new Error('the name has no address');
  // One forbidden address condemns the name: an honest provider has none, and an attacker only needs one to be tried.
  for (const address of addresses) {
    if (address === metadataAddress) continue;
    const { reach, kind } = judgeAddress(address);
    if (reach === 'public' || (reach === 'private' && allowPrivateNetwork)) continue;
    const remedy =
      reach === 'private'
        ? 'If that is meant, set allow_private_network on the provider.'
        : 'Such addresses are never dialled; correct the base_url of the provider.';
    throw new SignalboxError(
      'upstream_forbidden_address',
      `The address of ${host} is of the kind "${kind}". ${remedy}`,
    );
  }
  return addresses;
}

function connectTo(
  address: string,
  options: DialOptions,
  signal: AbortSignal,
  withinMs: number,
): Promise<Line> {
  const { promise, resolve, reject } = Promise.withResolvers<Line>();
  const line = options.origin.secure ? openSecure(address, options) : openPlain(address, options);
  const { socket } = line;
  const giveUp = (): void => void socket.destroy(new TooSlow('the connection took too long to open'));
  const timer = setTimeout(giveUp, withinMs);
  signal.addEventListener('abort', giveUp);
  // Stays for the life of the socket: an error always comes with a close, and the close is what is acted on.
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the connection was closed while it was being opened')));
  socket.once(options.origin.secure ? 'secureConnect' : 'connect', () => resolve(line));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  });
}

function openPlain(address: string, { origin, asStream = false }: DialOptions): Line {
  const onread = {
    buffer: readBuffer,
    callback: (byteCount: number): boolean => {
      const bytes = Buffer.allocUnsafe(byteCount);
      readBuffer.copy(bytes, 0, 0, byteCount);
      line.onBytes(bytes);
      return true;
    },
  };
  const socket = connectPlain({
    host: address,
    port: origin.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_AFTER_MS,
    ...(!asStream && { onread }),
  });
  const line: Line = { socket, onBytes: () => socket.destroy() };
  return line;
}

function openSecure(
  address: string,
  { origin, certificateAuthorities, session, onSession, asStream = false }: DialOptions,
): Line {
  const name = origin.host.replace(/\.$/, '');
  const socket = connectSecure({
    host: address,
    port: origin.port,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    // The certificate has to be for the configured name; for a bare address, for that address.
    ...(isIP(name) === 0 && { servername: name }),
    ...(session && { session }),
    ...(certificateAuthorities && { ca: [...certificateAuthorities] }),
  });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, PROBE_AFTER_MS);
  const line: Line = { socket, onBytes: () => socket.destroy() };
  if (!asStream) socket.on('data', (bytes: Buffer) => line.onBytes(bytes));
  socket.on('session', onSession);
  return line;
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(new TooSlow('the name took too long to resolve'));
  signal.addEventListener('abort', onAbort);
  work.then(resolve, reject);
  return promise.finally(() => signal.removeEventListener('abort', onAbort));
}

function describeFailure(
  cause: unknown,
  timedOut: boolean,
  { host, port }: Origin,
  connectTimeoutMs: number,
): SignalboxError {
  if (timedOut) {
    return new SignalboxError(
      'upstream_timeout',
      `No connection to ${host}:${port} within ${connectTimeoutMs} ms. Check that the provider is up and can be reached from here.`,
      { cause },
    );
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  return new SignalboxError(
    'upstream_unreachable',
    `No connection to ${host}:${port} (${code ?? message}). Check the base_url of the provider and that it is up.`,
    { cause },
  );
}
