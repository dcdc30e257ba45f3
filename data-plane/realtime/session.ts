// A session between a client and a provider, once both have said yes: messages go through as they are, each side is slowed to
// the pace of the other, and both are asked now and then whether they are still there. However it ends (either side leaves, is
// cut off, breaks a rule or falls silent; this instance stops), the other side is told why, and the ledger knows before the
// last message goes.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { redact } from '../dialects/read-error.ts';
import type { Outcome } from '../meter/ledger.ts';
import type { Closing, MessageSocket, ReceivedMessage } from '../upstream/message-socket.ts';
import { type ClientEventRules, eventIdOf, readClientEvent } from './client-event.ts';
import { closeCodeOf, errorEvent, isOrderly, relayedCode } from './error-event.ts';
import { readServerEvent } from './server-event.ts';
import type { SessionLedger } from './session-ledger.ts';

export interface SessionLimits {
  readonly realtimeSessionMsMax: number;
  readonly realtimeIdleMs: number;
  readonly realtimePingMs: number;
  readonly clientStallMs: number;
  readonly lingerMs: number;
}

export interface SessionOptions {
  readonly client: MessageSocket;
  readonly upstream: MessageSocket;
  readonly rules: ClientEventRules;
  readonly ledger: SessionLedger;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** The session is over, before its connections are. */
  readonly onEnd: (error: SignalboxError | undefined) => void;
}

/** The connection ended without a word. */
const CUT_OFF = 1006;

/** What is known of one side. */
interface Side {
  readonly socket: MessageSocket;
  /** Not read at the moment, because the other side is slow; then its silence means nothing. */
  paused: boolean;
  /** Has said something, if only an answer to a ping, since it was last asked. */
  heard: boolean;
}

