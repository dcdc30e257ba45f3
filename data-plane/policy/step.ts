// What an admission step is, and what the steps of each stage are told. A step lets the request through or throws the
// error that the caller gets.
import type { Principal, Snapshot } from '../snapshot/snapshot.ts';

export interface Step<Context, Result> {
  readonly name: string;
  run(context: Context): Result;
}

/** What is known of a request before its body. */
export interface Arrival {
  readonly snapshot: Snapshot;
  readonly credentials: Credentials;
  readonly nowMs: number;
}

/** The headers in which a key may arrive, as they were sent. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
  readonly googleApiKey?: string | undefined;
  /** Whether the address holds one, where it would be written into logs on the way. */
  readonly isInAddress?: boolean;
}

/** What is known once the body has been read. */
export interface ModelRequest {
  readonly principal: Principal;
  readonly model: string;
}
