// What Bedrock says when it refuses. The kind of a failure is a name: in a header before an answer has begun, in the frame
// after that, in some of AWS's own services in the body. The first row that fits the name and the words decides.
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { type JsonObject, objectOf, textOf } from '../../json/values.ts';
import type { UpstreamHeaders } from '../dialect.ts';
import { readError as readPlainError, redact } from '../read-error.ts';
import { retryAfterMs } from '../retry-after.ts';

interface Row {
  readonly code: ErrorCode;
  /** In small letters. */
  readonly names: RegExp;
  readonly message?: RegExp;
  /** What the caller is told in place of Bedrock's words, which are the operator's business or leave the remedy out. */
  readonly says?: string;
}

const MESSAGE_LENGTH_MAX = 2000;

const credentials =
  'AWS refused the credentials of this provider. Check its keys, their time and region, and that they may call bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream for this model.';

const rows: readonly Row[] = [
  {
    code: 'context_length_exceeded',
    names: /validation|modelerror|modelstreamerror/,
    message:
      /(input|prompt) is too long|input tokens exceeded|exceeds? (the )?(maximum|context)|too many input tokens|input length and `max_tokens` exceed|maximum context length/i,
  },
  {
    code: 'upstream_model_missing',
    names: /validation/,
    message: /on-demand throughput isn.t supported/i,
    says: 'Bedrock serves this model through an inference profile only. Name the profile as the model: the id with the prefix of a group of regions (us., eu., apac. or global.), or its ARN.',
  },
  {
    code: 'upstream_model_missing',
    names: /validation|accessdenied/,
    message: /model identifier is invalid|end of its life|marked by provider as legacy|invalid model id/i,
  },
  { code: 'upstream_model_missing', names: /resourcenotfound/ },
  {
    code: 'content_filtered',
    names: /validation|modelerror/,
    message: /content filter|content policy|blocked by/i,
  },
  { code: 'upstream_quota_exhausted', names: /servicequotaexceeded/ },
  { code: 'upstream_quota_exhausted', names: /throttling/, message: /per day/i },
  { code: 'upstream_rate_limited', names: /throttl|toomanyrequests/ },
  { code: 'upstream_overloaded', names: /modelnotready|serviceunavailable/ },
  { code: 'upstream_timeout', names: /modeltimeout/ },
  {
    code: 'upstream_unauthorized',
    names:
      /accessdenied|unrecognizedclient|expiredtoken|invalidsignature|signaturedoesnotmatch|incompletesignature|missingauthentication|invalidclienttoken|notauthorized|optinrequired/,
    says: credentials,
  },
  { code: 'upstream_rejected', names: /validation/ },
  { code: 'upstream_error', names: /./ },
];

export function readError(status: number, headers: UpstreamHeaders, body: Buffer): SignalboxError {
  const parsed = parse(body);
  const name = headers['x-amzn-errortype'] ?? textOf(parsed.__type);
  if (name === '') return readPlainError(status, headers, body);
  const message = messageIn(parsed);
  return makeError(
    name,
    message,
    `answered ${status}`,
    retryAfterMs({ status, headers, body: parsed, message }),
  );
}

/** A failure inside an answer that began well. */
export function exceptionError(name: string, event: JsonObject): SignalboxError {
  const message = messageIn(event) || textOf(event.originalMessage);
  return makeError(
    name,
    message,
    'reported an error in its answer',
    retryAfterMs({ status: 0, headers: {}, body: event, message }),
  );
}

/** A failure that came with the status of a success, as AWS's front end answers what it does not know. */
export function faultIn(answer: unknown): SignalboxError | undefined {
  const { Output, __type } = objectOf(answer);
  const fault = __type === undefined ? objectOf(Output) : objectOf(answer);
  const name = textOf(fault.__type);
  return name === '' ? undefined : exceptionError(name, fault);
}

function makeError(
  written: string,
  message: string,
  verb: string,
  waitMs: number | undefined,
): SignalboxError {
  // "com.amazon.coral.service#ThrottlingException:http://internal.amazon.com/…"
  const name = written.replace(/^.*#/, '').replace(/:.*$/, '');
  const small = name.toLowerCase();
  const row = rows.find(({ names, message: words }) => names.test(small) && (words?.test(message) ?? true));
  const said = redact(message.slice(0, MESSAGE_LENGTH_MAX));
  const told = said === '' ? `The provider ${verb}: ${name}.` : `The provider ${verb}: ${said}`;
  const isReplaced = row?.says !== undefined;
  return new SignalboxError(row?.code ?? 'upstream_error', isReplaced ? `${row.says} (${name})` : told, {
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    ...(isReplaced && said !== '' ? { cause: said } : {}),
  });
}

function parse(body: Buffer): JsonObject {
  try {
    return objectOf(JSON.parse(body.toString('utf8')));
  } catch {
    return {};
  }
}

function messageIn(value: JsonObject): string {
  return textOf(value.message) || textOf(value.Message);
}
