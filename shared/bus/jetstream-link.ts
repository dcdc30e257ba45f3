// What the two halves of the JetStream bus share: a connection on which the usage stream is known to exist.
import { JetStreamApiError, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';

export interface JetStreamLink {
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  /** Aborted when this connection breaks, even if the client library will mend it: what was asked over it is void. */
  readonly broken: AbortSignal;
  /** To be called when the stream turns out to be missing: the server lost its store, or it was deleted. */
  readonly lost: () => void;
}

/** The server's way to say that there is no such stream, asked by name. */
const STREAM_NOT_FOUND = 10059;

/** Asked by subject, nobody answers; the same is seen while JetStream is not up yet. */
export function isMissingStream(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === STREAM_NOT_FOUND;
  return (
    error instanceof Error && (error.name === 'JetStreamNotEnabled' || error.name === 'NoRespondersError')
  );
}
