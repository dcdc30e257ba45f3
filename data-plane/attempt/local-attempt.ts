// An attempt that is answered in this process: the client's request is decoded, the answer arrives as events, and a
// writer turns them into the client's dialect. The same promises hold as over the network: journaled first, nothing sent
// before there is something good to send, stopped when the client leaves, settled once and before the last byte.
import { SignalboxError } from '#shared/errors.ts';
import type { LocalAnswer } from '../providers/provider.ts';
import type { TurnEvent } from '../turn/events.ts';
import {
  AttemptRecord,
  type AttemptResult,
  type AttemptServices,
  type Findings,
  nothingFound,
  servedBy,
  type Target,
  type Turn,
} from './attempt-record.ts';
import { type AnswerHead, type AnswerListener, brokeOff, type ClientAnswer } from './relay.ts';

/** What a provider over the network would have answered with. */
const STATUS = 200;

export class LocalAttempt implements AnswerListener {
  readonly #turn: Turn;
  readonly #target: Target;
  readonly #client: ClientAnswer;
  readonly #record: AttemptRecord;
  readonly #abort = new AbortController();
  #findings: Findings = nothingFound;
  #wake: (() => void) | undefined;

  constructor(services: AttemptServices, turn: Turn, target: Target, client: ClientAnswer) {
    this.#turn = turn;
    this.#target = target;
    this.#client = client;
    this.#record = new AttemptRecord(services, turn, target);
  }

  async run(answer: LocalAnswer): Promise<AttemptResult> {
    const { dialect, head } = this.#turn;
    const { signal } = this.#abort;
    this.#client.listener = this;
    try {
      const request = dialect.decode(head.body);
      this.#client.upstreamCalled();
      const events = answer(request, { model: this.#target.deployment.upstreamModel, signal });
      return head.stream ? await this.#stream(events) : await this.#whole(events);
    } catch (thrown) {
      return this.#fail(signal.aborted ? (signal.reason as SignalboxError) : SignalboxError.from(thrown));
    } finally {
      this.#client.listener = undefined;
    }
  }

  onDrain(): void {
    this.#wake?.();
  }

  onStop(reason: SignalboxError): void {
    this.#abort.abort(reason);
    this.#wake?.();
  }

  async #stream(events: AsyncIterable<TurnEvent>): Promise<AttemptResult> {
    const { dialect, head } = this.#turn;
    const writer = dialect.writer({ wantsUsage: head.wantsUsage });
    for await (const event of events) {
      this.#abort.signal.throwIfAborted();
      this.#note(event);
      if (event.type === 'turn-error') return this.#fail(event.error);
      const bytes = dialect.framing.write(writer.push(event));
      if (event.type === 'turn-end') return this.#complete(dialect.framing.contentType, bytes);
      if (bytes.length === 0) continue;
      if (!this.#client.begun) this.#client.begin(this.#answerHead(dialect.framing.contentType, undefined));
      if (!this.#client.write(bytes)) await this.#drained();
    }
    return this.#fail(brokeOff());
  }

  async #whole(events: AsyncIterable<TurnEvent>): Promise<AttemptResult> {
    const seen: TurnEvent[] = [];
    for await (const event of events) {
      this.#abort.signal.throwIfAborted();
      this.#note(event);
      if (event.type === 'turn-error') return this.#fail(event.error);
      seen.push(event);
      if (event.type !== 'turn-end') continue;
      const body = Buffer.from(JSON.stringify(this.#turn.dialect.render(seen)));
      this.#client.begin(this.#answerHead('application/json', body.length));
      return this.#complete('application/json', body);
    }
    return this.#fail(brokeOff());
  }

  #note(event: TurnEvent): void {
    this.#record.firstByte();
    if (event.type === 'turn-start') this.#findings = { ...this.#findings, id: event.id };
    if (event.type === 'usage') {
      this.#findings = { ...this.#findings, usage: event.usage, rawUsage: event.raw };
    }
  }

  #complete(contentType: string, last: Buffer): AttemptResult {
    this.#record.settle('completed', STATUS, '', this.#findings);
    if (!this.#client.begun) this.#client.begin(this.#answerHead(contentType, undefined));
    this.#client.end(last);
    return { kind: 'answered', error: undefined };
  }

  #fail(error: SignalboxError): AttemptResult {
    if (error.code === 'client_closed') {
      this.#record.settle('cancelled', STATUS, error.code, this.#findings);
      return { kind: 'cancelled' };
    }
    this.#record.settle('failed', STATUS, error.code, this.#findings);
    if (!this.#client.begun) return { kind: 'failed', error, refusal: undefined };
    const { dialect } = this.#turn;
    this.#client.end(dialect.framing.write(dialect.renderStreamError(error)));
    return { kind: 'answered', error };
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #answerHead(contentType: string, bodyBytes: number | undefined): AnswerHead {
    return { status: STATUS, contentType, bodyBytes, served: servedBy(this.#turn, this.#target) };
  }
}
