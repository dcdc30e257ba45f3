// What one node tells the others about those it asks, between its own records and the wire. What comes in is checked value by value:
// a digest with a wrong name in it is refused, a number that makes no sense becomes the nearest that does. What goes out is cut to a
// size that any listener takes; the most troubled and the most used are told first.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  HealthDigestSchema,
  Reach,
  type SubjectHealth,
  SubjectHealthSchema,
  BreakerState as WireBreaker,
} from '#proto/signalbox/health/v1/health_pb.ts';
import { limits } from '../limits.ts';
import { latencyBuckets } from './latency-buckets.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

/** One of those that answer, as one node sees it at the moment of the digest. Times are durations from that moment. */
export interface SubjectReport {
  /** `key:…`, `deployment:…`, `provider:…`. */
  readonly subject: string;
  readonly seen: number;
  readonly failed: number;
  /** Requests that ended in an answer or a failure, and those in a failure, whoever it was counted against. */
  readonly ended: number;
  readonly endedWrong: number;
  readonly failuresInARow: number;
  readonly inFlight: number;
  readonly breaker: BreakerState;
  readonly openMs: number;
  /** For how long it has been failing; 0 when it is not. */
  readonly troubledMs: number;
  readonly restMs: number;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly errorsPerMinute: number;
  readonly rateLimitedPerMinute: number;
  readonly latencyMs: number | undefined;
  readonly firstByteMs: number | undefined;
  /** By bucket of shared/health/latency-buckets.ts; empty when nothing was counted. */
  readonly firstBytes: readonly number[];
  readonly headroom: number | undefined;
  /** What a probe found; undefined when there was none lately. */
  readonly isReachable: boolean | undefined;
}

export interface HealthDigest {
  readonly nodeId: string;
  readonly region: string;
  readonly boot: bigint;
  readonly sequence: bigint;
  readonly subjects: readonly SubjectReport[];
}

const toWire: Readonly<Record<BreakerState, WireBreaker>> = {
  closed: WireBreaker.CLOSED,
  open: WireBreaker.OPEN,
  'half-open': WireBreaker.HALF_OPEN,
};
const fromWire: Readonly<Partial<Record<WireBreaker, BreakerState>>> = {
  [WireBreaker.CLOSED]: 'closed',
  [WireBreaker.OPEN]: 'open',
  [WireBreaker.HALF_OPEN]: 'half-open',
};

/** At most so many subjects and bytes as limits allow; what has no room is left out, the least important first. */
export function encodeDigest(digest: HealthDigest): Uint8Array {
  const { nodeId, region, boot, sequence, subjects } = digest;
  let told = subjects
    .toSorted((one, other) => importance(other) - importance(one))
    .slice(0, limits.healthSubjectsPerDigestMax);
  for (;;) {
    const message = create(HealthDigestSchema, {
      nodeId,
      region,
      boot,
      sequence,
      subjects: told.map(toMessage),
    });
    const bytes = toBinary(HealthDigestSchema, message);
    if (bytes.byteLength <= limits.healthDigestBytesMax || told.length === 0) return bytes;
    told = told.slice(0, Math.floor(told.length / 2));
  }
}

/** Undefined for what is no digest of a node. */
export function decodeDigest(bytes: Uint8Array): HealthDigest | undefined {
  if (bytes.byteLength > limits.healthDigestBytesMax) return undefined;
  try {
    const { nodeId, region, boot, sequence, subjects } = fromBinary(HealthDigestSchema, bytes);
    if (!isName(nodeId, limits.nameLengthMax) || region.length > limits.nameLengthMax) return undefined;
    if (subjects.length > limits.healthSubjectsPerDigestMax) return undefined;
    const told = subjects.map(fromMessage);
    if (told.some(({ subject }) => !isSubject(subject))) return undefined;
    return { nodeId, region, boot, sequence, subjects: told };
  } catch {
    return undefined;
  }
}

