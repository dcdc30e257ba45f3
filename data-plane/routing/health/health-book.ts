// What this node has seen of everyone it asks. Each attempt is told here when it goes out and when it ends, and counts for the key, the
// deployment and the provider it used. It lives outside the snapshot, because a change of configuration must not forget who is ill,
// and it forgets by itself whom nobody has asked for a while.

import type { SubjectReport } from '#shared/health/digest.ts';
import { limits } from '#shared/limits.ts';
import { type Failure, isOvertaken } from './blame.ts';
import {
  type Breaker,
  type BreakerSettings,
  breakerAt,
  closedBreaker,
  ended,
  hastened,
  isNewsTo,
  mayPass,
  type ProbeOutcome,
  passed,
} from './breaker.ts';
import { DecayingDigest, DecayingSum, PeakAverage } from './decaying.ts';
import { Experience } from './experience.ts';
import { noExperience, type OtherNodes, stanceTowards, withOthers } from './trust.ts';
import { type Subject, unknownVitals, type Vitals } from './vitals.ts';
import { Waiting } from './waiting.ts';

export interface HealthSettings extends BreakerSettings {
  /** After this long an observation counts half. */
  readonly halfLifeMs: number;
  /** How long someone who has recovered gets less than its share. */
  readonly slowStartMs: number;
  /** Whom nobody has asked for so long is forgotten. */
  readonly forgetMs: number;
}

/** How an attempt ended, as far as it says something about whom it asked. */
export interface AttemptEnd {
  readonly nowMs: number;
  readonly outcome: ProbeOutcome;
  readonly latencyMs: number;
  readonly isStream: boolean;
  /** As `answering` was told before; undefined when there was none. */
  readonly firstByteMs: number | undefined;
  readonly tokens: number;
  readonly error: Failure | undefined;
}

const MINUTE_MS = 60_000;
/** A decaying sum with this half-life counts about what a window of a minute would. */
const MINUTE_HALF_LIFE_MS = MINUTE_MS * Math.LN2;
/** Speed changes faster than reliability, and there is news of it with every answer: it is forgotten so much sooner. */
const LATENCY_PACE = 3;
/** Someone who has just come back starts with this share. */
const WARMTH_MIN = 0.1;
const P50 = 0.5;
const P95 = 0.95;

export class HealthBook {
  readonly #settings: HealthSettings;
  readonly #records = new Map<Subject, HealthRecord>();
  #sweepAtMs = 0;
  #others: OtherNodes | undefined;
  #onTrouble: () => void = () => {};

