// What vendors say when they refuse. Vendors that share a wire format share no error format: objects, strings, lists, numbers for codes,
// an HTML page. Whatever arrives is first boiled down to a few words, then held against one table whose first fitting row
// decides. What a vendor says reaches the caller only where the caller can act on it, and never with anything in it that
// looks like a credential.
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { isObject, type JsonObject, objectOf, objectsIn, textOf } from '../json/values.ts';
import type { UpstreamHeaders } from './dialect.ts';
import { retryAfterMs } from './retry-after.ts';

/** Every vendor says in its own words that a prompt is longer than the model takes. */
const tooLong = new RegExp(
  [
    'maximum context length',
    'context (length|window|size|limit).{0,40}(exceed|too)',
    'context (the )?overflow',
    'exceed.{0,60}(context (length|window|size|limit)|maximum number of tokens|max_tokens_per_request|model token limit)',
    'prompt (is too long|exceeds|contains \\d+ tokens)',
    'input is too long',
    'input token count is \\d+ but',
    'range of input length should be',
    // Not what a limit per minute is told with, nor an answer that may not be so long.
    'too many (input |prompt )?tokens(?! per|,|: max)',
    'maximum prompt length',
    'max size: \\d+ tokens',
    '`?inputs`? (tokens \\+|must have less than)',
    'reduce the length of (the|your) (messages|prompt|input)',
  ].join('|'),
  'i',
);

/** What an error says, whoever said it. */
interface Finding {
  readonly status: number;
  readonly message: string;
  /** `type`, `code` and what else names the kind of error, in small letters. */
  readonly names: string;
  readonly param: string | undefined;
}

interface Row {
  readonly code: ErrorCode;
  readonly statuses?: readonly number[];
  readonly names?: RegExp;
  readonly message?: RegExp;
}

const refusals = [400, 403, 404, 409, 413, 422, 429];

