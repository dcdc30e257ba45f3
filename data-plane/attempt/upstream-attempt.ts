// An attempt over the network. What goes out and how the answer comes back is the passage's business, and so is whether either
// is translated (see passage.ts); here is what happens to them. A synchronous machine, driven by the upstream client's callbacks
// and by the client's end:
//
//   calling ── 2xx, a stream ──▶ streaming ──▶ over          calling ── 2xx, a body ──▶ holding ──▶ over
//   calling ── anything else ──▶ refused ───▶ over
//
// A body is held until it is whole, so that a cut or an error in it can still be mended by another target.
import { build } from '#shared/build.ts';
import { SignalboxError } from '#shared/errors.ts';
import type { StreamReport, UpstreamHeaders } from '../dialects/dialect.ts';
import type { Listen } from '../passage/first-words.ts';
import type { Task, UpstreamPassage } from '../passage/task.ts';
import type { Credential } from '../providers/credential.ts';
import type { Origin, UpstreamCall, UpstreamHandler, UpstreamRequest } from '../upstream/client.ts';
import { hostOf } from '../upstream/host.ts';
import {
  AttemptRecord,
  type AttemptResult,
  type AttemptServices,
  type Findings,
  isCalledOff,
  nothingFound,
  type Refusal,
  servedBy,
  type Target,
} from './attempt-record.ts';
import { type AnswerHead, type AnswerListener, type ClientAnswer, noBytes, StreamRelay } from './relay.ts';

type Phase = 'calling' | 'streaming' | 'holding' | 'refused' | 'over';

