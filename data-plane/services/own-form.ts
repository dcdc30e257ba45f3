// The form in which client and upstream write the same: the request goes out as it came with the model changed, the answer
// comes back as it is, and what it used is read in passing.
import { SignalboxError } from '#shared/errors.ts';
import type { BodyReport, StreamTap, UpstreamHeaders } from '../dialects/dialect.ts';
import { errorInStream, readError } from '../dialects/read-error.ts';
import { type Member, scanObject, wantedKeys } from '../json/scan.ts';
import { splice } from '../json/splice.ts';
import { textOf } from '../json/values.ts';
import { detailsOf } from './read-request.ts';
import type { EncodedBody, ServiceForm, ServiceRequest, ServiceTarget } from './service.ts';
import { readTokens } from './usage.ts';

export interface OwnFormOptions {
  /** The member that an answer cannot be without. */
  readonly holds: string;
  /** What is counted here where the answer says nothing of what it used; empty for nothing. */
  readonly count?: (request: ServiceRequest, answer: Buffer) => string;
  readonly tap?: (request: ServiceRequest) => (() => StreamTap) | undefined;
  /** Whether an answer may be something else than JSON: text, subtitles, sound. */
  readonly mayBeText?: boolean;
}

export function ownForm(options: OwnFormOptions): ServiceForm {
  const { count = () => '', tap } = options;
  const inspect = inspector(options);
  return Object.freeze<ServiceForm>({
    isOwn: true,
    encode: withModel,
    convert: (body, request, headers) => {
      const report = inspect(body, headers);
      const rawUsage = report.rawUsage || report.error ? report.rawUsage : count(request, body);
      return { body, report: { ...report, rawUsage } };
    },
    ...(tap && { tap }),
    readError,
  });
}

export function withModel(request: ServiceRequest, { model }: ServiceTarget): EncodedBody {
  const { model: place, writeModel } = detailsOf(request);
  return {
    body: splice(request.body, [{ ...place, text: writeModel(model) }]),
    contentType: request.contentType,
  };
}

const nothingSaid: BodyReport = Object.freeze({ id: '', usage: undefined, rawUsage: '', error: undefined });

function inspector({ holds, mayBeText = false }: OwnFormOptions) {
  const keys = wantedKeys('id', 'usage', 'meta', 'error', holds);
  return (body: Buffer, headers: UpstreamHeaders): BodyReport => {
    if (mayBeText && !/\bjson\b/i.test(headers['content-type'] ?? '')) return nothingSaid;
    try {
      const { members } = scanObject(body, keys);
      const { id, usage, error } = members;
      const said = errorAt(body, error) ?? (members[holds] === undefined ? noAnswer(holds) : undefined);
      const raw = rawAt(body, usage) || rawAt(body, members.meta);
      const tokens = usage === undefined ? undefined : readTokens(valueAt(body, usage));
      return { id: textOf(valueAt(body, id)), usage: tokens, rawUsage: raw, error: said };
    } catch (cause) {
      return { ...nothingSaid, error: noAnswer(holds, cause) };
    }
  };
}

function errorAt(body: Buffer, member: Member | undefined): SignalboxError | undefined {
  const error = valueAt(body, member);
  return error === undefined || error === null || error === '' ? undefined : errorInStream({ error });
}

/** The object as it was sent; empty for null and what is no object. */
function rawAt(body: Buffer, member: Member | undefined): string {
  const text = member === undefined ? '' : body.toString('utf8', member.start, member.end);
  return text.startsWith('{') ? text : '';
}

function valueAt(body: Buffer, member: Member | undefined): unknown {
  return member === undefined ? undefined : JSON.parse(body.toString('utf8', member.start, member.end));
}

export function noAnswer(holds: string, cause?: unknown): SignalboxError {
  return new SignalboxError(
    'upstream_invalid',
    `The provider sent an answer without "${holds}", which cannot be what was asked for.`,
    { cause },
  );
}
