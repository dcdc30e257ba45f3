// Trying targets until one opens a session. The client has been told nothing yet, so everything that goes wrong up to the
// provider's first message can be mended by the next key or the next deployment, exactly as for an answer that has not begun. A
// provider may let everybody in and refuse in its first message; that is a refusal too.
import { build } from '#shared/build.ts';
import { type ErrorCode, SignalboxError } from '#shared/errors.ts';
import { AttemptRecord, nothingFound, type RecordedTask, type Target } from '../attempt/attempt-record.ts';
import { readError } from '../dialects/read-error.ts';
import type { Credential } from '../providers/credential.ts';
import { endpointPath } from '../providers/provider.ts';
import { requireWelcome } from '../realtime/server-event.ts';
import type { Lease } from '../routing/admission/gate.ts';
import { mostInformative } from '../routing/failures.ts';
import type { ChosenTarget } from '../routing/targets.ts';
import type { Deployment, Route } from '../snapshot/snapshot.ts';
import type { MessageSocket, ReceivedMessage } from '../upstream/message-socket.ts';
import { enter } from './asking/enter.ts';
import { leadsNowhere, targetsFor } from './asking/failover.ts';
import type { GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import type { PlacedRequest } from './place-request.ts';

export interface OpenedSession {
  readonly target: Target;
  readonly record: AttemptRecord;
  readonly socket: MessageSocket;
  /** What the provider said first. */
  readonly welcome: readonly ReceivedMessage[];
}

interface Opening {
  readonly context: GatewayContext;
  readonly exchange: Exchange;
  readonly task: RecordedTask;
  /** Of the client's headers, those that mean something to a provider. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Rejects with the reason of the signal, or with the failure that tells the caller most. */
export async function openSession(
  opening: Opening,
  { candidates, refusals, failover }: Pick<PlacedRequest, 'candidates' | 'refusals' | 'failover'>,
): Promise<OpenedSession> {
  const { context, exchange, task, signal } = opening;
  const failures: SignalboxError[] = [...refusals];
  const targets = targetsFor(context, task, candidates, { failures, exchange });
  for (let chosen = targets.next(); chosen !== undefined; chosen = targets.next()) {
    const { deployment } = chosen.candidate;
    if (!deployment.provider.kind.realtime) {
      failures.push(notOffered(deployment));
      targets.impossible();
      continue;
    }
    try {
      const lease = await enterFor(opening, chosen, failover.route);
      exchange.attempts += 1;
      const target = {
        deployment,
        key: chosen.key,
        attemptNumber: exchange.attempts,
        why: chosen.candidate.why,
      };
      return await openWith(lease, opening, target);
    } catch (thrown) {
      const error = SignalboxError.from(thrown);
      signal.throwIfAborted();
      if (!error.kind.retryable) throw error;
      failures.push(error);
      targets.failed(error);
    }
  }
  throw mostInformative(failures) ?? leadsNowhere(task);
}

function enterFor(
  { context: { gate, limits, attempts }, exchange }: Opening,
  chosen: ChosenTarget,
  route: Route | undefined,
): Promise<Lease> {
  const deadlineMs = attempts.clock.monotonicMs() + limits.upstreamTimeoutMs;
  return enter({ gate, exchange, route, chosen, deadlineMs });
}

/** A session is inside for as long as it lasts. */
async function openWith(lease: Lease, opening: Opening, target: Target): Promise<OpenedSession> {
  try {
    const opened = await openAt(opening, target);
    opening.exchange.response.once('close', () => lease.release());
    return opened;
  } catch (thrown) {
    lease.release();
    throw thrown;
  }
}

async function openAt(opening: Opening, target: Target): Promise<OpenedSession> {
  const { context, exchange, task, signal } = opening;
  const record = new AttemptRecord(context.attempts, task, target);
  const seen: { status: number; socket?: MessageSocket } = { status: 0 };
  try {
    exchange.upstreamCalled();
    const outcome = await call(opening, target, record.attemptId);
    if (outcome.kind === 'refused') {
      seen.status = outcome.status;
      throw refusalOf(target, outcome);
    }
    seen.status = 101;
    seen.socket = outcome.socket;
    const welcome = await firstMessage(outcome.socket, context.limits.realtimeHandshakeMs, signal);
    if (!welcome.isBinary) requireWelcome(welcome.bytes);
    record.firstByte();
    return { target, record, socket: outcome.socket, welcome: [welcome] };
  } catch (thrown) {
    const error = SignalboxError.from(thrown);
    seen.socket?.terminate();
    record.settle(isLeaving(error.code) ? 'cancelled' : 'failed', seen.status, error, nothingFound);
    throw error;
  }
}

function isLeaving(code: ErrorCode): boolean {
  return code === 'client_closed';
}

async function call({ context, headers, signal }: Opening, target: Target, attemptId: string) {
  const { deployment, key } = target;
  const { provider, upstreamModel } = deployment;
  const { origin, settings, kind } = provider;
  if (!origin || !kind.realtime) throw notOffered(deployment);
  const { realtimeMessageBytesMax, realtimeHandshakeMs, upstreamErrorBytesMax } = context.limits;
  const path =
    provider.basePath + endpointPath(kind.realtime, { model: upstreamModel, stream: true, settings });
  const credential = key?.credential ?? provider.ambient;
  const plain = {
    ...kind.fixedHeaders,
    ...headers,
    'user-agent': build,
    'x-client-request-id': attemptId,
    ...credential.headers,
  };
  const { host, port, secure } = origin;
  const authorised = await authorise(credential, {
    host: port === (secure ? 443 : 80) ? host : `${host}:${port}`,
    path,
    headers: plain,
  });
  const request = {
    origin,
    path,
    headers: { ...plain, ...authorised },
    answerTimeoutMs: realtimeHandshakeMs,
    messageBytesMax: realtimeMessageBytesMax,
    refusalBytesMax: upstreamErrorBytesMax,
  };
  return context.attempts.upstream.upgrade(request, signal);
}

function authorise(
  credential: Credential,
  request: { readonly host: string; readonly path: string; readonly headers: Record<string, string> },
) {
  return credential.authorise?.({ ...request, method: 'GET', body: [] });
}

/** A provider opens with its own words; what comes behind them waits in the socket. */
function firstMessage(
  socket: MessageSocket,
  withinMs: number,
  signal: AbortSignal,
): Promise<ReceivedMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<ReceivedMessage>();
  const timer = setTimeout(() => reject(silent(withinMs)), withinMs);
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  socket.listen({
    onMessage(bytes, isBinary) {
      socket.pause();
      resolve({ bytes, isBinary });
    },
    onDrain: () => undefined,
    onPong: () => undefined,
    onClose: ({ code }) => reject(closedAtOnce(code)),
  });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  });
}

function refusalOf(
  { deployment }: Target,
  refused: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string | undefined>>;
    readonly body: Buffer;
  },
): SignalboxError {
  const { status, headers, body } = refused;
  if (status >= 400) return readError(status, headers, body);
  return new SignalboxError(
    'upstream_invalid',
    `The provider "${deployment.provider.name}" answered a request for a WebSocket with status ${status}.`,
  );
}

function silent(withinMs: number): SignalboxError {
  return new SignalboxError(
    'upstream_timeout',
    `The provider opened the session but said nothing within ${withinMs} ms.`,
  );
}

function closedAtOnce(code: number): SignalboxError {
  return new SignalboxError(
    'upstream_truncated',
    `The provider opened the session and closed it at once (${code}).`,
  );
}

function notOffered({ provider }: Deployment): SignalboxError {
  return new SignalboxError(
    'unsupported_by_provider',
    `The provider "${provider.name}" has no realtime sessions. Ask for a model of one that has.`,
    { param: 'model' },
  );
}
