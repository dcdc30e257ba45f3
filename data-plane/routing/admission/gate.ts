// How many requests may be under way at once, for a route, a provider, a deployment and a key together. A request enters when all of
// them have room, and until then it holds nothing, so nobody waits for somebody who waits. Whoever cannot enter stands in line at
// those that are full; a line is bounded in length and in time, and who finds no place in it is turned away at once, with the
// time after which asking again makes sense, unless somebody in it has to give way: a more patient one, or one of a key that has more
// in line. When a place becomes free, the first in line who needs only places that are free goes
// in: those who wait for something else hold nobody up. In return a request that needs several full places may be overtaken, for as
// long as it may wait.
//
// Places without a limit cost nothing: no entry is made, no promise, no lease of one's own.
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { ServiceRate } from './service-rate.ts';
import { WaitingLine } from './waiting-line.ts';

export interface GateSubject {
  /** `route:smart`, `provider:openai`, `deployment:…`, `key:…` */
  readonly id: string;
  /** How many may be inside at once; 0 for any number. */
  readonly concurrencyMax: number;
  /** How many may stand in line for it; 0 for nobody. */
  readonly waitingMax: number;
  /** How long one may stand in line for it. */
  readonly waitMsMax: number;
}

export interface GateRequest {
  readonly subjects: readonly GateSubject[];
  /** Whose request it is. Those of one API key take turns with those of others. */
  readonly principal: string;
  /** 0 is the most urgent. */
  readonly priority: number;
  /** On the monotonic clock; nobody waits beyond it. */
  readonly deadlineMs: number;
  /** Leaves the line at once when aborted: with its reason where that is a SignalboxError, else as `client_closed`. */
  readonly signal?: AbortSignal;
  /**
   * What this request holds already and gives back in exchange, for an attempt that failed over: what both need stays
   * with it, unless it has to wait.
   */
  readonly instead?: Lease;
}

/** Leave to be inside. It has to be released, on every path; more than once does no harm. */
export interface Lease extends Disposable {
  readonly waitedMs: number;
  release(): void;
}

export interface GateReading {
  readonly inside: number;
  readonly waiting: number;
}

interface Place {
  readonly id: string;
  readonly line: WaitingLine<Waiter>;
  readonly rate: ServiceRate;
  concurrencyMax: number;
  waitingMax: number;
  waitMsMax: number;
  inside: number;
  /** Those who stand in line because this place was full when they came. */
  waiting: number;
}

interface Waiter {
  readonly principal: string;
  readonly priority: number;
  readonly places: readonly Place[];
  /** The places that were full when it came, whose lines it fills. */
  readonly full: readonly Place[];
  readonly sinceMs: number;
  readonly admit: (lease: Lease) => void;
  readonly turnAway: (reason: SignalboxError) => void;
  /** Stops its timer and its ear for the client. */
  readonly disarm: () => void;
}

const freeLease: Lease = Object.freeze({ waitedMs: 0, release: nothing, [Symbol.dispose]: nothing });
const nobody: GateReading = Object.freeze({ inside: 0, waiting: 0 });

export class Gate {
  readonly #clock: Clock;
  /** Those with someone inside or in line; the others are forgotten. */
  readonly #places = new Map<string, Place>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /**
   * A lease at once when there is room, else the promise of one. Throws, or rejects, with `queue_full`, `queue_timeout` or
   * what the signal says; then nothing is held.
   */
  enter(request: GateRequest): Lease | Promise<Lease> {
    const { subjects, signal, instead } = request;
    const given = instead instanceof HeldLease ? instead.surrender() : [];
    let places: readonly Place[] = [];
    try {
      if (signal?.aborted === true) throw reasonOf(signal);
      places = this.#placesOf(subjects);
      if (places.length === 0) return freeLease;
      return places.every(hasRoom) ? this.#admit(places, 0) : this.#wait(request, places);
    } catch (thrown) {
      this.#forgetIdle(places);
      throw thrown;
    } finally {
      this.#giveBack(given);
    }
  }

  /** A lease when there is room now; undefined, and nothing held, when one would have to wait. */
  enterAtOnce(subjects: readonly GateSubject[]): Lease | undefined {
    const places = this.#placesOf(subjects);
    if (places.length === 0) return freeLease;
    if (places.every(hasRoom)) return this.#admit(places, 0);
    this.#forgetIdle(places);
    return undefined;
  }

  /** Whether one more could enter now, to prefer a target that need not be waited for. */
  hasRoom(subjects: readonly GateSubject[]): boolean {
    return subjects.every(
      ({ id, concurrencyMax }) =>
        concurrencyMax === 0 || (this.#places.get(id)?.inside ?? 0) < concurrencyMax,
    );
  }

  read(id: string): GateReading {
    const place = this.#places.get(id);
    return place === undefined ? nobody : { inside: place.inside, waiting: place.waiting };
  }

  /** How many places have someone inside or in line. */
  get size(): number {
    return this.#places.size;
  }

  #placesOf(subjects: readonly GateSubject[]): readonly Place[] {
    const places: Place[] = [];
    for (const subject of subjects) {
      if (subject.concurrencyMax === 0) continue;
      const place = this.#places.get(subject.id) ?? this.#open(subject);
      const isWider = subject.concurrencyMax > place.concurrencyMax;
      // What was said last holds: a change of configuration needs no restart.
      place.concurrencyMax = subject.concurrencyMax;
      place.waitingMax = subject.waitingMax;
      place.waitMsMax = subject.waitMsMax;
      if (isWider) this.#fill(place);
      if (!places.includes(place)) places.push(place);
    }
    return places;
  }