export class UpstreamAttempt implements UpstreamHandler, AnswerListener {
  readonly #services: AttemptServices;
  readonly #task: Task;
  readonly #target: Target;
  readonly #passage: UpstreamPassage;
  readonly #client: ClientAnswer;
  readonly #record: AttemptRecord;
  #resolve: (result: AttemptResult) => void = () => {};
  #phase: Phase = 'calling';
  #call: UpstreamCall | undefined;
  #callOver = false;
  #status = 0;
  #headers: UpstreamHeaders = {};
  #relay: StreamRelay | undefined;
  /** Undefined once the stream has begun to say something. */
  #listen: Listen | undefined;
  #firstByteTimer: NodeJS.Timeout | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(
    services: AttemptServices,
    task: Task,
    target: Target,
    passage: UpstreamPassage,
    client: ClientAnswer,
  ) {
    this.#services = services;
    this.#task = task;
    this.#target = target;
    this.#passage = passage;
    this.#client = client;
    this.#record = new AttemptRecord(services, task, target);
  }

  run(): Promise<AttemptResult> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#client.listener = this;
      try {
        this.#dispatch();
      } catch (thrown) {
        this.#fail(SignalboxError.from(thrown));
      }
    });
  }

  /** Where the credential has to fetch something first, the request waits for it; everything else goes out at once. */
  #dispatch(): void {
    const { deployment, key } = this.#target;
    const { provider } = deployment;
    if (!provider.origin) throw new Error(`The provider ${provider.name} has no address.`);
    const credential = key?.credential ?? provider.ambient;
    const request = this.#request(provider.origin, credential);
    const authorised = credential.authorise?.({ ...request, host: hostOf(provider.origin) });
    this.#client.upstreamCalled();
    if (!(authorised instanceof Promise)) {
      this.#send(request, authorised);
      return;
    }
    authorised
      .then((headers) => this.#send(request, headers))
      .catch((thrown: unknown) => this.#fail(SignalboxError.from(thrown)));
  }

  #request(origin: Origin, credential: Credential): UpstreamRequest {
    const { method, path, contentType, accept, forwardedHeaders, body } = this.#passage;
    const { deployment } = this.#target;
    const { kind, basePath } = deployment.provider;
    return {
      origin,
      method,
      path: basePath + path,
      headers: {
        ...kind.fixedHeaders,
        ...forwardedHeaders,
        ...(contentType === '' ? {} : { 'content-type': contentType }),
        accept,
        // What passes through untouched must be readable on the way: usage is metered from it.
        'accept-encoding': 'identity',
        'user-agent': build,
        'x-client-request-id': this.#record.attemptId,
        ...credential.headers,
      },
      body,
      headTimeoutMs: timeoutOf(this.#target),
      idleTimeoutMs: deployment.idleTimeoutMs ?? this.#services.limits.upstreamIdleMs,
    };
  }

  #send(request: UpstreamRequest, authorised: Readonly<Record<string, string>> | undefined): void {
    if (this.#phase === 'over') return;
    const headers = authorised === undefined ? request.headers : { ...request.headers, ...authorised };
    this.#call = this.#services.upstream.dispatch({ ...request, headers }, this);
  }

  onHead(status: number, headers: UpstreamHeaders): void {
    try {
      this.#record.noteHeaders(headers);
      this.#status = status;
      this.#headers = headers;
      this.#phase = this.#phaseFor(status, headers);
      // Some send the head of a stream at once, long before there is anything in it.
      if (this.#phase === 'streaming') this.#startStream();
      else this.#record.firstByte();
    } catch (thrown) {
      this.#fail(SignalboxError.from(thrown));
    }
  }

  onData(chunk: Buffer): void {
    try {
      this.#take(chunk);
    } catch (thrown) {
      this.#fail(SignalboxError.from(thrown));
    }
  }

  onEnd(): void {
    this.#callOver = true;
    try {
      if (this.#phase === 'streaming') this.#endStream();
      else if (this.#phase === 'holding') this.#endBody();
      else if (this.#phase === 'refused') this.#endRefusal(true);
    } catch (thrown) {
      this.#fail(SignalboxError.from(thrown));
    }
  }

  onError(error: SignalboxError): void {
    this.#callOver = true;
    // A refusal that broke off is still a refusal: its status says what happened.
    if (this.#phase === 'refused') this.#endRefusal(false);
    else this.#fail(error);
  }

  onDrain(): void {
    this.#call?.resume();
  }

  onStop(reason: SignalboxError): void {
    if (isCalledOff(reason) || this.#task.isShadow === true) this.#cancel(reason);
    else this.#fail(reason);
  }

  #cancel(reason: SignalboxError): void {
    const report = this.#lastReport();
    this.#close();
    // Some clients hang up as soon as they have read the end mark. They have what they asked for.
    const isWhole = this.#client.begun && report?.complete === true && report.usage !== undefined;
    if (isWhole) this.#record.settle('completed', this.#status, undefined, report);
    else this.#record.settle('cancelled', this.#status, reason, report ?? nothingFound);
    this.#resolve({ kind: 'cancelled' });
  }

  /** What came last may be unreadable, which concerns nobody any more. */
  #lastReport(): StreamReport | undefined {
    try {
      return this.#relay?.abandon();
    } catch {
      return undefined;
    }
  }

  #take(chunk: Buffer): void {
    if (this.#phase === 'streaming') {
      this.#clearTimer();
      if (this.#listen?.(chunk) === true) {
        this.#listen = undefined;
        this.#record.firstByte();
      }
      this.#relay!.push(chunk);
    } else if (this.#phase !== 'over') {
      this.#hold(chunk);
    }
  }

  #phaseFor(status: number, headers: UpstreamHeaders): Phase {
    if (!isSuccess(status) || isEncoded(headers)) return 'refused';
    const { stream } = this.#passage;
    if (stream === undefined) return 'holding';
    if (isType(headers['content-type'], stream.expects)) return 'streaming';
    return stream.mayBeWhole === true ? 'holding' : 'refused';
  }

  #startStream(): void {
    const stream = this.#passage.stream!;
    this.#listen = stream.listen?.() ?? always;
    const contentType = stream.contentType || (this.#headers['content-type'] ?? 'application/octet-stream');
    this.#relay = new StreamRelay({
      tap: stream.tap(),
      errorBytes: (error) => this.#task.streamError(error),
      client: this.#client,
      head: this.#answerHead(contentType, undefined),
      upstream: this.#call!,
      hasSpoken: () => this.#listen === undefined,
      onFalseStart: (error) => this.#giveUp(error, this.#relay!.report()),
      onFault: (thrown) => this.#fail(SignalboxError.from(thrown)),
    });
    // A head and then silence is no first byte: the deadline goes on until the stream says something.
    const leftMs = Math.max(timeoutOf(this.#target) - this.#record.elapsedMs(), 0);
    this.#firstByteTimer = setTimeout(() => this.#fail(silent(this.#target)), leftMs);
  }

  #endStream(cause?: SignalboxError): void {
    const ending = this.#relay!.finish(cause);
    const { report, error } = ending;
    if (error && (!this.#client.begun || this.#passage.stream!.carryOver?.(error) === true)) {
      ending.sendWhatCame();
      this.#giveUp(error, report);
      return;
    }
    this.#close();
    this.#record.settle(error ? 'failed' : 'completed', this.#status, error, report);
    ending.send();
    this.#resolve({ kind: 'answered', error });
  }

  #hold(chunk: Buffer): void {
    const { responseBodyBytesMax, upstreamErrorBytesMax } = this.#services.limits;
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#phase === 'refused' && this.#heldBytes > upstreamErrorBytesMax) this.#endRefusal(false);
    else if (this.#phase === 'holding' && this.#heldBytes > responseBodyBytesMax) {
      this.#fail(tooLarge(this.#target, responseBodyBytesMax));
    }
  }

  #endBody(): void {
    const { report, body, contentType } = this.#passage.convert(this.#heldBody(), this.#headers);
    if (report.error) {
      this.#giveUp(report.error, report);
      return;
    }
    this.#close();
    this.#record.settle('completed', this.#status, undefined, report);
    const stated = contentType ?? this.#headers['content-type'] ?? 'application/json';
    this.#client.begin(this.#answerHead(stated, body.length));
    this.#client.end(body);
    this.#resolve({ kind: 'answered', error: undefined });
  }

  /** `whole`: the provider's words arrived to the end, so that they can be passed on. */
  #endRefusal(whole: boolean): void {
    try {
      const body = isEncoded(this.#headers) ? noBytes : this.#heldBody();
      if (isSuccess(this.#status)) {
        this.#refuseForm(body);
        return;
      }
      const error = this.#passage.readError(this.#status, this.#headers, body);
      this.#giveUp(
        error,
        nothingFound,
        whole && body.length > 0 && !this.#passage.isTranslated ? this.#refusal(body) : undefined,
      );
    } catch (thrown) {
      this.#fail(SignalboxError.from(thrown));
    }
  }

  /** A success in a form that was not asked for. What it says, if it can be read, is still the best explanation. */
  #refuseForm(body: Buffer): void {
    const report = body.length > 0 ? this.#passage.inspect(body) : undefined;
    this.#giveUp(report?.error ?? unexpectedForm(this.#target, this.#headers), report ?? nothingFound);
  }

  #refusal(body: Buffer): Refusal {
    return { status: this.#status, contentType: this.#headers['content-type'] ?? 'application/json', body };
  }

  /** Ends a stream that has begun with an error frame, and everything else without a trace for the client. */
  #fail(error: SignalboxError): void {
    if (this.#phase === 'over') return;
    try {
      if (this.#relay) this.#endStream(error);
      else this.#giveUp(error, nothingFound);
    } catch {
      this.#breakOff(error);
    }
  }

  /** The relay itself is at fault, so it is no longer asked what it knows. */
  #breakOff(error: SignalboxError): void {
    if (!this.#client.begun) {
      this.#giveUp(error, nothingFound);
      return;
    }
    this.#close();
    this.#record.settle('failed', this.#status, error, nothingFound);
    this.#relay!.breakOff(error);
    this.#resolve({ kind: 'answered', error });
  }

  #giveUp(error: SignalboxError, findings: Findings, refusal?: Refusal): void {
    if (this.#phase === 'over') return;
    this.#close();
    this.#record.settle('failed', this.#status, error, findings);
    this.#resolve({ kind: 'failed', error, refusal, wasSent: this.#call?.requestSent === true });
  }

  #close(): void {
    this.#phase = 'over';
    this.#clearTimer();
    this.#client.listener = undefined;
    if (!this.#callOver) this.#call?.abort();
  }

  #clearTimer(): void {
    if (this.#firstByteTimer === undefined) return;
    clearTimeout(this.#firstByteTimer);
    this.#firstByteTimer = undefined;
  }

  #heldBody(): Buffer {
    return this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
  }

  #answerHead(contentType: string, bodyBytes: number | undefined): AnswerHead {
    return { status: this.#status, contentType, bodyBytes, served: servedBy(this.#task, this.#target) };
  }
}

