// Who may call from a browser (the Fetch standard's CORS). Without a list there is no such header at all, and browsers keep
// pages of other origins away. With one, its origins may call, with their key in a header as everywhere: cookies and other
// credentials of the browser's own mean nothing here and are never allowed.
import type { IncomingHttpHeaders } from 'node:http';

export interface CorsPolicy {
  readonly origins: ReadonlySet<string>;
  readonly allowsAll: boolean;
}

/** Undefined where nobody may, so that nothing is said about it. */
export function corsPolicy(origins: readonly string[]): CorsPolicy | undefined {
  if (origins.length === 0) return undefined;
  return { origins: new Set(origins), allowsAll: origins.includes('*') };
}

/** What a page may read of an answer besides its body; more than a few standard headers has to be named. */
const exposedHeaders = [
  'x-request-id',
  'x-signalbox-request-id',
  'x-signalbox-model',
  'x-signalbox-provider',
  'x-signalbox-route',
  'x-signalbox-attempts',
  'x-signalbox-overhead-ms',
  'x-signalbox-dropped',
  'x-signalbox-trail',
  'x-signalbox-estimated',
  'retry-after',
  'retry-after-ms',
].join(', ');

/** The same for every path, so that asking tells a stranger nothing about what there is. */
const METHODS = 'GET, HEAD, POST, DELETE, OPTIONS';
/** The longest that Chrome remembers; a change of the list reaches pages when they are opened again at the latest. */
const REMEMBERED_SECONDS = 7200;
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:\s*,\s*[\w!#$%&'*+.^`|~-]+)*$/;
const HEADER_NAMES_LENGTH_MAX = 4096;

export interface CorsAnswer {
  readonly headers: readonly string[];
  /** Whether another origin would have been answered otherwise. */
  readonly varies: boolean;
}

/** For every answer. */
export function corsAnswer({ origins, allowsAll }: CorsPolicy, origin: string | undefined): CorsAnswer {
  const allowed = allowsAll ? '*' : origin;
  if (allowed === undefined || (!allowsAll && !origins.has(allowed))) return { headers: [], varies: true };
  return {
    headers: ['access-control-allow-origin', allowed, 'access-control-expose-headers', exposedHeaders],
    // Said to everybody where all may call, so that it may be kept for everybody.
    varies: !allowsAll,
  };
}

/** What a browser is told that asks before it calls; undefined where it asks nothing or may not call. */
export function preflightHeaders(policy: CorsPolicy, headers: IncomingHttpHeaders): string[] | undefined {
  const wanted = headers['access-control-request-method'];
  if (wanted === undefined || headers.origin === undefined || !mayCall(policy, headers.origin))
    return undefined;
  const names = headers['access-control-request-headers']?.trim() ?? '';
  const isReadable = names.length <= HEADER_NAMES_LENGTH_MAX && HEADER_NAMES.test(names);
  return [
    'access-control-allow-methods',
    METHODS,
    // SDKs send headers of their own, and a star would leave out the one with the key.
    ...(isReadable ? ['access-control-allow-headers', names] : []),
    'access-control-max-age',
    String(REMEMBERED_SECONDS),
  ];
}

/**
 * Whether a page of this origin may connect where the browser itself does not keep it away: WebSockets. Whoever names no
 * origin is no browser.
 */
export function mayConnect(policy: CorsPolicy | undefined, origin: string | undefined): boolean {
  return policy === undefined || origin === undefined || mayCall(policy, origin);
}

function mayCall({ origins, allowsAll }: CorsPolicy, origin: string): boolean {
  return allowsAll || origins.has(origin);
}
