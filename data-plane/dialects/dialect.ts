// What a wire format must be able to do. A dialect knows bodies, frames and errors of one API; it knows no host, no
// credential and no other dialect. Same job, same file name in every dialect's folder:
//   wire.ts      the shapes on the wire          request.ts   client body <-> TurnRequest, and splicing
//   response.ts  upstream answer -> events       render.ts    events -> client answer
//   errors.ts    error bodies, both directions   tap.ts       metering bytes that pass through untouched
import type { SignalboxError } from '#shared/errors.ts';
import type { ClientFraming, Frame, Framing } from '../framing/frame.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';
import type { Usage } from '../turn/usage.ts';

/** What clients can speak. */
export type ClientDialectName =
  | 'openai-chat'
  | 'openai-responses'
  | 'openai-completions'
  | 'anthropic-messages'
  | 'gemini';

export type DialectName = ClientDialectName | 'bedrock-converse' | 'cohere-v2';

/** The half that speaks to upstreams. */
export interface Dialect {
  readonly name: DialectName;
  readonly framing: Framing;
  /** A request in this dialect's words; tells the target what it has no words for. Without a target, as the client wrote it. */
  encode(request: TurnRequest, target?: EncodeTarget): Record<string, unknown>;
  /** Upstream frames to events. `request` is what `encode` was given, for dialects whose answers do not say all that they mean. */
  reader(request?: TurnRequest): Reader;
  /** A whole upstream body to the events it would have streamed. Throws `upstream_invalid` when it is no answer. */
  unfold(body: Buffer, request?: TurnRequest): TurnEvent[];
  /** Makes sense of an upstream's error answer. */
  readError(status: number, headers: UpstreamHeaders, body: Buffer): SignalboxError;
}

/** The half that speaks to clients, for dialects in which there are any. */
export interface ClientDialect extends Dialect {
  readonly name: ClientDialectName;
  readonly framing: ClientFraming;
  /** What this dialect calls the fields of a canonical request, so that a refusal names what the client wrote. */
  readonly fieldNames: FieldNames;
  /**
   * Reads of a client's body what admission and routing need, without reading all of it. Where a dialect names the model in
   * the address, the address says it. Throws `invalid_json` or `invalid_request`.
   */
  peek(body: Buffer, address?: Address): RequestHead;
  /** The original bytes for an upstream of this same dialect: only the model, and what metering needs, is changed. */
  splice(head: RequestHead, target: SpliceTarget): readonly Buffer[];
  /** The request as a canonical one, to be encoded for an upstream of another dialect. */
  decode(head: RequestHead): TurnRequest;
  /** The fields of a decoded body that mean something here and nothing to any other dialect, by their paths. */
  untranslatable(request: TurnRequest): readonly string[];
  /** Events to client frames. */
  writer(options: WriterOptions): Writer;
  /** A finished turn's events to a whole client body. */
  render(events: readonly TurnEvent[], request?: TurnRequest): Record<string, unknown>;
  /** Watches a stream that passes through as bytes. */
  tap(head: RequestHead): StreamTap;
  /** Meters a whole body that passes through as bytes. */
  inspect(body: Buffer): BodyReport;
  /** An error as this dialect's clients expect it in a body … */
  renderError(error: SignalboxError): Record<string, unknown>;
  /** … and in a stream that has already begun. Nothing may follow it. */
  renderStreamError(error: SignalboxError): Frame[];
}

export type FieldNames = Readonly<Partial<Record<keyof TurnRequest, string>>>;

/** What the path of a request says, for dialects whose bodies do not. */
export interface Address {
  readonly model: string;
  readonly stream: boolean;
}

export type UpstreamHeaders = Readonly<Record<string, string | undefined>>;

export interface RequestHead {
  /** What the client sent, without what was meant for the gateway. */
  readonly body: Buffer;
  readonly model: string;
  readonly stream: boolean;
  /** Whether the client wants to see usage in its stream; metering sees it either way. */
  readonly wantsUsage: boolean;
  /** What the client said to the gateway itself, in the member `x-gateway`. It is no longer in `body`. */
  readonly gateway: unknown;
  /** Where values that may be spliced stand in the body. Private to the dialect that made it. */
  readonly spans: Readonly<Record<string, Span | undefined>>;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What an upstream wants to read otherwise than its dialect has it. */
export interface BodyShape {
  /** It reports a stream's usage unasked and refuses requests that ask for it. */
  readonly usageUnasked?: boolean;
  /** Where it looks for the limit of the answer's length. */
  readonly outputLimitField?: 'max_tokens' | 'max_completion_tokens';
  /** It takes `top_k`, which is no field of OpenAI's. */
  readonly topK?: boolean;
  /** The model stands in the path, and the body must not name it. */
  readonly omitsModel?: boolean;
  /** It fetches pictures and documents from any address itself. */
  readonly opensUrls?: boolean;
  /** It matches results to calls by name and order, and refuses ids. */
  readonly omitsCallIds?: boolean;
  /** Members that every body needs; they win over the client's. */
  readonly adds?: Readonly<Record<string, unknown>>;
}

export interface SpliceTarget extends BodyShape {
  readonly model: string;
}

export interface EncodeTarget extends BodyShape {
  /**
   * Hears of what this dialect has no words for: a field of the canonical request, or a path below one
   * (`messages[2].content`), and why. Throws `unsupported_field`, or returns when the client would rather do without;
   * then it is left out.
   */
  readonly unsupported: Unsupported;
  /** Hears of a wish that this once cannot be met and that nobody should be refused for; the client is told. */
  readonly leftOut?: (field: string) => void;
}

export type Unsupported = (field: string, reason: string) => void;

export interface WriterOptions {
  readonly wantsUsage: boolean;
  /** The request that is being answered, for dialects whose answers repeat it. */
  readonly request?: TurnRequest;
}

/** A synchronous machine: waiting -> open -> closed. `end()` before closed yields `turn-error upstream_truncated`; nothing follows closed. */
export interface Reader {
  push(frame: Frame): TurnEvent[];
  end(): TurnEvent[];
}

export interface Writer {
  push(event: TurnEvent): Frame[];
}

export interface StreamTap {
  /**
   * Takes upstream bytes and returns the bytes for the client: the same, less what the client did not ask for, and in whole
   * events. What it returns may be a view of what it was given. Throws `upstream_invalid` when an event exceeds its limit.
   */
  push(bytes: Buffer): Buffer;
  /**
   * Whether something came that is no part of such a stream: nothing passes from there on. The report's error says what it
   * was; the client has not been told.
   */
  readonly isBroken: boolean;
  /** Set where the stream has no end of its own, as sound has none: then it is whole when its connection says so. */
  readonly endsWithConnection?: true;
  /** The upstream's stream has ended; says what is left to send and what the stream was. */
  end(): { readonly bytes: Buffer; readonly report: StreamReport };
  /** What is known so far, for a stream that is given up. */
  report(): StreamReport;
}

export interface BodyReport {
  /** The provider's id of the answer; empty when it gave none. */
  readonly id: string;
  /** Undefined when the provider reported none. */
  readonly usage: Usage | undefined;
  /** The usage object exactly as sent; empty when none. */
  readonly rawUsage: string;
  /** Set when a body that arrived with a success status carries an error all the same, or cannot be an answer at all. */
  readonly error: SignalboxError | undefined;
}

export interface StreamReport extends BodyReport {
  /** Whether the stream said that it was finished (and did not merely stop). */
  readonly complete: boolean;
}
