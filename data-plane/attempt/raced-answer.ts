// One client's answer with two attempts in front of it. Each attempt has a lane that looks like the client; what it writes reaches the
// client once its lane has won, and goes nowhere otherwise. So an attempt need not know that there is another, and for the client there
// was only ever one.
import type { SignalboxError } from '#shared/errors.ts';
import type { LaneName } from '../routing/hedging/hedge-race.ts';
import type { AnswerHead, AnswerListener, ClientAnswer } from './relay.ts';

export interface Referee {
  /** The lane has something for the client: whether it has won with it. Asked again after a no. */
  mayBegin(lane: LaneName): boolean;
  /** The client left, or the request has to stop. */
  onStop(reason: SignalboxError): void;
}

export class RacedAnswer {
  readonly #client: ClientAnswer;
  readonly #lanes: Readonly<Record<LaneName, Lane>>;

  constructor(client: ClientAnswer, referee: Referee) {
    this.#client = client;
    this.#lanes = {
      first: new Lane(client, () => referee.mayBegin('first')),
      second: new Lane(client, () => referee.mayBegin('second')),
    };
    client.listener = {
      onDrain: () => {
        for (const lane of Object.values(this.#lanes)) if (lane.hasWon) lane.listener?.onDrain?.();
      },
      onStop: (reason) => referee.onStop(reason),
    };
  }

  lane(name: LaneName): ClientAnswer {
    return this.#lanes[name];
  }

  /** False when its attempt was over already. */
  stop(name: LaneName, reason: SignalboxError): boolean {
    const { listener } = this.#lanes[name];
    listener?.onStop(reason);
    return listener !== undefined;
  }

  close(): void {
    this.#client.listener = undefined;
  }
}

class Lane implements ClientAnswer {
  /** The first that says something wins, and not the first that has a connection. */
  readonly waitsForWords = true;
  listener: AnswerListener | undefined;
  hasWon = false;
  readonly #client: ClientAnswer;
  readonly #mayBegin: () => boolean;

  constructor(client: ClientAnswer, mayBegin: () => boolean) {
    this.#client = client;
    this.#mayBegin = mayBegin;
  }

  get begun(): boolean {
    return this.hasWon && this.#client.begun;
  }

  upstreamCalled(): void {
    this.#client.upstreamCalled();
  }

  begin(head: AnswerHead): void {
    this.hasWon ||= this.#mayBegin();
    if (this.hasWon) this.#client.begin(head);
  }

  write(bytes: Buffer): boolean {
    return this.hasWon ? this.#client.write(bytes) : true;
  }

  end(bytes: Buffer): void {
    if (this.hasWon) this.#client.end(bytes);
  }

  breakOff(): void {
    if (this.hasWon) this.#client.breakOff();
  }
}
