// One attempt, as the health book hears of it: when it goes out, when the first byte comes, how it ends. It knows whom the attempt tells
// something about and whose fault a failure was, so that whoever makes attempts cannot count one of them wrongly or twice.
import type { Deployment, ProviderKey } from '../../snapshot/snapshot.ts';
import { deploymentSubject, keySubject, subjectsOf } from '../members.ts';
import { type Failure, outcomeFor, restAfter } from './blame.ts';
import { type LimitHeaders, noteHeaders } from './headroom.ts';
import type { HealthBook } from './health-book.ts';
import type { Subject, SubjectKind } from './vitals.ts';

interface WatchedTarget {
  readonly deployment: Deployment;
  /** Undefined for a provider that needs none. */
  readonly key: ProviderKey | undefined;
  readonly isStream: boolean;
}

export interface WatchedEnd {
  readonly nowMs: number;
  /** Undefined when the answer came whole. */
  readonly error: Failure | undefined;
  readonly tokens: number;
}

export class WatchedAttempt {
  readonly #health: HealthBook;
  readonly #target: WatchedTarget;
  readonly #subjects: readonly Subject[];
  readonly #startedMs: number;
  #firstByteMs: number | undefined;
  #isOver = false;

  constructor(health: HealthBook, target: WatchedTarget, nowMs: number) {
    this.#health = health;
    this.#target = target;
    this.#subjects = subjectsOf(target.deployment, target.key);
    this.#startedMs = nowMs;
    health.began(this.#subjects, target.isStream, nowMs);
  }

  firstByte(nowMs: number): void {
    if (this.#isOver || this.#firstByteMs !== undefined) return;
    this.#firstByteMs = nowMs - this.#startedMs;
    this.#health.answering(this.#subjects, this.#target.isStream, this.#firstByteMs, nowMs);
  }

  ended({ nowMs, error, tokens }: WatchedEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const subject of this.#subjects) {
      this.#health.ended([subject], {
        nowMs,
        outcome: outcomeFor(subject.slice(0, subject.indexOf(':')) as SubjectKind, error),
        latencyMs: nowMs - this.#startedMs,
        isStream: this.#target.isStream,
        firstByteMs: this.#firstByteMs,
        tokens,
        error,
      });
    }
    if (error !== undefined) this.#rest(error, nowMs);
  }

  /** What the provider's headers said of its limits. */
  noteHeaders(headers: LimitHeaders, nowMs: number): void {
    const { deployment, key } = this.#target;
    const subject = key === undefined ? deploymentSubject(deployment) : keySubject(key);
    const left = noteHeaders(this.#health, subject, headers, nowMs);
    if (left !== undefined) this.noteHeadroom(left, nowMs);
  }

  /** The share of its limits that is left to whoever was asked. */
  noteHeadroom(headroom: number, nowMs: number): void {
    const { deployment, key } = this.#target;
    this.#health.noteHeadroom(deploymentSubject(deployment), headroom, nowMs);
    if (key !== undefined) this.#health.noteHeadroom(keySubject(key), headroom, nowMs);
  }

  #rest(error: Failure, nowMs: number): void {
    const rest = restAfter(error, nowMs);
    if (rest === undefined) return;
    const { deployment, key } = this.#target;
    // Where there is no key to rest, the limit is the deployment's own.
    const subject =
      rest.kind === 'key' && key !== undefined ? keySubject(key) : deploymentSubject(deployment);
    this.#health.rest(subject, rest.untilMs, nowMs);
  }
}