  #open(subject: GateSubject): Place {
    const line = new WaitingLine<Waiter>();
    const rate = new ServiceRate(this.#clock.monotonicMs());
    const place: Place = { ...subject, line, rate, inside: 0, waiting: 0 };
    this.#places.set(subject.id, place);
    return place;
  }

  #admit(places: readonly Place[], waitedMs: number): Lease {
    for (const place of places) place.inside += 1;
    return new HeldLease(places, waitedMs, (given) => this.#leave(given));
  }

  #wait(request: GateRequest, places: readonly Place[]): Promise<Lease> {
    const { principal, priority, deadlineMs, signal } = request;
    const nowMs = this.#clock.monotonicMs();
    const full = places.filter((place) => !hasRoom(place));
    const strictest = full.reduce((one, other) => (other.waitMsMax < one.waitMsMax ? other : one));
    const waitMs = Math.min(strictest.waitMsMax, deadlineMs - nowMs);
    if (waitMs <= 0) throw this.#shed('queue_timeout', strictest, nowMs);
    const leaving = this.#givingWay(request, full, nowMs);
    const entered = new Promise<Lease>((resolve, reject) => {
      const giveUp = (reason: () => SignalboxError): void => {
        this.#stepOut(waiter);
        reject(reason());
      };
      const leave = (): void => giveUp(() => reasonOf(signal!));
      const timer = setTimeout(
        () => giveUp(() => this.#shed('queue_timeout', strictest, this.#clock.monotonicMs())),
        waitMs,
      );
      signal?.addEventListener('abort', leave, { once: true });
      const disarm = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
      };
      const waiter: Waiter = {
        ...{ principal, priority, places, full, sinceMs: nowMs },
        admit: resolve,
        turnAway: (reason) => giveUp(() => reason),
        disarm,
      };
      for (const place of places) place.line.join(waiter);
      for (const place of full) place.waiting += 1;
    });
    for (const [waiter, place] of leaving) waiter.turnAway(this.#shed('queue_full', place, nowMs));
    return entered;
  }

  /** Who makes room in the lines of those that are full, and where. Throws `queue_full` where nobody there has to. */
  #givingWay(request: GateRequest, full: readonly Place[], nowMs: number): ReadonlyMap<Waiter, Place> {
    const leaving = new Map<Waiter, Place>();
    for (const place of full) {
      if (place.waiting < place.waitingMax) continue;
      if ([...leaving.keys()].some((waiter) => waiter.full.includes(place))) continue;
      const last = place.line.givesWay(request, (waiter) => waiter.full.includes(place));
      if (last === undefined) throw this.#shed('queue_full', place, nowMs);
      leaving.set(last, place);
    }
    return leaving;
  }

  /** Leaves every line without having entered. */
  #stepOut(waiter: Waiter): void {
    waiter.disarm();
    for (const place of waiter.places) place.line.leave(waiter);
    for (const place of waiter.full) place.waiting -= 1;
    this.#forgetIdle(waiter.places);
  }

  #leave(places: readonly Place[]): void {
    for (const place of places) place.inside -= 1;
    this.#giveBack(places);
  }

  /** Lets in whoever may take what has become free. */
  #giveBack(places: readonly Place[]): void {
    if (places.length === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const place of places) place.rate.served(nowMs);
    for (const place of places) this.#fill(place);
    this.#forgetIdle(places);
  }

  #fill(place: Place): void {
    while (hasRoom(place)) {
      const waiter = place.line.first(({ places }) => places.every(hasRoom));
      if (waiter === undefined) return;
      waiter.disarm();
      for (const wanted of waiter.places) wanted.line.serve(waiter);
      for (const wanted of waiter.full) wanted.waiting -= 1;
      waiter.admit(this.#admit(waiter.places, this.#clock.monotonicMs() - waiter.sinceMs));
    }
  }

  #forgetIdle(places: readonly Place[]): void {
    for (const { id, inside, line } of places) {
      if (inside === 0 && line.size === 0) this.#places.delete(id);
    }
  }

  #shed(code: 'queue_full' | 'queue_timeout', place: Place, nowMs: number): SignalboxError {
    const { id, concurrencyMax, waiting, waitMsMax, rate } = place;
    const expectedMs = rate.msToServe(waiting + 1, nowMs) ?? waitMsMax;
    const retryAfterMs = Math.min(Math.max(expectedMs, limits.shedRetryMsMin), limits.shedRetryMsMax);
    const line =
      code === 'queue_full' ? `${waiting} are waiting already` : 'the turn of this one did not come in time';
    return new SignalboxError(
      code,
      `"${id}" takes ${concurrencyMax} requests at once, and ${line}. Send the request again later.`,
      { retryAfterMs: Math.ceil(retryAfterMs) },
    );
  }
}

class HeldLease implements Lease {
  readonly waitedMs: number;
  readonly #onReleased: (places: readonly Place[]) => void;
  #places: readonly Place[];

  constructor(places: readonly Place[], waitedMs: number, onReleased: (places: readonly Place[]) => void) {
    this.#places = places;
    this.waitedMs = waitedMs;
    this.#onReleased = onReleased;
  }

  release(): void {
    const places = this.#places;
    if (places.length === 0) return;
    this.#places = [];
    this.#onReleased(places);
  }

  /** Gives its places back without letting anyone in yet. */
  surrender(): readonly Place[] {
    const places = this.#places;
    this.#places = [];
    for (const place of places) place.inside -= 1;
    return places;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function hasRoom({ inside, concurrencyMax }: Place): boolean {
  return inside < concurrencyMax;
}

function reasonOf({ reason }: AbortSignal): SignalboxError {
  if (reason instanceof SignalboxError) return reason;
  return new SignalboxError('client_closed', 'The client left while its request was waiting to be sent on.');
}

function nothing(): void {
  // There is nothing to give back.
}
