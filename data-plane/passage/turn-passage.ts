// How a turn goes out to an upstream and how the answer comes back. Where client and upstream speak the same dialect the bytes
// pass: out with the model changed, back as they came. Where they do not, the request is translated once and the answer event by
// event. A provider that answers here is given the request as it means, and its events are written for the client.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import type {
  BodyReport,
  ClientDialect,
  Dialect,
  RequestHead,
  SpliceTarget,
  Unsupported,
} from '../dialects/dialect.ts';
import { dialectNamed } from '../dialects/registry.ts';
import { endpointPath, type TurnEndpoint } from '../providers/provider.ts';
import type { ConvertedBody } from '../services/service.ts';
import type { Deployment } from '../snapshot/snapshot.ts';
import type { TurnEvent } from '../turn/events.ts';
import { foldTurn } from '../turn/fold.ts';
import { type TurnRequest, withoutExtras } from '../turn/request.ts';
import { complete } from './complete.ts';
import { listenFor } from './first-words.ts';
import { localTurn } from './local-turn.ts';
import type { StreamRecovery } from './recovery.ts';
import type { Passage, PassageStream, UpstreamPassage } from './task.ts';
import { TranslatingTap } from './translating-tap.ts';
import { collectUnsupported } from './unsupported.ts';

/** A client's request for a turn. */
export interface TurnAsked {
  readonly dialect: ClientDialect;
  readonly head: RequestHead;
  readonly forwardedHeaders: Readonly<Record<string, string>>;
  /** Whether the client would rather do without a field than be refused. */
  readonly dropsUnsupported: boolean;
  readonly clock: Clock;
  /** For streams that are gone on with when they break off. */
  readonly recovery?: StreamRecovery | undefined;
}

/** Throws `unsupported_field` when the upstream of this deployment cannot be asked for what the client wants. */
export function turnPassage(asked: TurnAsked, deployment: Deployment): Passage {
  const { kind } = deployment.provider;
  const isCarriedOver = asked.recovery?.isCarriedOver === true;
  if (kind.answer && !isCarriedOver) return localTurn(asked, kind.answer, deployment);
  const endpoints = kind.turns(deployment.upstreamModel);
  const same = endpoints.find(({ dialect }) => dialect === asked.dialect.name);
  if (same && !isCarriedOver) return direct(asked, deployment, same);
  const preferred = same ?? endpoints[0];
  if (preferred) return translated(asked, deployment, preferred);
  throw new SignalboxError(
    'unsupported_by_provider',
    `The provider "${deployment.provider.name}" answers no conversations. Ask for another model.`,
    { param: 'model' },
  );
}

function direct(asked: TurnAsked, deployment: Deployment, endpoint: TurnEndpoint): UpstreamPassage {
  const { dialect, head } = asked;
  const target: SpliceTarget = { ...endpoint, model: deployment.upstreamModel };
  const mended = endpoint.mend?.(head.body);
  const sent = mended === undefined ? head : dialect.peek(mended);
  return {
    ...outline(asked, deployment, endpoint, dialect),
    isTranslated: false,
    dropped: [],
    body: dialect.splice(sent, target),
    stream: directStream(asked),
    convert: (body) => ({ report: dialect.inspect(body), body }),
    inspect: (body) => dialect.inspect(body),
  };
}

function directStream({ dialect, head, recovery }: TurnAsked): PassageStream | undefined {
  if (!head.stream) return undefined;
  const { mediaType: expects, contentType } = dialect.framing;
  const media = { expects, contentType, listen: () => listenFor(dialect) };
  if (!recovery) return { ...media, tap: () => dialect.tap(head) };
  return recovery.stream(media, { upstream: dialect, asked: dialect.decode(head) });
}