  constructor(settings: HealthSettings) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#records.size;
  }

  subjects(): readonly Subject[] {
    return [...this.#records.keys()];
  }

  /** From now on, what other nodes say counts too, and they are to be told when somebody is found to be ill. */
  share({ others, onTrouble }: { others: OtherNodes; onTrouble: () => void }): void {
    this.#others = others;
    this.#onTrouble = onTrouble;
  }

  read(subject: Subject, nowMs: number): Vitals {
    const record = this.#records.get(subject);
    const own = record === undefined ? unknownVitals(subject) : record.read(nowMs);
    const evidence = this.#others?.evidenceOn(subject, nowMs);
    return evidence === undefined
      ? own
      : withOthers(own, evidence, record?.experience ?? noExperience, nowMs);
  }

  /** What this node itself has seen lately, to be told to others. */
  report(nowMs: number): readonly SubjectReport[] {
    return [...this.#records.values()].flatMap((record) => record.report(nowMs));
  }

  /** What a free probe of a provider found, with everyone who can be reached only if it can. */
  noteReach(subjects: readonly [Subject, ...Subject[]], isUp: boolean, nowMs: number): void {
    this.#record(subjects[0], nowMs);
    for (const subject of subjects) this.#records.get(subject)?.noteReach(isUp, nowMs);
  }

  /** How long it is still resting; 0 when it is not. */
  restMs(subject: Subject, nowMs: number): number {
    return this.#records.get(subject)?.restMs(nowMs) ?? 0;
  }

  /** Whether it may be asked now, as far as its breaker and its rest are concerned. */
  isAvailable(subject: Subject, nowMs: number): boolean {
    const record = this.#records.get(subject);
    if (record?.isAvailable(nowMs) === false) return false;
    const stance = this.#stance(subject, record, nowMs);
    if (stance === 'avoiding') return false;
    return stance === 'trusting' || (record?.experience.mayProbe ?? true);
  }

  began(subjects: readonly Subject[], isStream: boolean, nowMs: number): void {
    this.#forgetIdle(nowMs);
    for (const subject of subjects) {
      const record = this.#record(subject, nowMs);
      record.experience.began(this.#stance(subject, record, nowMs) === 'cautious', nowMs);
      record.began(isStream, nowMs);
    }
  }

  /** An attempt hears the first of its answer, so long after it began. At most once, and before it has ended. */
  answering(subjects: readonly Subject[], isStream: boolean, waitedMs: number, nowMs: number): void {
    for (const subject of subjects) this.#records.get(subject)?.answering(isStream, waitedMs, nowMs);
  }

  /** Once for every `began`, with the same subjects. */
  ended(subjects: readonly Subject[], end: AttemptEnd): void {
    for (const subject of subjects)
      if (this.#records.get(subject)?.ended(end) === 'opened') this.#onTrouble();
  }

  /** Not to be asked before this: it said so itself, or its key was refused. */
  rest(subject: Subject, untilMs: number, nowMs: number): void {
    if (this.#record(subject, nowMs).rest(untilMs, nowMs) === 'began') this.#onTrouble();
  }

  /** What the provider's headers said of its limits. */
  noteHeadroom(subject: Subject, headroom: number, nowMs: number): void {
    this.#record(subject, nowMs).noteHeadroom(headroom, nowMs);
  }

  #stance(subject: Subject, record: HealthRecord | undefined, nowMs: number) {
    const evidence = this.#others?.evidenceOn(subject, nowMs);
    if (evidence === undefined) return 'trusting';
    return stanceTowards(evidence, record?.experience ?? noExperience, nowMs).kind;
  }

  #record(subject: Subject, nowMs: number): HealthRecord {
    const known = this.#records.get(subject);
    if (known !== undefined) return known;
    const fresh = new HealthRecord(subject, this.#settings, nowMs);
    this.#records.set(subject, fresh);
    return fresh;
  }

  #forgetIdle(nowMs: number): void {
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + MINUTE_MS;
    for (const [subject, record] of this.#records) if (record.isIdle(nowMs)) this.#records.delete(subject);
  }
}

class HealthRecord {
  readonly experience = new Experience();
  readonly #subject: Subject;
  readonly #settings: HealthSettings;
  readonly #seen: DecayingSum;
  readonly #failed: DecayingSum;
  readonly #latency: PeakAverage;
  readonly #firstByte: PeakAverage;
  readonly #firstBytes: DecayingDigest;
  readonly #waiting: Waiting;
  readonly #requests = new DecayingSum(MINUTE_HALF_LIFE_MS);
  readonly #tokens = new DecayingSum(MINUTE_HALF_LIFE_MS);
  readonly #errors = new DecayingSum(MINUTE_HALF_LIFE_MS);
  #breaker: Breaker = closedBreaker;
  #inFlight = 0;
  #failuresInARow = 0;
  #restUntilMs = 0;
  #headroom: { readonly value: number; readonly atMs: number } | undefined;
  #touchedAtMs: number;

  constructor(subject: Subject, settings: HealthSettings, nowMs: number) {
    const { halfLifeMs } = settings;
    this.#subject = subject;
    this.#settings = settings;
    this.#seen = new DecayingSum(halfLifeMs);
    this.#failed = new DecayingSum(halfLifeMs);
    this.#latency = new PeakAverage(halfLifeMs / LATENCY_PACE);
    this.#firstByte = new PeakAverage(halfLifeMs / LATENCY_PACE);
    this.#firstBytes = new DecayingDigest(halfLifeMs);
    this.#waiting = new Waiting(halfLifeMs);
    this.#touchedAtMs = nowMs;
  }

  began(isStream: boolean, nowMs: number): void {
    this.#touchedAtMs = nowMs;
    this.#inFlight += 1;
    this.#requests.add(1, nowMs);
    this.#waiting.began(isStream, nowMs);
    this.#breaker = passed(breakerAt(this.#breaker, nowMs));
  }

  answering(isStream: boolean, waitedMs: number, nowMs: number): void {
    this.#waiting.answered(isStream, waitedMs, nowMs);
    if (!isStream) return;
    this.#firstByte.add(waitedMs, nowMs);
    this.#firstBytes.add(waitedMs, nowMs);
  }

  ended(end: AttemptEnd): 'opened' | undefined {
    const { nowMs, outcome } = end;
    this.#touchedAtMs = nowMs;
    if (end.firstByteMs === undefined) this.#waiting.gaveUp(end.isStream, end.latencyMs, nowMs);
    if (end.error !== undefined && isOvertaken(end.error)) this.#outlast(end);
    this.#inFlight = Math.max(0, this.#inFlight - 1);
    this.#tokens.add(end.tokens, nowMs);
    if (outcome !== 'unknown') this.#learn(end);
    const weight = this.#seen.read(nowMs);
    const evidence = {
      failuresInARow: this.#failuresInARow,
      weight,
      failureShare: weight === 0 ? 0 : this.#failed.read(nowMs) / weight,
    };
    const before = breakerAt(this.#breaker, nowMs);
    const isNews = isNewsTo(before, nowMs - end.latencyMs);
    this.#breaker = isNews ? ended(before, outcome, evidence, nowMs, this.#settings) : before;
    const { state } = this.#breaker;
    this.experience.ended(end, state === 'closed');
    if (state !== 'open' || before.state === 'open') return undefined;
    this.experience.opened();
    return 'opened';
  }

  rest(untilMs: number, nowMs: number): 'began' | undefined {
    const isResting = nowMs < this.#restUntilMs;
    this.#restUntilMs = Math.max(this.#restUntilMs, untilMs);
    return !isResting && nowMs < untilMs ? 'began' : undefined;
  }

  noteReach(isUp: boolean, nowMs: number): void {
    if (this.experience.noteReach(isUp, nowMs)) this.#breaker = hastened(this.#breaker, nowMs);
  }

  noteHeadroom(value: number, atMs: number): void {
    this.#headroom = { value, atMs };
  }

  restMs(nowMs: number): number {
    return Math.max(0, this.#restUntilMs - nowMs);
  }

  isAvailable(nowMs: number): boolean {
    return nowMs >= this.#restUntilMs && mayPass(breakerAt(this.#breaker, nowMs), this.#settings);
  }

  isIdle(nowMs: number): boolean {
    return (
      this.#inFlight === 0 && nowMs - this.#touchedAtMs > this.#settings.forgetMs && this.isAvailable(nowMs)
    );
  }

  /** Nothing when it has not been asked lately and nothing is the matter with it. */
  report(nowMs: number): SubjectReport[] {
    const vitals = this.read(nowMs);
    const { breaker, isReachable, inFlight } = vitals;
    const isRecent = inFlight > 0 || nowMs - this.#touchedAtMs < limits.healthRecentMs;
    if (!isRecent && nowMs >= vitals.coolingUntilMs && isReachable === undefined) return [];
    return [
      {
        subject: this.#subject,
        seen: vitals.weight,
        failed: this.#failed.read(nowMs),
        ...this.experience.endings(nowMs),
        failuresInARow: vitals.consecutiveFailures,
        inFlight,
        // Half open and not asked for long: an opinion that is too old to be told.
        breaker: breaker === 'half-open' && !isRecent ? 'closed' : breaker,
        openMs: breaker === 'open' ? Math.max(0, this.#breaker.openUntilMs - nowMs) : 0,
        troubledMs: this.experience.troubledMs(nowMs),
        restMs: Math.max(0, this.#restUntilMs - nowMs),
        requestsPerMinute: vitals.requestsPerMinute,
        tokensPerMinute: vitals.tokensPerMinute,
        errorsPerMinute: vitals.errorsPerMinute,
        rateLimitedPerMinute: vitals.rateLimitedPerMinute,
        latencyMs: vitals.latencyMs,
        firstByteMs: vitals.firstByteMs,
        firstBytes: this.#subject.startsWith('key:') ? [] : this.#firstBytes.counts(nowMs),
        headroom: vitals.headroom,
        isReachable,
      },
    ];
  }

  read(nowMs: number): Vitals {
    const weight = this.#seen.read(nowMs);
    const breaker = breakerAt(this.#breaker, nowMs);
    const isFresh = this.#headroom !== undefined && nowMs - this.#headroom.atMs < MINUTE_MS;
    return {
      subject: this.#subject,
      weight,
      successShare: weight === 0 ? 1 : Math.max(0, 1 - this.#failed.read(nowMs) / weight),
      latencyMs: this.#latency.read(),
      firstByteMs: this.#firstByte.read(),
      firstByteP50Ms: this.#firstBytes.percentile(P50),
      firstByteP95Ms: this.#firstBytes.percentile(P95),
      stalling: this.#waiting.stalling(nowMs),
      inFlight: this.#inFlight,
      consecutiveFailures: this.#failuresInARow,
      breaker: breaker.state,
      coolingUntilMs: Math.max(this.#restUntilMs, breaker.state === 'open' ? breaker.openUntilMs : 0),
      warmth: this.#warmth(breaker, nowMs),
      requestsPerMinute: this.#requests.read(nowMs),
      tokensPerMinute: this.#tokens.read(nowMs),
      errorsPerMinute: this.#errors.read(nowMs),
      rateLimitedPerMinute: this.experience.limitedPerMinute(nowMs),
      headroom: isFresh ? this.#headroom!.value : undefined,
      isReachable: this.experience.isReachable(nowMs),
    };
  }

  #learn({ nowMs, outcome, latencyMs }: AttemptEnd): void {
    this.#seen.add(1, nowMs);
    if (outcome === 'failure') {
      this.#failuresInARow += 1;
      this.#failed.add(1, nowMs);
      this.#errors.add(1, nowMs);
      return;
    }
    this.#failuresInARow = 0;
    this.#latency.add(latencyMs, nowMs);
  }

  /**
   * Another was faster. Nobody is to blame for that, but it has taken at least so long, which must not be forgotten: the slowest are
   * overtaken most, and if they did not count, the slow would look fast and everybody would be overtaken sooner and sooner.
   */
  #outlast({ nowMs, latencyMs, isStream, firstByteMs }: AttemptEnd): void {
    this.#latency.addAtLeast(latencyMs, nowMs);
    if (!isStream || firstByteMs !== undefined) return;
    this.#firstByte.addAtLeast(latencyMs, nowMs);
    this.#firstBytes.addAtLeast(latencyMs, nowMs);
  }

  /** From a tenth to one, evenly over the slow start. */
  #warmth({ state, closedAtMs }: Breaker, nowMs: number): number {
    if (state !== 'closed' || this.experience.isReachable(nowMs) === false) return WARMTH_MIN;
    if (closedAtMs === 0) return 1;
    return Math.min(1, Math.max(WARMTH_MIN, (nowMs - closedAtMs) / this.#settings.slowStartMs));
  }
}
