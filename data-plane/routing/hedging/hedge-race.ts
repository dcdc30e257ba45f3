// Two attempts at one answer: which of them the client gets, and what becomes of the other. A pure machine: what happened goes in, the
// next state and what is to be done come out.
//
//   the first runs ── it takes too long ──▶ both run ── one has something for the client ──▶ it has won, the other is cancelled
//
// Nothing reaches the client before its attempt has won, so there is one winner, and the other never existed for the client. The race
// is over when every attempt that was begun has ended, which is after its settlement was recorded: what the loser has used is on the
// ledger before anyone goes on. A failure of one leaves the answer to the other. Where the first finds the caller at fault the request is
// over, as it would be without a second attempt; what the second finds takes no answer away that the first may still give.
import { SignalboxError } from '#shared/errors.ts';

export type LaneName = 'first' | 'second';

export type RaceEvent =
  /** The first has taken long enough; `mayHedge` when the budget has room for a second. */
  | { readonly type: 'delay-end'; readonly mayHedge: boolean }
  /** An attempt has something for the client. It may go on when `race.winner` is its lane after this. */
  | { readonly type: 'answer-start'; readonly lane: LaneName }
  /** An attempt is over and its settlement recorded. */
  | { readonly type: 'attempt-end'; readonly lane: LaneName; readonly end: LaneEnd }
  /** The client has left, or this instance has to stop. */
  | { readonly type: 'client-end'; readonly reason: SignalboxError };

export type LaneEnd =
  /** With an error when the answer broke off after it had begun. */
  | { readonly kind: 'answered'; readonly error: SignalboxError | undefined }
  | { readonly kind: 'failed'; readonly error: SignalboxError }
  | { readonly kind: 'cancelled' };

export type RaceOrder =
  | { readonly type: 'attempt-start'; readonly lane: LaneName }
  /** To the attempt's `onStop`; once for each attempt at most. */
  | { readonly type: 'attempt-cancel'; readonly lane: LaneName; readonly reason: SignalboxError }
  /** The delay is not to be waited for any more. */
  | { readonly type: 'delay-cancel' }
  | { readonly type: 'race-end'; readonly result: RaceResult };

export type RaceResult =
  | { readonly kind: 'answered'; readonly lane: LaneName; readonly error: SignalboxError | undefined }
  /** Nobody has answered; in the order in which they failed. */
  | { readonly kind: 'failed'; readonly failures: readonly LaneFailure[] }
  | { readonly kind: 'stopped'; readonly reason: SignalboxError };

export interface LaneFailure {
  readonly lane: LaneName;
  readonly error: SignalboxError;
}

interface Lane {
  readonly phase: 'waiting' | 'running' | 'cancelling' | 'over';
  readonly end: LaneEnd | undefined;
}

export interface HedgeRace {
  readonly lanes: Readonly<Record<LaneName, Lane>>;
  /** Whether the delay is still being waited for. */
  readonly isWaiting: boolean;
  readonly winner: LaneName | undefined;
  readonly failures: readonly LaneFailure[];
  /** Why nobody can win any more. */
  readonly stopped: SignalboxError | undefined;
  readonly isOver: boolean;
}

export interface RaceStep {
  readonly race: HedgeRace;
  /** In this order. */
  readonly orders: readonly RaceOrder[];
}

const waiting: Lane = Object.freeze({ phase: 'waiting', end: undefined });
const running: Lane = Object.freeze({ phase: 'running', end: undefined });
const others: Readonly<Record<LaneName, LaneName>> = { first: 'second', second: 'first' };

/** The first attempt is on its way, and the delay is being waited for. */
export const openRace: HedgeRace = Object.freeze({
  lanes: Object.freeze({ first: running, second: waiting }),
  isWaiting: true,
  winner: undefined,
  failures: Object.freeze([]),
  stopped: undefined,
  isOver: false,
});

