// The newest digest of every node, for as long as it is worth believing. A digest is all that its node has to say, so taking one in
// replaces the one before: in whatever order digests arrive and however often, the same newest ones remain. A node that has fallen
// silent is forgotten after three digests that did not come. Bounded in nodes.
import { limits } from '../limits.ts';
import type { HealthDigest, SubjectReport } from './digest.ts';

export interface HeardDigest {
  readonly digest: HealthDigest;
  readonly atMs: number;
}

export interface HeardReport {
  readonly nodeId: string;
  readonly region: string;
  /** When the digest with it arrived, by the clock here. */
  readonly atMs: number;
  readonly report: SubjectReport;
}

/** Known is what the same node has said already, or after which it has said something newer. */
export type Finding = 'taken' | 'known' | 'refused';

export class DigestBook {
  readonly #lifeMs: number;
  readonly #heard = new Map<string, HeardDigest>();
  readonly #bySubject = new Map<string, Map<string, HeardReport>>();
  /** Before this nobody's digest can have expired; the book is looked into with every choice that is made. */
  #forgetAtMs = Number.NEGATIVE_INFINITY;

  constructor({ lifeMs = limits.healthDigestLifeMs }: { lifeMs?: number } = {}) {
    this.#lifeMs = lifeMs;
  }

  /** Refused is what a node said before it was last started, and another node when there is no room for it. */
  take(digest: HealthDigest, nowMs: number): Finding {
    this.#forget(nowMs);
    const known = this.#heard.get(digest.nodeId);
    if (known === undefined && this.#heard.size >= limits.healthNodesMax) return 'refused';
    if (known !== undefined) {
      const { boot, sequence } = known.digest;
      if (digest.boot < boot) return 'refused';
      if (digest.boot === boot && digest.sequence <= sequence) return 'known';
      this.#remove(known.digest);
    }
    this.#heard.set(digest.nodeId, { digest, atMs: nowMs });
    const { nodeId, region } = digest;
    for (const report of digest.subjects) {
      const heard = this.#bySubject.get(report.subject) ?? new Map<string, HeardReport>();
      heard.set(nodeId, { nodeId, region, atMs: nowMs, report });
      this.#bySubject.set(report.subject, heard);
    }
    return 'taken';
  }

  /** In the order of their names. */
  nodes(nowMs: number): readonly HeardDigest[] {
    this.#forget(nowMs);
    return [...this.#heard.values()].toSorted((one, other) =>
      one.digest.nodeId < other.digest.nodeId ? -1 : 1,
    );
  }

  /** How many nodes have been heard of lately. */
  nodeCount(nowMs: number): number {
    this.#forget(nowMs);
    return this.#heard.size;
  }

  /** What each node says of it, in the order of their names. */
  reportsOn(subject: string, nowMs: number): readonly HeardReport[] {
    this.#forget(nowMs);
    const heard = this.#bySubject.get(subject);
    if (heard === undefined) return [];
    return [...heard.values()].toSorted((one, other) => (one.nodeId < other.nodeId ? -1 : 1));
  }

  #forget(nowMs: number): void {
    if (nowMs < this.#forgetAtMs) return;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const [nodeId, { digest, atMs }] of this.#heard) {
      if (nowMs - atMs < this.#lifeMs) {
        earliestMs = Math.min(earliestMs, atMs);
        continue;
      }
      this.#heard.delete(nodeId);
      this.#remove(digest);
    }
    this.#forgetAtMs = Math.min(earliestMs, nowMs) + this.#lifeMs;
  }

  #remove({ nodeId, subjects }: HealthDigest): void {
    for (const { subject } of subjects) {
      const heard = this.#bySubject.get(subject);
      heard?.delete(nodeId);
      if (heard?.size === 0) this.#bySubject.delete(subject);
    }
  }
}
