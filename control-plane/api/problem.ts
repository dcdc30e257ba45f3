// Every error of the admin API has one shape: RFC 9457 problem details. The code decides status and title (see
// shared/errors.ts); `type` is the address of a page that explains the code.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isResponseSerializationError } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import type { Logger } from '#shared/log.ts';
import { asDatabaseError } from '../store/database.ts';

export const problemMediaType = 'application/problem+json';

export const problemSchema = z
  .object({
    type: z.string().describe('Address of a page that explains the error.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What happened this time and what to do about it.'),
    code: z.string().describe('Stable name of the error.'),
    instance: z.string().describe('The request id, as in the log and in the x-request-id header.'),
    problems: z
      .array(
        z.object({
          path: z.string().describe('The field, for example api_keys[0].weight.'),
          message: z.string(),
          line: z.int().optional(),
          column: z.int().optional(),
        }),
      )
      .optional(),
  })
  .meta({ id: 'Problem' });

export function problemBody(error: SignalboxError, requestId: string) {
  return {
    type: `/docs/errors#${error.code}`,
    title: error.kind.title,
    status: error.kind.status,
    detail: error.message,
    code: error.code,
    instance: requestId,
    ...(error.problems.length > 0 && { problems: error.problems }),
  };
}

export function sendProblem(reply: FastifyReply, error: SignalboxError): FastifyReply {
  if (error.kind.status === 401) reply.header('www-authenticate', 'Bearer realm="signalbox"');
  if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000));
  return (
    reply
      .code(error.kind.status)
      .header('content-type', problemMediaType)
      // A URL that cannot be routed runs no hooks, so the id is set here once more.
      .header('x-request-id', reply.request.id)
      .serializer(JSON.stringify)
      .send(problemBody(error, reply.request.id))
  );
}

/** What Fastify itself reports before a handler runs, and our code for it. */
const frameworkErrors: Readonly<Record<string, { code: ErrorCode; message: string }>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'invalid_json', message: 'The body is not valid JSON.' },
  FST_ERR_CTP_EMPTY_JSON_BODY: {
    code: 'invalid_json',
    message: 'The body is empty. Send a JSON object, or leave out the content-type header.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    message: 'Send the body as application/json.',
  },
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'request_too_large',
    message: 'The body is larger than the admin API accepts (see docs/limits.md).',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'invalid_request',
    message: 'The body does not have the length that content-length says.',
  },
  FST_ERR_BAD_URL: { code: 'invalid_request', message: 'The path of the URL cannot be decoded.' },
  FST_ERR_ASYNC_CONSTRAINT: { code: 'invalid_request', message: 'The request cannot be routed.' },
};

export function asSignalboxError(thrown: unknown): SignalboxError {
  const error = asDatabaseError(thrown);
  if (error instanceof SignalboxError) return error;
  if (isResponseSerializationError(error)) return SignalboxError.from(error);
  const { code = '' } = error as Partial<FastifyError>;
  const known = frameworkErrors[code];
  if (known) return new SignalboxError(known.code, known.message, { cause: error });
  return SignalboxError.from(error);
}

/** The last stop of everything thrown while answering. Only what we have to mend is logged as an error. */
export function problemHandler(log: Logger) {
  return function answerWithProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply) {
    const error = asSignalboxError(thrown);
    const context = { requestId: request.id, method: request.method, url: request.url, code: error.code };
    if (error.code === 'internal')
      log.error({ ...context, err: error.cause ?? error }, 'admin API request failed');
    else log.debug({ ...context, detail: error.message }, 'admin API request refused');
    return sendProblem(reply, error);
  };
}
