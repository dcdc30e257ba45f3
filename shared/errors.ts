// Every failure this system can report, in one closed table. A code decides the HTTP status, the OpenAI error type, whose
// fault it was and whether another upstream might succeed; the message says what happened and what to do about it.
// Unknown errors become `internal` on the wire and keep the original in `cause`, for the log only.

/** Who has to act: the caller, the operator's provider credential, the provider, nobody (wait), or us. */
export type Fault = 'caller' | 'credential' | 'provider' | 'capacity' | 'gateway';

interface ErrorKind {
  readonly status: number;
  /** The `type` of an OpenAI error object. */
  readonly type: string;
  readonly fault: Fault;
  /** Whether the same request may succeed on another upstream. */
  readonly retryable: boolean;
  readonly title: string;
}

const invalid = { type: 'invalid_request_error', fault: 'caller', retryable: false } as const;
const upstream = { type: 'api_error', fault: 'provider', retryable: true } as const;
const capacity = { type: 'rate_limit_error', fault: 'capacity', retryable: true } as const;
const gateway = { type: 'api_error', fault: 'gateway', retryable: false } as const;

export const errorTable = {
  // What the caller can mend.
  invalid_request: { status: 400, ...invalid, title: 'The request is not valid' },
  unsupported_field: {
    status: 400,
    ...invalid,
    title: 'The upstream of this model cannot do what a field asks for',
  },
  unsupported_by_provider: {
    status: 400,
    ...invalid,
    title: 'The provider of this model does not offer that',
  },
  invalid_json: { status: 400, ...invalid, title: 'The body is not valid JSON' },
  invalid_configuration: { status: 422, ...invalid, title: 'The configuration is not valid' },
  missing_api_key: { status: 401, ...invalid, type: 'authentication_error', title: 'No API key was sent' },
  invalid_api_key: {
    status: 401,
    ...invalid,
    type: 'authentication_error',
    title: 'The API key is not known',
  },
  expired_api_key: {
    status: 401,
    ...invalid,
    type: 'authentication_error',
    title: 'The API key has expired',
  },
  model_not_allowed: {
    status: 403,
    ...invalid,
    type: 'permission_error',
    title: 'This key may not use that model',
  },
  origin_not_allowed: {
    status: 403,
    ...invalid,
    type: 'permission_error',
    title: 'Pages of this origin may not connect',
  },
  model_not_found: { status: 404, ...invalid, title: 'The model does not exist' },
  previous_response_not_found: {
    status: 400,
    ...invalid,
    title: 'The response to go on from is not kept here',
  },
  not_found: { status: 404, ...invalid, title: 'There is nothing here' },
  method_not_allowed: { status: 405, ...invalid, title: 'This method is not supported here' },
  request_timeout: { status: 408, ...invalid, title: 'The request did not arrive in time' },
  session_expired: { status: 408, ...invalid, title: 'The session has lasted as long as it may' },
  conflict: { status: 409, ...invalid, title: 'The object already exists or is in use' },
  managed_elsewhere: { status: 409, ...invalid, title: 'The object is managed from another source' },
  precondition_failed: { status: 412, ...invalid, title: 'The object has changed in the meantime' },
  request_too_large: { status: 413, ...invalid, title: 'The request is too large' },
  unsupported_media_type: { status: 415, ...invalid, title: 'The content type is not supported' },
  expectation_failed: { status: 417, ...invalid, title: 'The expectation of the request cannot be met' },
  deadline_exceeded: {
    status: 504,
    ...invalid,
    type: 'timeout_error',
    title: 'The time that the request was given has passed',
  },
  upgrade_required: { status: 426, ...invalid, title: 'This is spoken over a WebSocket' },
  precondition_required: { status: 428, ...invalid, title: 'An If-Match header is required' },
  headers_too_large: { status: 431, ...invalid, title: 'The request headers are too large' },
  context_length_exceeded: { status: 400, ...invalid, title: 'The prompt is longer than the model accepts' },
  content_filtered: { status: 400, ...invalid, title: 'The provider refused the content' },
  upstream_rejected: { status: 400, ...invalid, title: 'The provider rejected the request' },
  excluded_by_rules: {
    status: 403,
    ...invalid,
    type: 'permission_error',
    title: 'The rules of the route leave nobody to ask',
  },
  client_closed: { status: 499, ...invalid, title: 'The client closed the connection' },
  hedge_lost: { status: 499, ...invalid, title: 'Another attempt made this one unnecessary' },

  // What waiting or another upstream can mend.
  upstream_rate_limited: { status: 429, ...capacity, title: 'The provider is limiting requests' },
  upstream_quota_exhausted: {
    status: 429,
    ...capacity,
    type: 'insufficient_quota',
    title: 'The provider account is out of quota',
  },
  upstream_overloaded: {
    status: 503,
    ...capacity,
    type: 'overloaded_error',
    title: 'The provider is overloaded',
  },
  queue_full: { status: 503, ...capacity, type: 'overloaded_error', title: 'Too many requests are waiting' },
  queue_timeout: {
    status: 503,
    ...capacity,
    type: 'overloaded_error',
    title: 'The request waited too long to be sent on',
  },
  upstream_unauthorized: {
    status: 502,
    ...upstream,
    fault: 'credential',
    title: 'The provider refused our credentials',
  },
  upstream_model_missing: {
    status: 502,
    ...upstream,
    fault: 'credential',
    title: 'The provider does not offer this model',
  },
  upstream_error: { status: 502, ...upstream, title: 'The provider failed' },
  upstream_invalid: { status: 502, ...upstream, title: 'The provider sent an answer that cannot be read' },
  upstream_truncated: { status: 502, ...upstream, title: 'The answer of the provider broke off' },
  upstream_unreachable: { status: 502, ...upstream, title: 'The provider could not be reached' },
  upstream_timeout: { status: 504, ...upstream, title: 'The provider did not answer in time' },
  upstream_forbidden_address: {
    status: 502,
    ...upstream,
    fault: 'gateway',
    title: 'The provider address is not allowed',
  },

  // What we have to mend.
  interrupted: { status: 503, ...gateway, title: 'The data plane stopped during the attempt' },
  draining: { status: 503, ...gateway, type: 'overloaded_error', title: 'This instance is shutting down' },
  not_ready: {
    status: 503,
    ...gateway,
    type: 'overloaded_error',
    title: 'This instance has no configuration yet',
  },
  no_data_plane: { status: 503, ...gateway, title: 'No data plane can be asked' },
  overloaded: { status: 503, ...gateway, type: 'overloaded_error', title: 'This instance is at its limit' },
  database_unavailable: { status: 503, ...gateway, title: 'The database cannot be reached' },
  response_store_unavailable: {
    status: 503,
    ...gateway,
    title: 'The store of responses cannot be reached',
  },
  ledger_unavailable: { status: 503, ...gateway, title: 'The usage journal cannot be written' },
  bus_unavailable: { status: 503, ...gateway, title: 'The usage bus is not taking messages' },
  address_in_use: { status: 503, ...gateway, title: 'The address to listen on is not free' },
  directory_unusable: { status: 503, ...gateway, title: 'The data directory cannot be used' },
  internal: { status: 500, ...gateway, title: 'Something went wrong here' },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorDetails {
  /** The field of the request at fault, as the caller wrote it. */
  readonly param?: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
  /** Several findings at once, for configuration and forms. */
  readonly problems?: readonly Problem[];
}

/** One finding about one field; positions are given where the input was text. */
export interface Problem {
  readonly path: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

export class SignalboxError extends Error {
  override readonly name = 'SignalboxError';
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.param = details.param;
    this.retryAfterMs = details.retryAfterMs;
    this.problems = details.problems ?? [];
  }

  get kind(): ErrorKind {
    return errorTable[this.code];
  }

  /** Turns whatever was thrown into an error that is safe to show. */
  static from(thrown: unknown): SignalboxError {
    if (thrown instanceof SignalboxError) return thrown;
    return new SignalboxError(
      'internal',
      'An unexpected error occurred. The log of this instance has the details.',
      {
        cause: thrown,
      },
    );
  }
}
