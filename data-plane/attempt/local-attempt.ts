// An attempt that is answered in this process. The same promises hold as over the network: journaled first, nothing sent
// before there is something good to send, stopped when the client leaves, settled once and before the last byte.
import { SignalboxError } from '#shared/errors.ts';
import type { LocalPassage, LocalPiece, Task } from '../passage/task.ts';
import { truncated } from '../turn/truncated.ts';
import {
  AttemptRecord,
  type AttemptResult,
  type AttemptServices,
  type Findings,
  isCalledOff,
  nothingFound,
  servedBy,
  type Target,
} from './attempt-record.ts';
import type { AnswerHead, AnswerListener, ClientAnswer } from './relay.ts';

/** What a provider over the network would have answered with. */
const STATUS = 200;

export class LocalAttempt implements AnswerListener {
  readonly #task: Task;
  readonly #target: Target;
  readonly #passage: LocalPassage;
  readonly #client: ClientAnswer;
  readonly #record: AttemptRecord;
  readonly #abort = new AbortController();
  #findings: Findings = nothingFound;
  #wake: (() => void) | undefined;

  constructor(
    services: AttemptServices,
    task: Task,
    target: Target,
    passage: LocalPassage,
    client: ClientAnswer,
  ) {
    this.#task = task;
    this.#target = target;
    this.#passage = passage;
    this.#client = client;
    this.#record = new AttemptRecord(services, task, target);
  }

  async run(): Promise<AttemptResult> {
    const { signal } = this.#abort;
    this.#client.listener = this;
    this.#client.upstreamCalled();
    try {
      for await (const piece of this.#passage.run(signal)) {
        signal.throwIfAborted();
        this.#record.firstByte();
        this.#findings = piece.report;
        if (piece.report.error) return this.#fail(piece.report.error);
        if (piece.isLast) return this.#complete(piece.bytes);
        await this.#pass(piece);
      }
      return this.#fail(truncated());
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

  async #pass({ bytes }: LocalPiece): Promise<void> {
    if (bytes.length === 0) return;
    if (!this.#client.begun) this.#client.begin(this.#answerHead(undefined));
    if (!this.#client.write(bytes)) await this.#drained();
  }

  #complete(last: Buffer): AttemptResult {
    this.#record.settle('completed', STATUS, undefined, this.#findings);
    const isStream = this.#task.isStreamed;
    if (!this.#client.begun) this.#client.begin(this.#answerHead(isStream ? undefined : last.length));
    this.#client.end(last);
    return { kind: 'answered', error: undefined };
  }

  #fail(error: SignalboxError): AttemptResult {
    const isStoppedCopy = this.#task.isShadow === true && this.#abort.signal.aborted;
    if (isCalledOff(error) || isStoppedCopy) {
      this.#record.settle('cancelled', STATUS, error, this.#findings);
      return { kind: 'cancelled' };
    }
    this.#record.settle('failed', STATUS, error, this.#findings);
    if (!this.#client.begun) return { kind: 'failed', error, refusal: undefined, wasSent: true };
    const frame = this.#task.streamError(error);
    if (frame === undefined) this.#client.breakOff();
    else this.#client.end(frame);
    return { kind: 'answered', error };
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #answerHead(bodyBytes: number | undefined): AnswerHead {
    const { contentType } = this.#passage;
    return { status: STATUS, contentType, bodyBytes, served: servedBy(this.#task, this.#target) };
  }
}
