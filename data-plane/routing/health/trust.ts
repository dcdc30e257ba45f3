// How far to believe other nodes. What a node sees for itself is truer: the others may be on another continent, or ill themselves. So
// their figures weigh less than its own, and nobody is shut off because of one node's trouble:
//
//   nobody else has trouble, or own requests succeed although they do ─▶ trusting
//   one other node has shut someone off ──────────────────────────────▶ cautious: one request at a time finds out
//   two of its region see it fail, this one counted, or the only other ▶ avoiding, until their pauses are over
//
// Another region's trouble may be its network's, so it only makes cautious. And however many agree, after a minute of avoiding one request
// looks for itself: who has been shut out by mistake must not stay so.
//
// A rest is different: a limit or a refused key belongs to the account, so whoever was told speaks for all. Pure.
import { limits } from '#shared/limits.ts';
import type { Vitals } from './vitals.ts';

/** What other nodes say of someone. */
export interface RemoteEvidence {
  /** How many other nodes there are, whether or not they say something of this one. */
  readonly otherNodes: number;
  readonly seen: number;
  readonly failed: number;
  readonly latencyMs: number | undefined;
  readonly firstByteMs: number | undefined;
  readonly firstByteP50Ms: number | undefined;
  readonly firstByteP95Ms: number | undefined;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number;
  readonly errorsPerMinute: number;
  readonly rateLimitedPerMinute: number;
  readonly headroom: number | undefined;
  /** By the clock here; 0 when it may be asked. */
  readonly restUntilMs: number;
  /** The nodes that have shut it off. */
  readonly troubles: readonly Trouble[];
}

export interface Trouble {
  /** Since when it has been failing there, and until when that node does not ask, by the clock here. */
  readonly sinceMs: number;
  readonly openUntilMs: number;
  /** Whether that node is in this one's region. */
  readonly isNear: boolean;
  readonly seen: number;
  readonly failed: number;
}

export interface OtherNodes {
  /** Undefined when they say nothing of it. */
  evidenceOn(subject: string, nowMs: number): RemoteEvidence | undefined;
}

/** What this node's own requests tell; -Infinity for never. */
export interface OwnExperience {
  readonly lastSuccessMs: number;
  readonly lastFailureMs: number;
  readonly lastBegunMs: number;
}

export const noExperience: OwnExperience = Object.freeze({
  lastSuccessMs: Number.NEGATIVE_INFINITY,
  lastFailureMs: Number.NEGATIVE_INFINITY,
  lastBegunMs: Number.NEGATIVE_INFINITY,
});

export type Stance =
  | { readonly kind: 'trusting' }
  | { readonly kind: 'cautious' }
  | { readonly kind: 'avoiding'; readonly untilMs: number };

const trusting: Stance = Object.freeze({ kind: 'trusting' });
const cautious: Stance = Object.freeze({ kind: 'cautious' });
const WITNESSES_MIN = 2;

export function stanceTowards(
  { troubles, otherNodes }: Pick<RemoteEvidence, 'troubles' | 'otherNodes'>,
  own: OwnExperience,
  nowMs: number,
): Stance {
  const believed = troubles.filter((trouble) => !isRefuted(trouble, own, nowMs));
  if (believed.length === 0) return trusting;
  const pauses = believed
    .filter(({ isNear, openUntilMs }) => isNear && nowMs < openUntilMs)
    .map(({ openUntilMs }) => openUntilMs);
  const needed = otherNodes === 1 ? 1 : WITNESSES_MIN - (isFailingHere(own, nowMs) ? 1 : 0);
  const untilMs = pauses.toSorted((one, other) => other - one)[needed - 1];
  if (untilMs === undefined || isOverdue(believed, own, nowMs)) return cautious;
  return { kind: 'avoiding', untilMs };
}

/** It has been going on for so long, and nobody here has looked for as long. */
function isOverdue(troubles: readonly Trouble[], { lastBegunMs }: OwnExperience, nowMs: number): boolean {
  const sinceMs = Math.min(...troubles.map((trouble) => trouble.sinceMs));
  return nowMs - Math.max(sinceMs, lastBegunMs) >= limits.breakerPauseMsMax;
}

