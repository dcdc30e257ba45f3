// What can be asked of a model besides a turn: embeddings, pictures, speech, ranking. A service is what clients speak
// (OpenAI's words, or those most clients use); a form is how one family of vendors writes the same thing. The request is read
// once, and each upstream gets it in its form: bytes with the model changed where that form is the client's, else translated.
//
// What an answer used is told in the provider's own words wherever it has any. Where it has none, but what it charges by is
// known here (characters to be spoken, pictures, searches), our own count stands in the same place, as
// `{"counted":{"images":2}}`: no vendor has that member, so a price can be put to it later and nobody takes it for theirs.
import type { SignalboxError } from '#shared/errors.ts';
import type { ServiceName } from '#shared/provider-types.ts';
import type { Address, BodyReport, StreamTap, Unsupported, UpstreamHeaders } from '../dialects/dialect.ts';

export type { ServiceName };

export interface Service {
  readonly name: ServiceName;
  /** What answers may be; JSON unless it says otherwise. */
  readonly accept?: string;
  /** Reads what admission and routing need. Throws `invalid_json` or `invalid_request`. */
  read(body: Buffer, contentType: string, address?: Address): ServiceRequest;
  readonly forms: Readonly<Record<string, ServiceForm>>;
}

/** A client's request for a service, as far as it has been read. */
export interface ServiceRequest {
  readonly body: Buffer;
  readonly contentType: string;
  readonly model: string;
  /** Whether events were asked for. */
  readonly stream: boolean;
  /** What the client said to the gateway itself, in the member `x-gateway`. It is no longer in `body`. */
  readonly gateway: unknown;
  /** Private to the service that made it. */
  readonly details: unknown;
}

export interface ServiceTarget {
  readonly model: string;
  readonly unsupported: Unsupported;
}

export interface ServiceForm {
  /** Whether requests and answers are the client's own, so that bytes pass. */
  readonly isOwn: boolean;
  encode(request: ServiceRequest, target: ServiceTarget): EncodedBody;
  /** An upstream's whole answer as the client expects it. */
  convert(body: Buffer, request: ServiceRequest, headers: UpstreamHeaders): ConvertedBody;
  /** What watches the answer pass, where it is relayed as it comes; undefined where it is held until it is whole. */
  tap?(request: ServiceRequest): (() => StreamTap) | undefined;
  readError(status: number, headers: UpstreamHeaders, body: Buffer): SignalboxError;
}

export interface EncodedBody {
  readonly body: readonly Buffer[];
  readonly contentType: string;
}

export interface ConvertedBody {
  readonly report: BodyReport;
  readonly body: Buffer;
  /** Undefined: as the upstream called it. */
  readonly contentType?: string;
}
