// What a client asks for, after admission: everything that is the same for all of its attempts, and how it is put to a
// deployment. Turns, embeddings, pictures: whoever fails over, journals and carries bytes cannot tell them apart.
import type { SignalboxError } from '#shared/errors.ts';
import type { BodyReport, StreamTap, UpstreamHeaders } from '../dialects/dialect.ts';
import type { ConvertedBody } from '../services/service.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { Listen } from './first-words.ts';

export interface Task {
  readonly requestId: string;
  readonly keyId: string;
  readonly requestedModel: string;
  /** Empty when the caller named a model. */
  readonly route: string;
  /** As the ledger calls it: the client's dialect, or the service. */
  readonly operation: string;
  readonly isStreamed: boolean;
  /** The client's own words about this request, for the ledger. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  /** Whether nobody is given its answer. */
  readonly isShadow?: boolean;
  /**
   * How it goes out to this deployment and how the answer comes back. Throws `unsupported_field` or
   * `unsupported_by_provider` where it cannot; another deployment may be able to.
   */
  passageTo(deployment: Deployment): Passage;
  /** An error for a stream that has begun; undefined where its form has no words for one and it can only be broken off. */
  streamError(error: SignalboxError): Buffer | undefined;
  /**
   * The same once more, for another to be tried with: nothing of its answer is kept anywhere, and what a deployment does not know is
   * left out. Absent where there are no copies.
   */
  copy?(): Task;
}

export type Passage = UpstreamPassage | LocalPassage;

interface PassageBase {
  /** What the client asked for and agreed to do without, by the names it used. */
  readonly dropped: readonly string[];
}

export interface UpstreamPassage extends PassageBase {
  readonly kind: 'upstream';
  /** Whether what comes back is not what the upstream sent, so that its own words mean nothing to the client. */
  readonly isTranslated: boolean;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Path and query, below the provider's base URL. */
  readonly path: string;
  readonly contentType: string;
  readonly accept: string;
  /** Of the client's headers, those that this place takes. */
  readonly forwardedHeaders: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
  /** Undefined for an answer that is held until it is whole. */
  readonly stream: PassageStream | undefined;
  /** A whole answer for the client, unless the report has an error. */
  convert(body: Buffer, headers: UpstreamHeaders): ConvertedBody;
  /** What a whole answer says, that came where a stream was asked for. */
  inspect(body: Buffer): BodyReport;
  readError(status: number, headers: UpstreamHeaders, body: Buffer): SignalboxError;
}

export interface PassageStream {
  /** The media type that has to come; any when empty. */
  readonly expects: string;
  /** Whether a whole answer of another type is as good, where upstreams may overlook the wish for a stream. */
  readonly mayBeWhole?: boolean;
  /** What the client is told; the upstream's own when empty. */
  readonly contentType: string;
  tap(): StreamTap;
  /** Tells when the stream begins to say something; absent where every byte of it does. */
  listen?(): Listen;
  /**
   * The stream broke off and the client has read some of it: whether another target can go on with it. Then the next
   * passages do. Absent where none can.
   */
  carryOver?(error: SignalboxError): boolean;
}

export interface LocalPassage extends PassageBase {
  readonly kind: 'local';
  /** The content type of the answer. */
  readonly contentType: string;
  run(signal: AbortSignal): AsyncIterable<LocalPiece>;
}

/** A piece of an answer that is made here. */
export interface LocalPiece {
  readonly bytes: Buffer;
  /** What is known so far. Its error ends the answer. */
  readonly report: BodyReport;
  readonly isLast: boolean;
}
