// How the data plane calls a vendor: which dialect it speaks, at which path, and how a request is authorised. What can be
// said as data is a row of shared/provider-types.ts; a vendor needs a file here only where it differs from its dialect's
// default.
import type { DialectName } from '../dialects/dialect.ts';
import type { TurnEvent } from '../turn/events.ts';
import type { TurnRequest } from '../turn/request.ts';

export interface Provider {
  /** The `type` in configuration. */
  readonly type: string;
  /** Undefined for a provider that only answers locally. */
  readonly dialect: DialectName | undefined;
  /** Below the base URL. */
  readonly path: string;
  /** It reports a stream's usage unasked and refuses requests that ask for it. */
  readonly usageUnasked?: boolean;
  /** Where it looks for the limit of the answer's length; `max_tokens` unless it says otherwise. */
  readonly outputLimitField?: 'max_tokens' | 'max_completion_tokens';
  /** Headers that every request needs; a client that speaks this dialect may send others in their place. */
  readonly fixedHeaders?: Readonly<Record<string, string>>;
  /** The headers that authorise a request with this secret. */
  headers(secret: string): Readonly<Record<string, string>>;
  /** Answers here instead of over the network. */
  readonly answer?: LocalAnswer;
}

export interface LocalAnswerOptions {
  readonly model: string;
  readonly signal: AbortSignal;
}

export type LocalAnswer = (request: TurnRequest, options: LocalAnswerOptions) => AsyncIterable<TurnEvent>;
