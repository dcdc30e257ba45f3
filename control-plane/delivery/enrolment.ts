// Who may speak: the join tokens that let a machine become a node, and the certificates that nodes have afterwards. Where
// streams are plain, on loopback, the join token itself is shown with every stream.
import { timingSafeEqual } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { JoinRequest, RenewRequest } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { Clock } from '#shared/clock.ts';
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import { type Actor, systemActor } from '../domain/actor.ts';
import type { Db } from '../store/database.ts';
import {
  createJoinToken,
  findJoinToken,
  hashJoinToken,
  type JoinTokenRow,
  listUsableJoinTokens,
  revokeOtherJoinTokens,
} from '../store/join-tokens.ts';
import { StreamGate } from './admission.ts';
import { type Authority, isNodeId, isProofOfPossession } from './authority.ts';

export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly authorityPem: string;
}

export interface JoinTokenInput {
  readonly label: string;
  readonly ttlMs: number;
  /** Whether this one takes the place of every other token with its label. */
  readonly replaces?: boolean;
  /** Who asked, for the audit log; nobody in particular when left out. */
  readonly actor?: Actor;
}

export interface IssuedJoinToken {
  /** Shown once. */
  readonly token: string;
  readonly row: JoinTokenRow;
}

/** A token that is known already need not wait longer for a database that does not answer. */
const DATABASE_MS_MAX = 1_000;
const bearer = /^Bearer (sbj-\S{1,200})$/;

export class Enrolment {
  readonly #db: Db;
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Guesses cost a query and a signature check each. */
  readonly #gate = new StreamGate({ perSecond: limits.syncNewStreamsPerSecond });
  /** By hash, as last seen: what decides while the database is away. */
  readonly #tokens = new Map<string, JoinTokenRow>();

  constructor(given: { db: Db; authority: Authority; clock: Clock; log: Logger }) {
    this.#db = given.db;
    this.#authority = given.authority;
    this.#clock = given.clock;
    this.#log = given.log;
  }

  async loadTokens(): Promise<void> {
    for (const row of await listUsableJoinTokens(this.#db, this.#now())) this.#remember(row);
  }

  async issue({
    label,
    ttlMs,
    replaces = false,
    actor = systemActor,
  }: JoinTokenInput): Promise<IssuedJoinToken> {
    const now = this.#now();
    const expiresAt = new Date(now.getTime() + ttlMs);
    const authorityHash = this.#authority.fingerprint;
    const { token, row } = await createJoinToken(this.#db, { label, expiresAt, authorityHash }, actor);
    this.#remember(row);
    if (replaces) {
      const revoked = await revokeOtherJoinTokens(this.#db, { label, keptId: row.id }, now, actor);
      for (const other of revoked) this.#remember(other);
    }
    return { token, row };
  }

  async join({ token, nodeId, publicKey, proof }: JoinRequest): Promise<IssuedCertificate> {
    const admission = this.#gate.ask(nodeId, this.#clock.monotonicMs());
    if (!admission.admitted) {
      throw new ConnectError(
        `Too many nodes join at once. Try again in ${admission.retryAfterMs} ms.`,
        Code.ResourceExhausted,
      );
    }
    await this.requireToken(token);
    if (!isNodeId(nodeId)) {
      throw new ConnectError(
        'node_id is not valid: use letters, digits, ".", "_" and "-".',
        Code.InvalidArgument,
      );
    }
    if (!isProofOfPossession(publicKey, `signalbox-join|${nodeId}|${token}`, proof)) throw badProof();
    const issued = await this.#issueFor(nodeId, publicKey);
    this.#log.info({ node: nodeId }, 'a node has joined');
    return issued;
  }

  async renew(nodeId: string, { publicKey, proof }: RenewRequest): Promise<IssuedCertificate> {
    if (!isProofOfPossession(publicKey, `signalbox-renew|${nodeId}`, proof)) throw badProof();
    return this.#issueFor(nodeId, publicKey);
  }

  /** For plain streams: the token is in the `authorization` metadata. */
  async requireBearer(authorization: string | null): Promise<void> {
    const token = bearer.exec(authorization ?? '')?.[1];
    if (token !== undefined) return this.requireToken(token);
    throw new ConnectError('Send a join token as "authorization: Bearer sbj-…".', Code.Unauthenticated);
  }

  async requireToken(token: string): Promise<void> {
    const hash = hashJoinToken(token);
    const row = await this.#find(hash);
    if (row === undefined || !timingSafeEqual(row.hash, hash)) {
      throw new ConnectError('The join token is not known here. Create a new one.', Code.Unauthenticated);
    }
    if (row.revoked_at !== null) {
      throw new ConnectError('The join token was withdrawn. Create a new one.', Code.Unauthenticated);
    }
    if (row.expires_at <= this.#now()) {
      throw new ConnectError('The join token has expired. Create a new one.', Code.Unauthenticated);
    }
  }

  /** The database decides; while it does not answer, what it said last does. */
  async #find(hash: Buffer): Promise<JoinTokenRow | undefined> {
    const known = this.#tokens.get(hash.toString('hex'));
    const asked = findJoinToken(this.#db, hash);
    const late = new AbortController();
    try {
      const inTime = known === undefined ? [asked] : [asked, this.#afterAWhile(known, late.signal)];
      const row = await Promise.race(inTime);
      if (row !== undefined) this.#remember(row);
      return row;
    } catch (error) {
      if (known !== undefined) return known;
      throw new ConnectError(SignalboxError.from(error).message, Code.Unavailable);
    } finally {
      late.abort();
      asked.catch(() => undefined); // when it fails after we stopped waiting
    }
  }

  async #afterAWhile(known: JoinTokenRow, signal: AbortSignal): Promise<JoinTokenRow> {
    await delay(DATABASE_MS_MAX, undefined, { signal }).catch(() => undefined);
    return known;
  }

  async #issueFor(nodeId: string, publicKey: Uint8Array): Promise<IssuedCertificate> {
    try {
      const certificatePem = await this.#authority.issueNode(nodeId, publicKey);
      return { certificatePem, authorityPem: this.#authority.certificatePem };
    } catch {
      throw new ConnectError('public_key must be an EC P-256 key.', Code.InvalidArgument);
    }
  }

  #remember(row: JoinTokenRow): void {
    this.#tokens.set(row.hash.toString('hex'), row);
  }

  #now(): Date {
    return new Date(this.#clock.wallMs());
  }
}

function badProof(): ConnectError {
  return new ConnectError('proof is not a signature by the holder of public_key.', Code.Unauthenticated);
}
