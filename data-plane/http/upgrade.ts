// GET /v1/realtime as a WebSocket. Everything that happens to a request happens to it too, in the same order: authenticated,
// admitted, placed; then a provider is found that opens a session; and only then the client is let in. Until that moment a
// refusal is an HTTP answer like any other.
import type { IncomingMessage } from 'node:http';
import { WebSocketServer } from 'ws';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type RecordedTask, servedBy } from '../attempt/attempt-record.ts';
import type { ClientEventRules } from '../realtime/client-event.ts';
import { RealtimeSession } from '../realtime/session.ts';
import { SessionLedger } from '../realtime/session-ledger.ts';
import type { Deployment, ProviderEntry } from '../snapshot/snapshot.ts';
import { MessageSocket } from '../upstream/message-socket.ts';
import type { Admitted, GatewayContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { forwardedHeaders } from './operations.ts';
import { deploymentAskedAt } from './place-at-provider.ts';
import { placeRequest } from './place-request.ts';
import type { UpgradeConnection } from './upgrade-connection.ts';
import { type OpenedSession, openSession } from './upgrade-failover.ts';
import { modelInQuery, requireHandshake } from './upgrade-request.ts';

/** The sessions of one gateway, and the half of the handshake that answers. */
export class RealtimeDoor {
  /** Open, or being opened. */
  sessions = 0;
  readonly #answers = new WeakMap<IncomingMessage, readonly string[]>();
  readonly #server: WebSocketServer;

  constructor(messageBytesMax: number = limits.realtimeMessageBytesMax) {
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
    });
    this.#server.on('headers', (lines, request) => lines.push(...(this.#answers.get(request) ?? [])));
  }

  /** Answers 101; from here on the connection speaks in messages. */
  accept(exchange: Exchange, connection: UpgradeConnection): MessageSocket {
    const { request } = exchange;
    const headers = exchange.switchProtocols();
    const lines = Array.from(
      { length: headers.length / 2 },
      (_, at) => `${headers[2 * at]}: ${headers[2 * at + 1]}`,
    );
    this.#answers.set(request, lines);
    let accepted: MessageSocket | undefined;
    this.#server.handleUpgrade(request, connection.socket, connection.take(), (socket) => {
      accepted = new MessageSocket(socket);
    });
    if (accepted) return accepted;
    throw new SignalboxError('client_closed', 'The client left during the handshake.');
  }
}

const noBytes = Buffer.alloc(0);

export async function openRealtime(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
): Promise<void> {
  const { connection, request } = exchange;
  if (!connection) throw upgradeRequired();
  requireHandshake(request);
  requireRoom(context);
  const placed = placeRequest(context, exchange, admitted, {
    model: modelInQuery(request),
    gateway: undefined,
    stream: true,
    body: noBytes,
  });
  const task: RecordedTask = { ...placed.identity, operation: 'realtime', isStreamed: true };
  context.realtime.sessions += 1;
  exchange.response.once('close', () => {
    context.realtime.sessions -= 1;
  });
  const called = new AbortController();
  exchange.listener = { onStop: (reason) => called.abort(reason) };
  const headers = forwardedHeaders(['openai-beta'], exchange);
  const opened = await openSession({ context, exchange, task, headers, signal: called.signal }, placed);
  exchange.listener = undefined;
  const deploymentFor = (provider: ProviderEntry, model: string): Deployment =>
    deploymentAskedAt(context, exchange, { admitted, options: placed.options }, provider, model);
  startSession({ context, exchange, deploymentFor, connection, task, opened });
}

interface Start {
  readonly context: GatewayContext;
  readonly exchange: Exchange;
  readonly deploymentFor: (provider: ProviderEntry, model: string) => Deployment;
  readonly connection: UpgradeConnection;
  readonly task: RecordedTask;
  readonly opened: OpenedSession;
}

function startSession({ context, exchange, deploymentFor, connection, task, opened }: Start): void {
  const { target, record, socket, welcome } = opened;
  const services = context.attempts;
  const ledger = new SessionLedger({ services, task, target, opening: record });
  try {
    if (exchange.stopReason) throw exchange.stopReason;
    exchange.served = servedBy(task, target);
    const session = new RealtimeSession({
      client: context.realtime.accept(exchange, connection),
      upstream: socket,
      ledger,
      rules: rulesFor(deploymentFor, exchange.requestedModel, target.deployment, ledger),
      clock: services.clock,
      limits: context.limits,
      onEnd: (error) => {
        exchange.error ??= error;
      },
    });
    exchange.listener = { onStop: (reason) => session.stop(reason) };
    session.start(welcome);
  } catch (thrown) {
    const error = SignalboxError.from(thrown);
    ledger.close('cancelled', error);
    socket.terminate();
    throw error;
  }
}

function rulesFor(
  deploymentFor: Start['deploymentFor'],
  requestedModel: string,
  { model, upstreamModel, provider }: Deployment,
  ledger: SessionLedger,
): ClientEventRules {
  const names = new Set([requestedModel, model, upstreamModel]);
  return {
    sessionModel: (name) => (names.has(name) ? upstreamModel : undefined),
    transcriptionModel(name) {
      const deployment = deploymentFor(provider, name);
      ledger.transcribeWith(deployment);
      return deployment.upstreamModel;
    },
  };
}

function requireRoom({ realtime, limits: { realtimeSessionsMax }, health }: GatewayContext): void {
  if (health.read().draining) {
    throw new SignalboxError(
      'draining',
      'This instance is shutting down and opens no more sessions. Ask again; another instance will answer.',
      { retryAfterMs: 1000 },
    );
  }
  if (realtime.sessions < realtimeSessionsMax) return;
  throw new SignalboxError(
    'overloaded',
    `This instance holds ${realtimeSessionsMax} realtime sessions already. Try again in a moment.`,
    { retryAfterMs: 1000 },
  );
}

function upgradeRequired(): SignalboxError {
  return new SignalboxError(
    'upgrade_required',
    'A realtime session is a WebSocket. Connect with the scheme ws or wss instead of sending a plain request.',
  );
}
