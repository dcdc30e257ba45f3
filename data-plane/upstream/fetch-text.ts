// One question with a short answer, for what is fetched beside the requests of applications: tokens, lists of models, documents of a
// metadata service. It has one deadline for everything and takes no more bytes than it was told to expect.
import { SignalboxError } from '#shared/errors.ts';
import type { Origin, UpstreamCall, UpstreamClient, UpstreamHandler, UpstreamRequest } from './contract.ts';

export interface ShortQuestion {
  readonly origin: Origin;
  readonly method: UpstreamRequest['method'];
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** From the call to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

export interface ShortAnswer {
  /** Whatever it is: what a refusal means is the caller's to say. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

/** Rejects with what the upstream client reports, with `upstream_timeout`, or with `upstream_invalid` for an answer that is too long. */
export function fetchText(upstream: UpstreamClient, question: ShortQuestion): Promise<ShortAnswer> {
  return new Promise((resolve, reject) => {
    const { origin, method, path, headers, body, timeoutMs } = question;
    const gathering = new Gathering(question, resolve, reject);
    gathering.call = upstream.dispatch(
      {
        origin,
        method,
        path,
        headers: { 'accept-encoding': 'identity', ...headers },
        body: body === undefined ? [] : [body],
        headTimeoutMs: timeoutMs,
        idleTimeoutMs: timeoutMs,
      },
      gathering,
    );
  });
}

class Gathering implements UpstreamHandler {
  /** Set before the first callback comes. */
  call: UpstreamCall | undefined;
  readonly #question: ShortQuestion;
  readonly #resolve: (answer: ShortAnswer) => void;
  readonly #reject: (error: SignalboxError) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #status = 0;
  #headers: ShortAnswer['headers'] = {};

  constructor(
    question: ShortQuestion,
    resolve: (answer: ShortAnswer) => void,
    reject: (error: SignalboxError) => void,
  ) {
    this.#question = question;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => this.#giveUp('upstream_timeout', this.#late()), question.timeoutMs);
  }

  onHead(status: number, headers: ShortAnswer['headers']): void {
    this.#status = status;
    this.#headers = headers;
  }

  onData(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    const { bytesMax, origin } = this.#question;
    if (this.#bytes <= bytesMax) return;
    this.#giveUp(
      'upstream_invalid',
      `${origin.host} sent more than the ${bytesMax} bytes that such an answer may have.`,
    );
  }

  onEnd(): void {
    clearTimeout(this.#timer);
    this.#resolve({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#pieces) });
  }

  onError(error: SignalboxError): void {
    clearTimeout(this.#timer);
    this.#reject(error);
  }

  #giveUp(code: 'upstream_timeout' | 'upstream_invalid', message: string): void {
    clearTimeout(this.#timer);
    this.call?.abort();
    this.#reject(new SignalboxError(code, message));
  }

  #late(): string {
    const { origin, timeoutMs } = this.#question;
    return `${origin.host} did not answer within ${timeoutMs} ms. Check that it is up and can be reached from here.`;
  }
}