export function raceStep(race: HedgeRace, event: RaceEvent): RaceStep {
  if (race.isOver) return { race, orders: [] };
  switch (event.type) {
    case 'delay-end':
      return delayEnded(race, event.mayHedge);
    case 'answer-start':
      return answerStarted(race, event.lane);
    case 'attempt-end':
      return attemptEnded(race, event.lane, event.end);
    case 'client-end':
      return clientEnded(race, event.reason);
  }
}

function delayEnded(race: HedgeRace, mayHedge: boolean): RaceStep {
  if (!race.isWaiting) return { race, orders: [] };
  const next = { ...race, isWaiting: false };
  if (!mayHedge) return { race: next, orders: [] };
  return { race: withLane(next, 'second', running), orders: [{ type: 'attempt-start', lane: 'second' }] };
}

function answerStarted(race: HedgeRace, lane: LaneName): RaceStep {
  const mayWin = race.winner === undefined && race.lanes[lane].phase === 'running';
  if (!mayWin) return { race, orders: [] };
  return cancelled({ ...race, winner: lane }, [others[lane]], overtaken());
}

function attemptEnded(race: HedgeRace, lane: LaneName, end: LaneEnd): RaceStep {
  const { phase } = race.lanes[lane];
  if (phase !== 'running' && phase !== 'cancelling') return { race, orders: [] };
  const next = withLane(race, lane, { phase: 'over', end });
  if (end.kind === 'answered' && race.winner === undefined) {
    const { race: won, orders } = cancelled({ ...next, winner: lane }, [others[lane]], overtaken());
    return concluded(won, orders);
  }
  // One that was told to stop may well fail of it; that is nobody's failure.
  if (end.kind !== 'failed' || phase === 'cancelling') return concluded(next, []);
  const { error } = end;
  const failed = { ...next, failures: [...next.failures, { lane, error }] };
  // Without a second that runs already, failing over is the business of whoever holds the race.
  const isFinal = lane === 'first' && !error.kind.retryable;
  const step = cancelled(failed, isFinal ? ['second'] : [], overtaken());
  return concluded(step.race, step.orders);
}

function clientEnded(race: HedgeRace, reason: SignalboxError): RaceStep {
  if (race.stopped !== undefined) return { race, orders: [] };
  return cancelled({ ...race, stopped: reason }, ['first', 'second'], reason);
}

/** Those of the lanes that run are told to stop, and no further one is begun. */
function cancelled(race: HedgeRace, lanes: readonly LaneName[], reason: SignalboxError): RaceStep {
  const orders: RaceOrder[] = race.isWaiting ? [{ type: 'delay-cancel' }] : [];
  let next: HedgeRace = { ...race, isWaiting: false };
  for (const lane of lanes) {
    if (next.lanes[lane].phase !== 'running') continue;
    next = withLane(next, lane, { phase: 'cancelling', end: undefined });
    orders.push({ type: 'attempt-cancel', lane, reason });
  }
  return { race: next, orders };
}

function concluded(race: HedgeRace, orders: readonly RaceOrder[]): RaceStep {
  const lanes = Object.values(race.lanes);
  if (lanes.some(({ phase }) => phase === 'running' || phase === 'cancelling')) return { race, orders };
  return {
    race: { ...race, isOver: true },
    orders: [...orders, { type: 'race-end', result: resultOf(race) }],
  };
}

function resultOf({ lanes, winner, failures, stopped }: HedgeRace): RaceResult {
  const end = winner && lanes[winner].end;
  if (winner !== undefined && end?.kind === 'answered') {
    return { kind: 'answered', lane: winner, error: end.error };
  }
  if (failures.length > 0 && stopped === undefined) return { kind: 'failed', failures };
  return { kind: 'stopped', reason: stopped ?? overtaken() };
}

function withLane(race: HedgeRace, name: LaneName, lane: Lane): HedgeRace {
  return { ...race, lanes: { ...race.lanes, [name]: lane } };
}

function overtaken(): SignalboxError {
  return new SignalboxError('hedge_lost', 'Another attempt at the same request made this one unnecessary.');
}