export class RealtimeSession {
  readonly #options: SessionOptions;
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #timers: NodeJS.Timeout[] = [];
  #stallTimer: NodeJS.Timeout | undefined;
  #lastMessageMs: number;
  #ended = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = { socket: options.client, paused: false, heard: true };
    this.#upstream = { socket: options.upstream, paused: false, heard: true };
    this.#lastMessageMs = options.clock.monotonicMs();
  }

  /** `welcome`: what the provider has said already. */
  start(welcome: readonly ReceivedMessage[]): void {
    const { client, upstream, limits } = this.#options;
    this.#timers.push(
      setTimeout(() => this.#end(lastedTooLong(limits)), limits.realtimeSessionMsMax),
      setInterval(() => this.#look(), limits.realtimePingMs),
    );
    for (const { bytes, isBinary } of welcome) this.#fromUpstream(bytes, isBinary);
    client.listen({
      onMessage: (bytes, isBinary) => this.#fromClient(bytes, isBinary),
      onDrain: () => this.#clientDrained(),
      onPong: () => {
        this.#client.heard = true;
      },
      onClose: (closing) => this.#clientClosed(closing),
    });
    upstream.listen({
      onMessage: (bytes, isBinary) => this.#fromUpstream(bytes, isBinary),
      onDrain: () => this.#proceed(this.#client),
      onPong: () => {
        this.#upstream.heard = true;
      },
      onClose: (closing) => this.#upstreamClosed(closing),
    });
  }

  /** This instance has to stop. */
  stop(reason: SignalboxError): void {
    this.#end(reason);
  }

  #fromClient(bytes: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heardFrom(this.#client);
    try {
      if (isBinary) throw binaryRefused();
      const event = readClientEvent(bytes, this.#options.rules);
      if (!this.#upstream.socket.send(event)) this.#hold(this.#client);
    } catch (thrown) {
      const error = SignalboxError.from(thrown);
      if (error.code === 'internal') this.#end(error);
      else this.#tellClient(errorEvent(error, isBinary ? undefined : eventIdOf(bytes)));
    }
  }

  #fromUpstream(bytes: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heardFrom(this.#upstream);
    try {
      const event = isBinary ? undefined : readServerEvent(bytes);
      if (event) this.#options.ledger.take(event);
      const cleaned = event?.type === 'error' ? event.cleaned : undefined;
      this.#tellClient(cleaned ?? bytes, isBinary);
    } catch (thrown) {
      this.#end(SignalboxError.from(thrown));
    }
  }

  #tellClient(message: Buffer | string, isBinary = false): void {
    if (this.#client.socket.send(message, isBinary)) return;
    this.#hold(this.#upstream);
    // What the client says can make us answer, so it has to wait with the provider.
    this.#hold(this.#client);
    const { clientStallMs } = this.#options.limits;
    this.#stallTimer ??= setTimeout(() => this.#end(tookNothing(clientStallMs)), clientStallMs);
  }

  #clientDrained(): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
    this.#proceed(this.#upstream);
    this.#proceed(this.#client);
  }

  #clientClosed(closing: Closing): void {
    if (this.#ended) return;
    const error = closing.fault === 'too-large' ? messageTooLarge() : clientLeft(closing);
    this.#close(error, isOrderly(closing.code) && !closing.fault ? 'completed' : 'cancelled');
    this.#upstream.socket.close(relayedCode(closing.fault ? 1001 : closing.code), '');
  }

  #upstreamClosed(closing: Closing): void {
    if (this.#ended) return;
    if (closing.fault || closing.code === CUT_OFF) {
      this.#end(providerLeft(closing));
      return;
    }
    // It has said goodbye in its own words; ours would only stand in front of them.
    if (isOrderly(closing.code)) this.#close(undefined, 'completed');
    else this.#close(providerLeft(closing), 'failed');
    this.#client.socket.close(relayedCode(closing.code), redact(closing.reason));
  }

  /** We end it: the client hears the reason, as far as it still listens. */
  #end(error: SignalboxError): void {
    if (this.#ended) return;
    const isStalled = this.#stallTimer !== undefined;
    this.#close(error, error.code === 'client_closed' ? 'cancelled' : 'failed');
    this.#client.socket.send(errorEvent(error, undefined));
    this.#client.socket.close(closeCodeOf(error), error.code);
    this.#upstream.socket.close(1001, '');
    if (isStalled) this.#client.socket.terminate();
  }

  #close(error: SignalboxError | undefined, outcome: Outcome): void {
    this.#ended = true;
    clearTimeout(this.#stallTimer);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#options.ledger.close(outcome, error);
    this.#options.onEnd(error);
    const { client, upstream, limits } = this.#options;
    // A peer that does not answer the closing handshake is not waited for.
    const timer = setTimeout(() => {
      client.terminate();
      upstream.terminate();
    }, limits.lingerMs / 2);
    timer.unref();
  }

  #hold(side: Side): void {
    if (side.paused) return;
    side.paused = true;
    side.socket.pause();
  }

  #proceed(side: Side): void {
    if (!side.paused) return;
    side.paused = false;
    side.heard = true;
    side.socket.resume();
  }

  #heardFrom(side: Side): void {
    side.heard = true;
    this.#lastMessageMs = this.#options.clock.monotonicMs();
  }

  /** Whoever has not been heard since the last look is gone; silence of both sides means nobody needs the session. */
  #look(): void {
    const { clock, limits } = this.#options;
    if (clock.monotonicMs() - this.#lastMessageMs >= limits.realtimeIdleMs) this.#end(fellSilent(limits));
    else if (isGone(this.#client)) this.#end(clientLeft({ code: CUT_OFF, reason: '', fault: undefined }));
    else if (isGone(this.#upstream)) this.#end(providerLeft({ code: CUT_OFF, reason: '', fault: undefined }));
    else for (const side of [this.#client, this.#upstream]) ask(side);
  }
}

function isGone({ heard, paused }: Side): boolean {
  return !heard && !paused;
}

function ask(side: Side): void {
  side.heard = false;
  side.socket.ping();
}

function binaryRefused(): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    'Events are JSON in text messages; audio goes into them as base64. This message was binary.',
  );
}

function clientLeft({ code }: Closing): SignalboxError {
  return new SignalboxError('client_closed', `The client closed the session (${code}).`);
}

function messageTooLarge(): SignalboxError {
  return new SignalboxError(
    'request_too_large',
    'The client sent a message that is larger than this server takes.',
  );
}

function providerLeft({ code, fault }: Closing): SignalboxError {
  if (fault === 'too-large') {
    return new SignalboxError(
      'upstream_invalid',
      'The provider sent a message that is larger than this server takes.',
    );
  }
  return new SignalboxError(
    'upstream_truncated',
    `The provider ended the session (${code}). What has arrived may be incomplete; open another session.`,
  );
}

function tookNothing(clientStallMs: number): SignalboxError {
  return new SignalboxError('client_closed', `The client took nothing for ${clientStallMs} ms.`);
}

function lastedTooLong({ realtimeSessionMsMax }: SessionLimits): SignalboxError {
  return new SignalboxError(
    'session_expired',
    `A session lasts ${realtimeSessionMsMax} ms at most. Open another one.`,
  );
}

function fellSilent({ realtimeIdleMs }: SessionLimits): SignalboxError {
  return new SignalboxError(
    'session_expired',
    `Nothing was said for ${realtimeIdleMs} ms. Open another session when there is something to say.`,
  );
}