function translated(asked: TurnAsked, deployment: Deployment, endpoint: TurnEndpoint): UpstreamPassage {
  const { dialect: client, head, clock, recovery } = asked;
  const upstream = dialectNamed(endpoint.dialect);
  const { dropped, unsupported, leftOut } = collectUnsupported(client.fieldNames, asked.dropsUnsupported);
  const original = client.decode(head);
  // What is gone on with may be put in the client's own dialect, which has words for everything it said.
  const meant = upstream.name === client.name ? original : translatable(client, original, unsupported);
  const whole = recovery?.continued(meant, upstream.name) ?? meant;
  const request = { ...whole, model: deployment.upstreamModel };
  const encoded = upstream.encode(request, { ...endpoint, unsupported, leftOut });
  const wire = shaped(endpoint.adapt?.(encoded, { unsupported, leftOut }) ?? encoded, endpoint);
  return {
    ...outline(asked, deployment, endpoint, upstream),
    isTranslated: true,
    dropped,
    body: [Buffer.from(JSON.stringify(wire))],
    stream: head.stream ? translatedStream(asked, upstream, original, request) : undefined,
    convert: (body) => translateBody(client, original, upstream.unfold(body, request), body, clock),
    inspect: (body) => reportOf(upstream.unfold(body, request)),
  };
}

function translatedStream(
  { dialect: client, head, clock, recovery }: TurnAsked,
  upstream: Dialect,
  original: TurnRequest,
  asked: TurnRequest,
): PassageStream {
  const media = {
    expects: upstream.framing.mediaType,
    contentType: client.framing.contentType,
    listen: () => listenFor(upstream),
  };
  if (recovery) return recovery.stream(media, { upstream, asked });
  const { wantsUsage } = head;
  const tap = () => new TranslatingTap({ upstream, client, wantsUsage, request: original, asked, clock });
  return { ...media, tap };
}

function shaped(wire: Record<string, unknown>, { omitsModel, adds }: TurnEndpoint): Record<string, unknown> {
  const { model, ...others } = wire;
  return { ...(omitsModel === true ? others : { model, ...others }), ...adds };
}

/** What is the same however the bodies go. */
function outline(
  { head, forwardedHeaders, dialect }: TurnAsked,
  { provider, upstreamModel }: Deployment,
  endpoint: TurnEndpoint,
  upstream: Dialect,
): Pick<
  UpstreamPassage,
  'kind' | 'method' | 'path' | 'contentType' | 'accept' | 'forwardedHeaders' | 'readError'
> {
  const input = { model: upstreamModel, stream: head.stream, settings: provider.settings };
  // What a client says in the headers of its dialect means nothing in another.
  const headers = upstream.name === dialect.name ? forwardedHeaders : {};
  return {
    kind: 'upstream',
    method: 'POST',
    path: endpointPath(endpoint.path, input),
    contentType: 'application/json',
    accept: head.stream ? upstream.framing.mediaType : 'application/json',
    forwardedHeaders: endpoint.keepHeaders?.(headers) ?? headers,
    readError: (status, upstreamHeaders, body) => upstream.readError(status, upstreamHeaders, body),
  };
}

/** The request without what only the client's own dialect knows. */
function translatable(client: ClientDialect, request: TurnRequest, unsupported: Unsupported): TurnRequest {
  for (const field of client.untranslatable(request)) {
    unsupported(field, 'it has no meaning in the dialect that the provider of this model speaks.');
  }
  return withoutExtras(request);
}

function translateBody(
  client: ClientDialect,
  request: TurnRequest,
  events: readonly TurnEvent[],
  body: Buffer,
  clock: Clock,
): ConvertedBody {
  const report = reportOf(events);
  if (report.error) return { report, body };
  const answer = client.render(
    events.map((event) => (event.type === 'turn-start' ? complete(event, clock) : event)),
    request,
  );
  return { report, body: Buffer.from(JSON.stringify(answer)), contentType: 'application/json' };
}

function reportOf(events: readonly TurnEvent[]): BodyReport {
  const { id, usage, rawUsage, error } = foldTurn(events);
  return { id, usage, rawUsage, error };
}