/** The first row that fits decides: `statuses` has to hold, and `names` or `message` where a row has either. */
const rows: readonly Row[] = [
  {
    code: 'context_length_exceeded',
    statuses: [400, 413, 422, 429, 500],
    names:
      /context_length_exceeded|context_window_exceeded|model_max_prompt_tokens_exceeded|exceed_context_size|tokens_limit_reached/,
    message: tooLong,
  },
  {
    code: 'content_filtered',
    statuses: [400, 403, 422, 451],
    names: /content_filter|content_policy|responsibleai|moderation|safety|data_?inspection/,
    message:
      /content (management |filtering )?policy|requires moderation|was flagged|content exists risk|inappropriate content|敏感/i,
  },
  { code: 'upstream_quota_exhausted', statuses: [402] },
  {
    code: 'upstream_quota_exhausted',
    statuses: [400, 403, 429],
    names:
      /insufficient_quota|insufficient_balance|billing|credit_balance|exceeded_current_quota|servicequotaexceeded|arrearage|perday/,
    message:
      /insufficient (balance|credits|funds)|(used|out of) (all )?(available |your )?credits|credit balance is too low|spending limit|free-models-per-day|api calls \/ month/i,
  },
  {
    code: 'upstream_model_missing',
    statuses: [400, 403, 404, 422],
    names:
      /model_not_found|deploymentnotfound|unknown_model|invalid_model|model_not_available|model_not_supported|model_decommissioned/,
    message: /(don['’]t|do not|does not) have access to (the )?model/i,
  },
  {
    code: 'upstream_error',
    statuses: [400, 403],
    names: /unsupported_country/,
    message: /location is not supported|territory not supported/i,
  },
  { code: 'upstream_rate_limited', statuses: [400, 403], names: /throttl|rate_limit_exceeded/ },
  { code: 'upstream_unauthorized', statuses: [401, 403, 407] },
  {
    code: 'upstream_unauthorized',
    statuses: [400, 404],
    names:
      /invalid_api_key|api_key_invalid|unauthenticated|authentication_error|permission_denied|accessdenied|unrecognizedclient|expiredtoken|invalidsignature/,
    message:
      /(incorrect|invalid|expired|missing) (api|subscription)[ _-]?(key|token)|api key (not valid|expired|is invalid|not found)|no auth credentials/i,
  },
  { code: 'upstream_unauthorized', statuses: [498], message: /invalid token/i },
  { code: 'upstream_model_missing', statuses: [404] },
  {
    code: 'upstream_model_missing',
    statuses: [400, 422],
    message:
      /^(the )?(requested )?model [^ ]+ (does not exist|is not available|not found|is not supported)|^invalid model|^model not exist|^unknown model|is not a valid model|model identifier is invalid|on-demand throughput isn.t supported/i,
  },
  { code: 'upstream_overloaded', statuses: [429], names: /overloaded|modelnotready/ },
  { code: 'upstream_rate_limited', statuses: [429] },
  { code: 'upstream_overloaded', statuses: [498, 503, 529] },
  {
    code: 'upstream_overloaded',
    statuses: [500, 502, 520],
    names: /overloaded|no_capacity|capacity_exceeded/,
    message: /overloaded|at capacity/i,
  },
  { code: 'upstream_timeout', statuses: [408, 504, 522, 524] },
  { code: 'request_too_large', statuses: [413] },
  // A model that failed, in Amazon's words; nothing was wrong with the request.
  { code: 'upstream_error', statuses: [424] },
];

/** What some codes of a vendor mean where no status is given, inside a stream. */
const namedStatuses: readonly { readonly names: RegExp; readonly status: number }[] = [
  { names: /rate_limit|too_many_requests|resource_exhausted|throttl/, status: 429 },
  { names: /insufficient_quota|insufficient_balance|exceeded_current_quota/, status: 429 },
  { names: /overloaded|unavailable|capacity/, status: 503 },
  { names: /timeout|deadline_exceeded/, status: 504 },
  { names: /authentication|invalid_api_key|permission|accessdenied/, status: 401 },
  {
    names:
      /invalid_request|tool_use_failed|invalid_argument|validationexception|content_filter|content_policy|context_length/,
    status: 400,
  },
];

/** Where the message belongs to the operator's account, the caller is told what it means and the log keeps the words. */
const operatorMessages: Readonly<Partial<Record<ErrorCode, string>>> = {
  upstream_unauthorized:
    'The provider refused the credentials that are configured for it. Check the API key of this provider.',
};

export function readError(status: number, headers: UpstreamHeaders, body: Buffer): SignalboxError {
  const { parsed, text } = parseLeniently(body);
  const finding = describe(status, parsed, text, kindIn(headers));
  const code = adviseOnRetry(classify(finding), headers['x-should-retry'], status);
  const wait = retryAfterMs({ status, headers, body: parsed, message: finding.message });
  return makeError(code, finding, wait, `answered ${status}`);
}

/** Amazon names an error in a header, with an address behind the name. */
function kindIn(headers: UpstreamHeaders): string | undefined {
  return headers['x-amzn-errortype']?.split(':')[0];
}

/** An error object that arrives after a success status, in a stream or a body. */
export function errorInStream(value: unknown): SignalboxError {
  const outer = objectOf(Array.isArray(value) ? value[0] : value);
  const own = isObject(outer.error) ? outer.error : outer;
  const stated = [own.code, own.status, own.status_code].map(Number).find(isErrorStatus) ?? 0;
  const finding = describe(stated, value, '');
  const status = stated || (namedStatuses.find(({ names }) => names.test(finding.names))?.status ?? 500);
  const settled = { ...finding, status };
  const wait = retryAfterMs({ status, headers: {}, body: value, message: finding.message });
  return makeError(classify(settled), settled, wait, 'reported an error in its answer');
}

function isErrorStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 400 && status < 600;
}

function parseLeniently(body: Buffer): { parsed: unknown; text: string } {
  const text = body.toString('utf8');
  try {
    return { parsed: JSON.parse(text), text };
  } catch {
    return { parsed: undefined, text };
  }
}

/** `kind` is what a header calls the error, for a vendor that says it there. */
function describe(status: number, parsed: unknown, text: string, kind?: string): Finding {
  // Google's compatible endpoint wraps its error in a list.
  const outer = Array.isArray(parsed) ? parsed[0] : parsed;
  if (!isObject(outer)) {
    const message = plainText(textOf(outer) || text);
    return { status, message, names: namesIn([kind]), param: undefined };
  }
  const inner = isObject(outer.error) ? outer.error : outer;
  const message = messageOf(outer) || messageOf(inner);
  const nested = objectOf(inner.innererror);
  const own = [inner.type, inner.code, inner.status, inner.error_type, inner.reason, nested.code];
  return {
    status,
    message: plainText(message),
    names: namesIn([
      kind,
      ...own,
      outer.type,
      outer.code,
      ...objectsIn(inner.details).flatMap(namesInDetail),
    ]),
    param: textOf(inner.param) || undefined,
  };
}

/** Google's reasons, and which of its quotas it was. */
function namesInDetail(detail: JsonObject): readonly unknown[] {
  return [detail.reason, ...objectsIn(detail.violations).map(({ quotaId }) => quotaId)];
}

function namesIn(names: readonly unknown[]): string {
  const texts = names.filter((name) => typeof name === 'string');
  return texts.join(' ').toLowerCase();
}

/** The words of an error, wherever a vendor puts them. */
function messageOf(value: JsonObject): string {
  const { error, message, detail, error_message, status_msg, errors } = value;
  for (const candidate of [error, message, detail, error_message, status_msg, errors]) {
    if (typeof candidate === 'string' && candidate !== '') return candidate;
    if (isObject(candidate)) {
      const inner = messageOf(candidate);
      if (inner !== '') return withRawCause(inner, candidate);
    }
    const listed = objectsIn(candidate).map((item) =>
      [placeOf(item.loc), textOf(item.msg) || textOf(item.message)].filter(Boolean).join(': '),
    );
    if (listed.length > 0) return listed.join('; ');
    const lines = Array.isArray(candidate) ? candidate.filter((line) => typeof line === 'string') : [];
    if (lines.length > 0) return lines.join('; ');
  }
  return '';
}

function placeOf(location: unknown): string {
  return Array.isArray(location) ? location.filter((step) => step !== 'body').join('.') : '';
}

/** OpenRouter says "Provider returned error" and keeps what the provider said beside it. */
function withRawCause(message: string, error: JsonObject): string {
  const metadata = error.metadata;
  const raw = isObject(metadata) ? textOf(metadata.raw) : '';
  return raw === '' ? message : `${message}: ${raw}`;
}

function classify(finding: Finding): ErrorCode {
  const row = rows.find((candidate) => fits(candidate, finding));
  if (row !== undefined) return row.code;
  return finding.status >= 400 && finding.status < 500 ? 'upstream_rejected' : 'upstream_error';
}

function fits(row: Row, { status, names, message }: Finding): boolean {
  if (row.statuses !== undefined && !row.statuses.includes(status)) return false;
  if (row.names === undefined && row.message === undefined) return true;
  return (row.names?.test(names) ?? false) || (row.message?.test(message) ?? false);
}

/**
 * OpenAI marks what is worth a second try. It speaks of the same request to the same place: "true" makes a refusal worth
 * another attempt, "false" makes a limit one that waiting does not lift.
 */
function adviseOnRetry(code: ErrorCode, advice: string | undefined, status: number): ErrorCode {
  if (advice === 'true' && code === 'upstream_rejected') return 'upstream_error';
  if (advice === 'false' && code === 'upstream_rate_limited' && refusals.includes(status))
    return 'upstream_quota_exhausted';
  return code;
}

function makeError(
  code: ErrorCode,
  finding: Finding,
  waitMs: number | undefined,
  verb: string,
): SignalboxError {
  const said = redact(finding.message);
  const message =
    operatorMessages[code] ??
    (said === '' ? `The provider ${verb} and said nothing more.` : `The provider ${verb}: ${said}`);
  return new SignalboxError(code, message, {
    ...(finding.param === undefined ? {} : { param: finding.param }),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    ...(operatorMessages[code] === undefined || said === '' ? {} : { cause: said }),
  });
}

const MESSAGE_LENGTH_MAX = 2000;
/** Taking the tags out of a page is not linear in its length; what matters stands at its head. */
const PAGE_LENGTH_MAX = 8 * MESSAGE_LENGTH_MAX;

function plainText(text: string): string {
  const head = text.slice(0, PAGE_LENGTH_MAX);
  const readable = /^\s*</.test(head)
    ? head.replaceAll(/<(style|script)[\s\S]*?<\/\1>/gi, ' ').replaceAll(/<[^>]*>/g, ' ')
    : head;
  const flat = readable.replaceAll(/\s+/g, ' ').trim();
  return flat.length > MESSAGE_LENGTH_MAX ? `${flat.slice(0, MESSAGE_LENGTH_MAX)}…` : flat;
}

/** Vendors quote keys and account names back, in part or whole. */
const credentials = [
  /\b(?:sk|pk|rk|gsk|xai|sb|key|org|proj|acct|fw|pplx|csk|hf)[-_](?=[A-Za-z_*-]*[\d*])[A-Za-z0-9_*-]{6,}/gi,
  /\bAIza[A-Za-z0-9_*-]{10,}/g,
  /\bBearer\s+\S+/gi,
  /\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)*/g,
  /\S*\*{3,}\S*/g,
  /\b(?=[A-Za-z_-]*\d)(?:[A-Za-z0-9]{32,}|[A-Za-z0-9_-]{40,})\b/g,
];

/** Without what looks like a credential. */
export function redact(text: string): string {
  return credentials.reduce((clean, pattern) => clean.replaceAll(pattern, '[redacted]'), text);
}
