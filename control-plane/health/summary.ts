// What several nodes say of one subject, made into one answer for people. Figures are added up; the state is what most of the fleet
// would do: a provider that one node cannot reach is degraded, one that no node asks any more is down. Pure.
import type { HeardReport } from '#shared/health/digest-book.ts';
import { latencyBuckets, percentileOf } from '#shared/health/latency-buckets.ts';
import { healthScore } from '#shared/health/score.ts';

export const healthStates = ['up', 'degraded', 'down', 'unknown'] as const;
export type HealthState = (typeof healthStates)[number];

type Heard = HeardReport & { readonly ageMs: number };

export interface NodeSummary {
  readonly id: string;
  readonly region: string;
  readonly state: HealthState;
  /** 0 to 100; null when this node has not seen enough to say. */
  readonly score: number | null;
  readonly ageMs: number;
}

export interface HealthSummary {
  readonly state: HealthState;
  readonly score: number | null;
  readonly successShare: number | null;
  readonly firstByteP50Ms: number | null;
  readonly firstByteP95Ms: number | null;
  readonly inFlight: number;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly errorsPerMinute: number;
  readonly rateLimitedPerMinute: number;
  /** What is left of the tightest limit, where the provider says so. */
  readonly headroom: number | null;
  /** For how long no node asks it, as far as is known now. */
  readonly restMs: number;
  readonly isReachable: boolean | null;
  readonly nodes: readonly NodeSummary[];
}

/** Fewer of a hundred failing are chance; more are worth a look. */
const SUCCESS_USUAL = 0.9;
const P50 = 0.5;
const P95 = 0.95;

export function summarise(heard: readonly Heard[]): HealthSummary {
  const sum = (figure: (report: Heard['report']) => number) =>
    heard.reduce((total, { report }) => total + figure(report), 0);
  const counts = mergedCounts(heard);
  const ended = sum((report) => report.ended);
  const nodes = heard.map(summariseNode);
  const headrooms = heard.flatMap(({ report }) => report.headroom ?? []);
  const found = heard.flatMap(({ report }) => report.isReachable ?? []);
  return {
    state: stateOf(nodes.map(({ state }) => state)),
    score: meanScore(heard),
    successShare: ended < SEEN_MIN ? null : 1 - sum((report) => report.endedWrong) / ended,
    firstByteP50Ms: percentileOf(counts, P50) ?? null,
    firstByteP95Ms: percentileOf(counts, P95) ?? null,
    inFlight: sum((report) => report.inFlight),
    requestsPerMinute: sum((report) => report.requestsPerMinute),
    tokensPerMinute: sum((report) => report.tokensPerMinute),
    errorsPerMinute: sum((report) => report.errorsPerMinute),
    rateLimitedPerMinute: sum((report) => report.rateLimitedPerMinute),
    headroom: headrooms.length === 0 ? null : Math.min(...headrooms),
    restMs: Math.max(0, ...heard.map(({ report, ageMs }) => report.restMs - ageMs)),
    isReachable: found.length === 0 ? null : found.some((isUp) => isUp),
    nodes,
  };
}

/** Less than this is what is left of an answer of some minutes ago. */
const SEEN_MIN = 0.01;

function summariseNode({ nodeId, region, report, ageMs }: Heard): NodeSummary {
  return { id: nodeId, region, ageMs, state: nodeState(report), score: scoreOf(report) ?? null };
}

function nodeState({ breaker, ended, endedWrong, isReachable }: Heard['report']): HealthState {
  if (breaker === 'open') return 'down';
  if (breaker === 'half-open') return 'degraded';
  if (ended >= SEEN_MIN) return 1 - endedWrong / ended < SUCCESS_USUAL ? 'degraded' : 'up';
  if (isReachable === undefined) return 'unknown';
  return isReachable ? 'up' : 'down';
}

/** What several say together. Those who know nothing have no say. */
export function stateOf(states: readonly HealthState[]): HealthState {
  const told = states.filter((state) => state !== 'unknown');
  if (told.length === 0) return 'unknown';
  if (told.every((state) => state === 'up')) return 'up';
  return told.every((state) => state === 'down') ? 'down' : 'degraded';
}

function scoreOf(report: Heard['report']): number | undefined {
  return healthScore({
    ...report,
    weight: report.ended < SEEN_MIN ? 0 : report.ended,
    successShare: report.ended < SEEN_MIN ? 1 : 1 - report.endedWrong / report.ended,
    firstByteP50Ms: percentileOf(report.firstBytes, P50),
  });
}

/** Each node's score counts as much as the node has seen; one that has shut it off has its say although it sees nothing any more. */
function meanScore(heard: readonly Heard[]): number | null {
  let weight = 0;
  let total = 0;
  for (const { report } of heard) {
    const score = scoreOf(report);
    if (score === undefined) continue;
    const says = Math.max(report.ended, 1);
    weight += says;
    total += score * says;
  }
  return weight === 0 ? null : Math.round(total / weight);
}

function mergedCounts(heard: readonly Heard[]): readonly number[] {
  const counts = new Array<number>(latencyBuckets).fill(0);
  for (const { report } of heard)
    for (const [bucket, count] of report.firstBytes.entries()) counts[bucket]! += count;
  return counts;
}
