// A stream that breaks off after its first byte, and goes on at another target as if nothing had happened. The answer is taken apart for
// that even where both sides speak the same dialect, and one writer speaks to the client from its first event to its last, whoever answers.
// Another target is asked with the text so far as the beginning of its answer. Only text can be gone on with: whoever has seen half a
// thought, or a tool call, is told the error as always.
import type { Clock } from '#shared/clock.ts';
import type { SignalboxError } from '#shared/errors.ts';
import type { ClientDialect, DialectName, RequestHead } from '../dialects/dialect.ts';
import type { TurnRequest } from '../turn/request.ts';
import { readableTurn } from './readable-turn.ts';
import { ContinuedAnswer } from './recovery-answer.ts';
import { continuedRequest, leadingSpaceOf } from './recovery-request.ts';
import { RecoveringTap, type UpstreamSide } from './recovery-tap.ts';
import type { PassageStream } from './task.ts';

export interface RecoveryOptions {
  readonly dialect: ClientDialect;
  readonly head: RequestHead;
  readonly clock: Clock;
}

/** Undefined where a broken stream could not be gone on with whatever it says. */
export function recoveryFor(options: RecoveryOptions): StreamRecovery | undefined {
  const request = options.head.stream ? readableTurn(options.dialect, options.head) : undefined;
  return request && isPlain(request) ? new StreamRecovery(options, request) : undefined;
}

/** Several answers at once, probabilities and promised forms cannot be continued by another model. */
function isPlain({ choices = 1, logprobs, responseFormat }: TurnRequest): boolean {
  return choices === 1 && logprobs === undefined && (responseFormat?.kind ?? 'text') === 'text';
}

export class StreamRecovery {
  readonly #options: RecoveryOptions;
  readonly #request: TurnRequest;
  /** What the client has read, once somebody else is to go on with it. */
  #begun: ContinuedAnswer | undefined;

  constructor(options: RecoveryOptions, request: TurnRequest) {
    this.#options = options;
    this.#request = request;
  }

  get isCarriedOver(): boolean {
    return this.#begun !== undefined;
  }

  /** The request as it is put to whoever goes on. */
  continued(request: TurnRequest, upstream: DialectName): TurnRequest {
    return this.#begun ? continuedRequest(request, this.#begun.text, upstream) : request;
  }

  /** An attempt's stream. Until the client has seen some of it, each makes an answer of its own. */
  stream(media: Omit<PassageStream, 'tap' | 'carryOver'>, side: UpstreamSide): PassageStream {
    let tap: RecoveringTap | undefined;
    return {
      ...media,
      tap: () => {
        tap = this.#tap(side);
        return tap;
      },
      carryOver: (error) => tap !== undefined && this.#carryOver(tap, error),
    };
  }

  #tap(side: UpstreamSide): RecoveringTap {
    const begun = this.#begun;
    const { dialect, head, clock } = this.#options;
    const answer =
      begun ?? new ContinuedAnswer({ dialect, clock, wantsUsage: head.wantsUsage, request: this.#request });
    return new RecoveringTap(side, answer, {
      isContinuing: begun !== undefined,
      skipsSpace: begun !== undefined && leadingSpaceOf(begun.text, side.asked, side.upstream.name),
    });
  }

  #carryOver({ answer, share }: RecoveringTap, error: SignalboxError): boolean {
    if (!error.kind.retryable || !answer.mayContinue) return false;
    answer.carryOver(share);
    this.#begun = answer;
    return true;
  }
}
