// The request that is to be explained, as its client would have written it. What is only described (so many tokens, with tools, with
// pictures) is made up in the words of the API it is about, so that whatever looks at a request has a real one to look at.
import { type ExplainedRequest, RequestFeature } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { hint } from '#shared/configuration/nearest.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { ClientDialect } from '../dialects/dialect.ts';
import { clientDialectNamed } from '../dialects/registry.ts';
import { isObject } from '../json/values.ts';
import { turnWhenAsked } from '../passage/readable-turn.ts';
import { serviceTask } from '../passage/service-task.ts';
import type { Task } from '../passage/task.ts';
import { type TaskIdentity, turnTask } from '../passage/turn-task.ts';
import type { HedgeFacts } from '../routing/hedging/hedge-plan.ts';
import { hedgeFactsOf, hedgeFactsOfService } from './asking/hedge-facts.ts';
import { type Operation, operations } from './operations.ts';
import type { RequestSource } from './routed-request.ts';
import { type ServiceOperation, serviceOperations } from './services.ts';

export interface DescribedRequest {
  /** What the client says to the gateway. */
  readonly gateway: unknown;
  readonly body: Buffer;
  readonly turn: RequestSource['turn'];
  /** Absent where such requests are never sent twice. */
  readonly hedgeFacts?: () => HedgeFacts | undefined;
  task(identity: TaskIdentity, dropsUnsupported: boolean, clock: Clock): Task;
}

const JSON_TYPE = 'application/json';
const chat = clientDialectNamed('openai-chat');

/** Throws `invalid_request` for an API that there is not, and what a body is refused for. */
export function readDescribed(asked: ExplainedRequest): DescribedRequest {
  const { api } = asked;
  const named = <Row extends { readonly name: string }>({ name }: Row) => name === api;
  const turns =
    api === ''
      ? operations[0]
      : (operations.find(named) ?? operations.find(({ dialect }) => dialect === api));
  if (turns !== undefined) return describedTurn(turns, asked);
  const service = serviceOperations.find(named);
  if (service !== undefined) return describedService(service, asked);
  const known = [...operations, ...serviceOperations].map(({ name }) => name);
  throw new SignalboxError(
    'invalid_request',
    `The field "api" has to be one of: ${known.join(', ')}; it is "${api}"${hint(api, known)}`,
    { param: 'api' },
  );
}

function describedTurn(operation: Operation, asked: ExplainedRequest): DescribedRequest {
  const dialect = clientDialectNamed(operation.dialect);
  const isAddressed = operation.address !== undefined;
  const written = asked.body.length === 0 ? sketch(dialect, asked) : parse(asked.body);
  const body = completed(written, asked, !isAddressed);
  const head = dialect.peek(body, isAddressed ? { model: asked.model, stream: asked.stream } : undefined);
  const turn = turnWhenAsked(dialect, head);
  return {
    gateway: head.gateway,
    body: head.body,
    turn,
    ...(!operation.task && { hedgeFacts: () => hedgeFactsOf(turn(), head.stream) }),
    task: (identity, dropsUnsupported, clock) =>
      turnTask(identity, { dialect, head, forwardedHeaders: {}, dropsUnsupported, clock }),
  };
}

function describedService(operation: ServiceOperation, asked: ExplainedRequest): DescribedRequest {
  const { service, dialect, address, name } = operation;
  if (asked.body.length === 0 || operation.body === 'form') {
    throw new SignalboxError(
      'invalid_request',
      operation.body === 'form'
        ? `Requests of the API "${name}" are forms, which cannot be explained.`
        : `A request of the API "${name}" has to be sent along as "body".`,
      { param: 'body' },
    );
  }
  const isAddressed = address !== undefined;
  const body = completed(parse(asked.body), asked, !isAddressed);
  const request = service.read(
    body,
    JSON_TYPE,
    isAddressed ? { model: asked.model, stream: false } : undefined,
  );
  return {
    gateway: request.gateway,
    body: request.body,
    turn: undefined,
    hedgeFacts: () => hedgeFactsOfService(name),
    task: (identity, dropsUnsupported) =>
      serviceTask(identity, { service, request, dropsUnsupported }, clientDialectNamed(dialect).renderError),
  };
}

/** With what stands beside the body: the model that is asked for, and words of the client's about it. */
function completed(
  written: Readonly<Record<string, unknown>>,
  { model, stream, metadata, tags }: ExplainedRequest,
  namesModel: boolean,
): Buffer {
  const said = {
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(tags.length > 0 && { tags }),
  };
  const gateway = written['x-gateway'];
  const more =
    Object.keys(said).length > 0 && (gateway === undefined || isObject(gateway))
      ? { 'x-gateway': { ...(isObject(gateway) ? gateway : {}), ...said } }
      : {};
  const head = namesModel ? { model, ...(stream || 'stream' in written ? { stream } : {}) } : {};
  return Buffer.from(JSON.stringify({ ...written, ...head, ...more }));
}

function parse(body: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString());
  } catch {
    value = undefined;
  }
  if (isObject(value)) return value;
  throw new SignalboxError('invalid_json', 'The body is not a JSON object.', { param: 'body' });
}

/** The smallest picture there is: one transparent point. */
const picture = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const tool = {
  type: 'function',
  function: { name: 'example', description: 'An example.', parameters: { type: 'object', properties: {} } },
};

function sketch(
  dialect: ClientDialect,
  { model, stream, features }: ExplainedRequest,
): Record<string, unknown> {
  const has = (feature: RequestFeature): boolean => features.includes(feature);
  const text = { type: 'text', text: 'Hello' };
  const content = has(RequestFeature.VISION)
    ? [text, { type: 'image_url', image_url: { url: picture } }]
    : text.text;
  const written = {
    model,
    stream,
    messages: [{ role: 'user', content }],
    ...(has(RequestFeature.TOOLS) && { tools: [tool] }),
    ...(has(RequestFeature.JSON) && { response_format: { type: 'json_object' } }),
  };
  if (dialect === chat) return written;
  return dialect.encode(chat.decode(chat.peek(Buffer.from(JSON.stringify(written)))));
}
