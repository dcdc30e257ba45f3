// What the digests of the other nodes say of someone, added up. Asked for with every choice that is made, so the sums are kept until a
// digest comes in, or for a moment: some of what they say is a matter of time.
import type { DigestBook, HeardReport } from '#shared/health/digest-book.ts';
import { latencyBuckets, percentileOf } from '#shared/health/latency-buckets.ts';
import type { OtherNodes, RemoteEvidence, Trouble } from './trust.ts';

const KEPT_MS = 250;
const P50 = 0.5;
const P95 = 0.95;

export class HeardNodes implements OtherNodes {
  readonly #digests: DigestBook;
  readonly #region: string;
  readonly #kept = new Map<string, { readonly evidence: RemoteEvidence; readonly untilMs: number }>();

  constructor(digests: DigestBook, region: string) {
    this.#digests = digests;
    this.#region = region;
  }

  evidenceOn(subject: string, nowMs: number): RemoteEvidence | undefined {
    const kept = this.#kept.get(subject);
    if (kept !== undefined && nowMs < kept.untilMs) return kept.evidence;
    const reports = this.#digests.reportsOn(subject, nowMs);
    if (reports.length === 0) {
      if (kept !== undefined) this.#kept.delete(subject);
      return undefined;
    }
    const evidence = addUp(reports, { otherNodes: this.#digests.nodeCount(nowMs), region: this.#region });
    this.#kept.set(subject, { evidence, untilMs: nowMs + KEPT_MS });
    return evidence;
  }

  /** Something new was heard. */
  refresh(): void {
    this.#kept.clear();
  }
}

/** The order of the reports makes no difference but for rounding. */
export function addUp(
  heard: readonly HeardReport[],
  { otherNodes, region }: { otherNodes: number; region: string },
): RemoteEvidence {
  const counts = new Array<number>(latencyBuckets).fill(0);
  for (const { report } of heard) {
    for (const [bucket, count] of report.firstBytes.entries()) counts[bucket]! += count;
  }
  const sum = (figure: (one: HeardReport['report']) => number) =>
    heard.reduce((total, { report }) => total + figure(report), 0);
  const headrooms = heard.flatMap(({ report }) => (report.headroom === undefined ? [] : [report.headroom]));
  return {
    otherNodes,
    seen: sum(({ seen }) => seen),
    failed: sum(({ failed }) => failed),
    latencyMs: average(heard, ({ latencyMs }) => latencyMs),
    firstByteMs: average(heard, ({ firstByteMs }) => firstByteMs),
    firstByteP50Ms: percentileOf(counts, P50),
    firstByteP95Ms: percentileOf(counts, P95),
    requestsPerMinute: sum(({ requestsPerMinute }) => requestsPerMinute),
    tokensPerMinute: sum(({ tokensPerMinute }) => tokensPerMinute),
    errorsPerMinute: sum(({ errorsPerMinute }) => errorsPerMinute),
    rateLimitedPerMinute: sum(({ rateLimitedPerMinute }) => rateLimitedPerMinute),
    headroom: headrooms.length === 0 ? undefined : Math.min(...headrooms),
    restUntilMs: Math.max(
      0,
      ...heard.map(({ atMs, report }) => (report.restMs > 0 ? atMs + report.restMs : 0)),
    ),
    troubles: heard.flatMap((each) => troubleOf(each, region)),
  };
}

function troubleOf({ atMs, report, region: there }: HeardReport, here: string): Trouble[] {
  if (report.breaker === 'closed') return [];
  const { seen, failed, troubledMs, openMs } = report;
  return [{ sinceMs: atMs - troubledMs, openUntilMs: atMs + openMs, isNear: there === here, seen, failed }];
}

/** Whoever has seen more says more. */
function average(
  heard: readonly HeardReport[],
  figure: (report: HeardReport['report']) => number | undefined,
): number | undefined {
  let weight = 0;
  let total = 0;
  for (const { report } of heard) {
    const value = figure(report);
    if (value === undefined || report.seen <= 0) continue;
    weight += report.seen;
    total += value * report.seen;
  }
  return weight === 0 ? undefined : total / weight;
}
