// An answer that is wanted here and not by the client: the present state of something that is part of a larger answer.
import type { AnswerListener, ClientAnswer } from '../../attempt/relay.ts';
import type { Exchange } from '../exchange.ts';

export class CollectedAnswer implements ClientAnswer {
  readonly #parts: Buffer[] = [];
  attempts = 0;
  begun = false;
  listener: AnswerListener | undefined;

  get body(): Buffer {
    return Buffer.concat(this.#parts);
  }

  upstreamCalled(): void {
    // The exchange has counted its own.
  }

  begin(): void {
    this.begun = true;
  }

  write(bytes: Buffer): boolean {
    this.#parts.push(bytes);
    return true;
  }

  end(bytes: Buffer): void {
    this.#parts.push(bytes);
  }

  breakOff(): void {
    this.#parts.length = 0;
  }
}

/** As long as the client waits for the larger answer, so do these. */
export function collectFor(exchange: Exchange, answers: readonly CollectedAnswer[]): void {
  exchange.listener = {
    onStop(reason) {
      for (const answer of answers) answer.listener?.onStop(reason);
    },
  };
}
