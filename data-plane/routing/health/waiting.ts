// Who is waiting for a first byte, and whether they wait longer than is usual. An average of answers says nothing of one that does not
// come: a server that has fallen silent looks as fast as it was until the first time-out, and everyone asked in the meantime waits with it.
// The age of those who wait tells within a moment. Seen at any time, those who wait have waited for E[w²] / 2E[w] on average, where w is how
// long one waits in the end, so what is usual is known from the answers that came. Streams and bodies are told apart: a body comes
// when all of it is written, and next to that the silence of a stream would not be noticed.
import { DecayingSum } from './decaying.ts';

/** Beside so many who have waited as long as usual are those few seen that one straggler is no alarm. */
const CALM = 2;
/** What is usual is known from about this many answers on. */
const EVIDENCE_MIN = 3;

export class Waiting {
  readonly #streams: Kind;
  readonly #bodies: Kind;

  constructor(halfLifeMs: number) {
    this.#streams = new Kind(halfLifeMs);
    this.#bodies = new Kind(halfLifeMs);
  }

  began(isStream: boolean, nowMs: number): void {
    this.#of(isStream).began(nowMs);
  }

  answered(isStream: boolean, waitedMs: number, nowMs: number): void {
    this.#of(isStream).answered(waitedMs, nowMs);
  }

  /** It ended without a first byte, which says nothing about how long one waits for one. */
  gaveUp(isStream: boolean, waitedMs: number, nowMs: number): void {
    this.#of(isStream).left(nowMs - waitedMs);
  }

  /** How long they have waited, where usual is 1; never less. */
  stalling(nowMs: number): number {
    const kinds = [this.#streams.read(nowMs), this.#bodies.read(nowMs)];
    const waiting = kinds.reduce((sum, kind) => sum + kind.waiting, CALM);
    const ages = kinds.reduce((sum, kind) => sum + kind.ages, CALM);
    return Math.max(1, ages / waiting);
  }

  #of(isStream: boolean): Kind {
    return isStream ? this.#streams : this.#bodies;
  }
}

class Kind {
  readonly #count: DecayingSum;
  readonly #sum: DecayingSum;
  readonly #sumOfSquares: DecayingSum;
  #waiting = 0;
  #sumOfStartsMs = 0;

  constructor(halfLifeMs: number) {
    this.#count = new DecayingSum(halfLifeMs);
    this.#sum = new DecayingSum(halfLifeMs);
    this.#sumOfSquares = new DecayingSum(halfLifeMs);
  }

  began(nowMs: number): void {
    this.#waiting += 1;
    this.#sumOfStartsMs += nowMs;
  }

  answered(waitedMs: number, nowMs: number): void {
    this.left(nowMs - waitedMs);
    this.#count.add(1, nowMs);
    this.#sum.add(waitedMs, nowMs);
    this.#sumOfSquares.add(waitedMs ** 2, nowMs);
  }

  left(startedMs: number): void {
    this.#waiting = Math.max(0, this.#waiting - 1);
    // Rounding must not add up over the years.
    this.#sumOfStartsMs = this.#waiting === 0 ? 0 : this.#sumOfStartsMs - startedMs;
  }

  /** Ages are in units of what is usual. While that is not known, nobody counts. */
  read(nowMs: number): { readonly waiting: number; readonly ages: number } {
    const sum = this.#sum.read(nowMs);
    if (this.#waiting === 0 || this.#count.read(nowMs) < EVIDENCE_MIN) return { waiting: 0, ages: 0 };
    const usualMs = Math.max(this.#sumOfSquares.read(nowMs) / (2 * sum), 1);
    return { waiting: this.#waiting, ages: (this.#waiting * nowMs - this.#sumOfStartsMs) / usualMs };
  }
}