const always: Listen = () => true;

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

function isEncoded(headers: UpstreamHeaders): boolean {
  const encoding = headers['content-encoding'];
  return encoding !== undefined && encoding !== '' && encoding.toLowerCase() !== 'identity';
}

/** Whether a content type is the one expected, whatever its parameters. One that is not stated may be anything. */
function isType(stated: string | undefined, expected: string): boolean {
  if (stated === undefined || expected === '') return true;
  return stated.toLowerCase().startsWith(expected);
}

function timeoutOf({ deployment, timeoutMs }: Target): number {
  return timeoutMs ?? deployment.timeoutMs;
}

function silent(target: Target): SignalboxError {
  return new SignalboxError(
    'upstream_timeout',
    `The provider "${target.deployment.provider.name}" accepted the request but sent nothing within ${timeoutOf(target)} ms.`,
  );
}

function tooLarge({ deployment }: Target, bytesMax: number): SignalboxError {
  return new SignalboxError(
    'upstream_invalid',
    `The answer of the provider "${deployment.provider.name}" is larger than ${bytesMax} bytes. Ask for a stream instead.`,
  );
}

function unexpectedForm({ deployment }: Target, headers: UpstreamHeaders): SignalboxError {
  const type = headers['content-type'] ?? 'no content type';
  const encoding = headers['content-encoding'] ?? 'identity';
  return new SignalboxError(
    'upstream_invalid',
    `The provider "${deployment.provider.name}" answered in a form that was not asked for: ${type}, encoded as ${encoding}.`,
  );
}
