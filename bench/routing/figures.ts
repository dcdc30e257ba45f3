// What a run was like for its clients and for the members. A request that failed counts as one that took for ever: otherwise whoever
// fails quickly would look fast.
import { percentile } from '../measure/statistics.ts';
import type { Trace } from './node.ts';
import type { World } from './simulate.ts';

export interface Figures {
  /** Those that arrived while something was wrong; the next seven are of them. */
  readonly requests: number;
  readonly failedShare: number;
  readonly firstByteMsP50: number;
  readonly firstByteMsP99: number;
  readonly wholeMsP50: number;
  readonly wholeMsP99: number;
  readonly attemptsPerRequest: number;
  /** What a well member was asked, against before: 1.25 is what one of five leaves to each of the others. */
  readonly survivorLoad: number;
  /** Until the first ill member gets no more than a quarter of its former share; undefined when it never does. */
  readonly shiftMs: number | undefined;
  /** Until it has half of its former share again. */
  readonly returnMs: number | undefined;
  /** Of the requests that arrived when all was well again. */
  readonly failedShareAfter: number;
  /** Of the last requests: the smallest share that a member got. */
  readonly smallestShareInTheEnd: number;
}

const SECOND_MS = 1000;
const SHIFT_WINDOW_SECONDS = 2;
const RETURN_WINDOW_SECONDS = 5;
const END_WINDOW_MS = 20 * SECOND_MS;

/** Of several runs of the same with different seeds, pooled; times are those of the slowest run. `ill`: whom the scenario harms. */
export function figuresOf(
  runs: readonly (readonly Trace[])[],
  world: World,
  ill: ReadonlySet<string>,
): Figures {
  const { faultFromMs, faultUntilMs, untilMs } = world.phases;
  const names = world.servers.map(({ name }) => name);
  const arrivedIn = (fromMs: number, toMs: number) =>
    runs.flat().filter(({ request: { arrivesMs } }) => arrivesMs >= fromMs && arrivesMs < toMs);
  // The first half of the calm time is spent on measuring everyone.
  const before = arrivedIn(faultFromMs / 2, faultFromMs);
  const during = arrivedIn(faultFromMs, faultUntilMs);
  const after = arrivedIn(faultUntilMs, untilMs);
  const ended = arrivedIn(untilMs - END_WINDOW_MS, untilMs);
  const wholeMs = during.map(({ error, wholeMs: ms }) => (error === undefined ? ms! : Infinity));
  const firstByteMs = during
    .filter(({ request }) => request.isStream)
    .map(({ firstByteMs: ms }) => ms ?? Infinity);
  const survivors = (list: readonly Trace[]) => attemptsOf(list).filter((name) => !ill.has(name)).length;
  const usual = shareOf(names[0]!, before);
  const shares = runs.map((run) => sharesBySecond(names[0]!, run, untilMs));
  return {
    requests: during.length,
    failedShare: failedShare(during),
    firstByteMsP50: percentile(firstByteMs, 0.5),
    firstByteMsP99: percentile(firstByteMs, 0.99),
    wholeMsP50: percentile(wholeMs, 0.5),
    wholeMsP99: percentile(wholeMs, 0.99),
    attemptsPerRequest: attemptsOf(during).length / during.length,
    survivorLoad: survivors(during) / during.length / (survivors(before) / before.length),
    shiftMs: slowest(
      shares.map(({ first }) =>
        first(faultFromMs, faultUntilMs, SHIFT_WINDOW_SECONDS, (share) => share <= usual / 4),
      ),
    ),
    returnMs: slowest(
      shares.map(({ first }) =>
        first(faultUntilMs, untilMs, RETURN_WINDOW_SECONDS, (share) => share >= usual / 2),
      ),
    ),
    failedShareAfter: failedShare(after),
    smallestShareInTheEnd: Math.min(...names.map((name) => shareOf(name, ended))),
  };
}

function slowest(times: readonly (number | undefined)[]): number | undefined {
  return times.some((time) => time === undefined) ? undefined : Math.max(...times.map((time) => time!));
}

function failedShare(traces: readonly Trace[]): number {
  return traces.filter(({ error }) => error !== undefined).length / traces.length;
}

function attemptsOf(traces: readonly Trace[]): readonly string[] {
  return traces.flatMap(({ attempts }) => attempts.map(({ deployment }) => deployment));
}

/** Of the requests, as far as they were sent anywhere, those that this member was asked first. */
function shareOf(name: string, traces: readonly Trace[]): number {
  const sent = traces.filter(({ attempts }) => attempts.length > 0);
  const firsts = sent.filter(({ attempts }) => attempts[0]!.deployment === name);
  return sent.length === 0 ? 0 : firsts.length / sent.length;
}

function sharesBySecond(name: string, traces: readonly Trace[], untilMs: number) {
  const all = new Float64Array(Math.ceil(untilMs / SECOND_MS) + 1);
  const firsts = new Float64Array(all.length);
  for (const { request, attempts } of traces) {
    if (attempts.length === 0) continue;
    const second = Math.floor(request.arrivesMs / SECOND_MS);
    all[second]! += 1;
    if (attempts[0]!.deployment === name) firsts[second]! += 1;
  }
  const sum = (counts: Float64Array, from: number, seconds: number) =>
    counts.subarray(from, from + seconds).reduce((total, count) => total + count, 0);
  return {
    /** How long after `fromMs` the first window begins in which the share is as wanted. */
    first(
      fromMs: number,
      toMs: number,
      windowSeconds: number,
      isWanted: (share: number) => boolean,
    ): number | undefined {
      for (let second = fromMs / SECOND_MS; second + windowSeconds <= toMs / SECOND_MS; second += 1) {
        const sent = sum(all, second, windowSeconds);
        if (sent > 0 && isWanted(sum(firsts, second, windowSeconds) / sent))
          return second * SECOND_MS - fromMs;
      }
      return undefined;
    },
  };
}
