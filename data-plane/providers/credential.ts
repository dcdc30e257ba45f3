// What authorises a request at a vendor. Most vendors take a header that never changes; some want every request signed, or
// a token that has to be fetched and renewed. Whoever calls does not see which: it has headers to send, and perhaps a
// question to ask first.
import type { Clock } from '#shared/clock.ts';
import type { UpstreamClient } from '../upstream/client.ts';

export interface Credential {
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * What this request needs besides. A promise only where something has to be fetched first, so that a request with a token
   * at hand is sent at once. Throws or rejects with `upstream_unauthorized` or what kept the token from coming.
   */
  authorise?(request: AuthorisedRequest): Readonly<Record<string, string>> | Promise<Record<string, string>>;
}

/** A request as it will be sent. */
export interface AuthorisedRequest {
  readonly method: string;
  /** With the port where it is not the usual one. */
  readonly host: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
}

/** What credentials are made with; one for the whole data plane. */
export interface CredentialTools {
  readonly upstream: UpstreamClient;
  readonly clock: Clock;
  /** The environment of the process, where machines keep their own credentials. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function fixedCredential(headers: Readonly<Record<string, string>>): Credential {
  return Object.freeze({ headers: Object.freeze({ ...headers }) });
}

/** `Authorization: Bearer`, or nothing without a secret. */
export function bearerCredential(secret: string | undefined): Credential {
  return fixedCredential(secret ? { authorization: `Bearer ${secret}` } : {});
}