/** The figures of this node with those of the others worked in. */
export function withOthers(
  vitals: Vitals,
  evidence: RemoteEvidence,
  own: OwnExperience,
  nowMs: number,
): Vitals {
  const remote = believedEvidence(evidence, own, nowMs);
  const weight = Math.min(remote.seen * SHARE_OF_A_VOICE, Math.max(vitals.weight, limits.breakerEvidenceMin));
  const blend = (mine: number | undefined, theirs: number | undefined) =>
    mix({ value: mine, weight: vitals.weight }, { value: theirs, weight });
  const stance = stanceTowards(evidence, own, nowMs);
  const restUntilMs = vitals.subject.startsWith('key:') ? evidence.restUntilMs : 0;
  return {
    ...vitals,
    weight: vitals.weight + weight,
    successShare: blend(vitals.weight === 0 ? undefined : vitals.successShare, successShareOf(remote)) ?? 1,
    latencyMs: blend(vitals.latencyMs, evidence.latencyMs),
    firstByteMs: blend(vitals.firstByteMs, evidence.firstByteMs),
    firstByteP50Ms: blend(vitals.firstByteP50Ms, evidence.firstByteP50Ms),
    firstByteP95Ms: blend(vitals.firstByteP95Ms, evidence.firstByteP95Ms),
    breaker: breakerWith(vitals.breaker, stance),
    coolingUntilMs: Math.max(
      vitals.coolingUntilMs,
      restUntilMs,
      stance.kind === 'avoiding' ? stance.untilMs : 0,
    ),
    warmth: stance.kind === 'trusting' ? vitals.warmth : Math.min(vitals.warmth, WARMTH_IN_DOUBT),
    // An account's limits count what all of them send together.
    requestsPerMinute: vitals.requestsPerMinute + evidence.requestsPerMinute,
    tokensPerMinute: vitals.tokensPerMinute + evidence.tokensPerMinute,
    errorsPerMinute: vitals.errorsPerMinute + evidence.errorsPerMinute,
    rateLimitedPerMinute: vitals.rateLimitedPerMinute + evidence.rateLimitedPerMinute,
    headroom: lower(vitals.headroom, evidence.headroom),
  };
}

const SHARE_OF_A_VOICE = 0.5;
const WARMTH_IN_DOUBT = 0.1;

/** An answer that came after the trouble there had begun, and not long ago. */
function isRefuted({ sinceMs }: Trouble, { lastSuccessMs }: OwnExperience, nowMs: number): boolean {
  return lastSuccessMs > sinceMs && nowMs - lastSuccessMs < limits.healthHalfLifeMs;
}

function isFailingHere({ lastSuccessMs, lastFailureMs }: OwnExperience, nowMs: number): boolean {
  return lastFailureMs > lastSuccessMs && nowMs - lastFailureMs < limits.healthHalfLifeMs;
}

/** Without those whose trouble is their own. */
function believedEvidence(
  { seen, failed, troubles }: RemoteEvidence,
  own: OwnExperience,
  nowMs: number,
): { readonly seen: number; readonly failed: number } {
  const refuted = troubles.filter((trouble) => isRefuted(trouble, own, nowMs));
  return {
    seen: refuted.reduce((left, trouble) => left - trouble.seen, seen),
    failed: refuted.reduce((left, trouble) => left - trouble.failed, failed),
  };
}

function successShareOf({ seen, failed }: { seen: number; failed: number }): number | undefined {
  return seen <= 0 ? undefined : Math.min(1, Math.max(0, 1 - failed / seen));
}

function breakerWith(breaker: Vitals['breaker'], { kind }: Stance): Vitals['breaker'] {
  if (breaker === 'open' || kind === 'avoiding') return 'open';
  return kind === 'cautious' ? 'half-open' : breaker;
}

interface Weighed {
  readonly value: number | undefined;
  readonly weight: number;
}

function mix(mine: Weighed, theirs: Weighed): number | undefined {
  if (mine.value === undefined || mine.weight <= 0) return theirs.value ?? mine.value;
  if (theirs.value === undefined || theirs.weight <= 0) return mine.value;
  return (mine.value * mine.weight + theirs.value * theirs.weight) / (mine.weight + theirs.weight);
}

function lower(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}