/** Whoever is ill is news; then the busiest. */
function importance({ breaker, restMs, troubledMs, requestsPerMinute }: SubjectReport): number {
  const isIll = breaker !== 'closed' || restMs > 0 || troubledMs > 0;
  return isIll ? Number.MAX_SAFE_INTEGER : requestsPerMinute;
}

function toMessage(report: SubjectReport) {
  const { breaker, latencyMs, firstByteMs, firstBytes, headroom, isReachable, ...rest } = report;
  const filled = firstBytes.flatMap((count, bucket) => (count > 0 ? [bucket] : []));
  return create(SubjectHealthSchema, {
    ...rest,
    failuresInARow: whole(rest.failuresInARow),
    inFlight: whole(rest.inFlight),
    openMs: whole(rest.openMs),
    troubledMs: whole(rest.troubledMs),
    restMs: whole(rest.restMs),
    breaker: toWire[breaker],
    latencyMs: latencyMs ?? 0,
    firstByteMs: firstByteMs ?? 0,
    firstByteBuckets: filled,
    firstByteCounts: filled.map((bucket) => firstBytes[bucket]!),
    ...(headroom !== undefined && { headroom }),
    reach: isReachable === undefined ? Reach.UNSPECIFIED : isReachable ? Reach.UP : Reach.DOWN,
  });
}

function fromMessage(message: SubjectHealth): SubjectReport {
  const seen = amount(message.seen);
  const ended = amount(message.ended);
  return {
    subject: message.subject,
    seen,
    failed: Math.min(amount(message.failed), seen),
    ended,
    endedWrong: Math.min(amount(message.endedWrong), ended),
    failuresInARow: message.failuresInARow,
    inFlight: message.inFlight,
    breaker: fromWire[message.breaker] ?? 'closed',
    openMs: duration(message.openMs),
    troubledMs: message.troubledMs,
    restMs: duration(message.restMs),
    requestsPerMinute: amount(message.requestsPerMinute),
    tokensPerMinute: amount(message.tokensPerMinute),
    errorsPerMinute: amount(message.errorsPerMinute),
    rateLimitedPerMinute: amount(message.rateLimitedPerMinute),
    latencyMs: amount(message.latencyMs) || undefined,
    firstByteMs: amount(message.firstByteMs) || undefined,
    firstBytes: bucketsOf(message),
    headroom: message.headroom === undefined ? undefined : Math.min(amount(message.headroom), 1),
    isReachable: message.reach === Reach.UP ? true : message.reach === Reach.DOWN ? false : undefined,
  };
}

function bucketsOf({ firstByteBuckets, firstByteCounts }: SubjectHealth): readonly number[] {
  const pairs = Math.min(firstByteBuckets.length, firstByteCounts.length, latencyBuckets);
  if (pairs === 0) return [];
  const counts = new Array<number>(latencyBuckets).fill(0);
  for (let index = 0; index < pairs; index += 1) {
    const bucket = firstByteBuckets[index]!;
    if (bucket < latencyBuckets) counts[bucket] = amount(firstByteCounts[index]!);
  }
  return counts;
}

/** Beyond this a figure is a mistake, and sums of it would stop meaning anything. */
const AMOUNT_MAX = 1e12;
const UINT32_MAX = 0xff_ff_ff_ff;

function amount(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), AMOUNT_MAX) : 0;
}

function whole(value: number): number {
  return Math.min(Math.round(amount(value)), UINT32_MAX);
}

/** Nobody can shut anyone off for longer than a breaker or a rest of our own would. */
function duration(ms: number): number {
  return Math.min(ms, limits.healthRestMsMax);
}

function isSubject(text: string): boolean {
  return isName(text, limits.healthSubjectLengthMax) && /^(key|deployment|provider):./s.test(text);
}

function isName(text: string, lengthMax: number): boolean {
  return text !== '' && text.length <= lengthMax;
}
