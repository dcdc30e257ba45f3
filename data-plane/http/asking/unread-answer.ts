// The client's end of an answer that nobody reads. Bytes go nowhere, nobody is waited for, and since nobody ever leaves, a time does:
// an answer that does not end is stopped by its limit, or with the instance.
import { SignalboxError } from '#shared/errors.ts';
import type { AnswerListener, ClientAnswer } from '../../attempt/relay.ts';

export class UnreadAnswer implements ClientAnswer {
  begun = false;
  listener: AnswerListener | undefined;
  readonly #timer: NodeJS.Timeout;
  #isStopped = false;

  constructor(timeoutMs: number) {
    this.#timer = setTimeout(() => this.stop(tooLong(timeoutMs)), timeoutMs);
  }

  upstreamCalled(): void {}

  begin(): void {
    this.begun = true;
  }

  write(): boolean {
    return true;
  }

  end(): void {}

  breakOff(): void {}

  stop(reason: SignalboxError): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.listener?.onStop(reason);
  }

  /** The attempt is over. */
  close(): void {
    clearTimeout(this.#timer);
  }
}

function tooLong(timeoutMs: number): SignalboxError {
  return new SignalboxError('deadline_exceeded', `A copy of a request is given ${timeoutMs} ms in all.`);
}
