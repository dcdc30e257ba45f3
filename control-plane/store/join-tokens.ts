// Tokens that let a new data plane join: `sbj-`, 256 random bits, a dot, and the SHA-256 of the authority's public key, by
// which the node knows whom to trust before it trusts anyone. Stored is only a hash: a stolen database lets nobody join.
import { createHash, randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { prefixedId } from '#shared/ids.ts';
import type { Actor } from '../domain/actor.ts';
import { type Db, reachingDatabase } from './database.ts';
import type { JoinTokensTable } from './schema.ts';

export type JoinTokenRow = Selectable<JoinTokensTable>;

const PREFIX = 'sbj-';
const RANDOM_BYTES = 32;
// To the millisecond, as positions in the list are given out.
const createdAt = sql<Date>`date_trunc('milliseconds', created_at)`;

export function hashJoinToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

export interface NewJoinToken {
  readonly label: string;
  readonly expiresAt: Date;
  /** SHA-256 of the authority's SubjectPublicKeyInfo. */
  readonly authorityHash: Uint8Array;
}

/** The token itself is returned here and nowhere else, ever. */
export function createJoinToken(
  db: Db,
  given: NewJoinToken,
  actor: Actor,
): Promise<{ token: string; row: JoinTokenRow }> {
  const authority = Buffer.from(given.authorityHash).toString('hex');
  const token = `${PREFIX}${randomBytes(RANDOM_BYTES).toString('base64url')}.${authority}`;
  return reachingDatabase(() =>
    db.transaction().execute(async (transaction) => {
      const row = await transaction
        .insertInto('join_tokens')
        .values({
          id: prefixedId('join'),
          label: given.label,
          hash: hashJoinToken(token),
          expires_at: given.expiresAt,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      const { id, label, expires_at } = row;
      await writeAudit(
        transaction,
        { action: 'create', id, before: null, after: { id, label, expires_at } },
        actor,
      );
      return { token, row };
    }),
  );
}

export function findJoinToken(db: Db, hash: Buffer): Promise<JoinTokenRow | undefined> {
  return reachingDatabase(() =>
    db.selectFrom('join_tokens').selectAll().where('hash', '=', hash).executeTakeFirst(),
  );
}

/** Those a node may still present, for a replica that has to decide while the database is away. */
export function listUsableJoinTokens(db: Db, now: Date): Promise<JoinTokenRow[]> {
  return reachingDatabase(() =>
    db
      .selectFrom('join_tokens')
      .selectAll()
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', now)
      .execute(),
  );
}

/** Newest first, starting below the position `after`. */
export function listJoinTokens(
  db: Db,
  { after, limit }: { after: { createdAt: Date; id: string } | undefined; limit: number },
): Promise<JoinTokenRow[]> {
  return reachingDatabase(() =>
    db
      .selectFrom('join_tokens')
      .selectAll()
      .$if(after !== undefined, (query) =>
        query.where(sql<boolean>`(${createdAt}, id) < (${after!.createdAt}, ${after!.id})`),
      )
      .orderBy(createdAt, 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute(),
  );
}

/** Returns whether there was such a token. Withdrawing it again changes nothing. */
export function revokeJoinToken(db: Db, id: string, at: Date, actor: Actor): Promise<boolean> {
  return reachingDatabase(() =>
    db.transaction().execute(async (transaction) => {
      const row = await transaction
        .selectFrom('join_tokens')
        .selectAll()
        .where('id', '=', id)
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined || row.revoked_at !== null) return row !== undefined;
      await revoke(transaction, row, at, actor);
      return true;
    }),
  );
}

/** Withdraws what a node may still present under this label, except one token. Returns what was withdrawn. */
export function revokeOtherJoinTokens(
  db: Db,
  { label, keptId }: { label: string; keptId: string },
  at: Date,
  actor: Actor,
): Promise<JoinTokenRow[]> {
  return reachingDatabase(() =>
    db.transaction().execute(async (transaction) => {
      const rows = await transaction
        .selectFrom('join_tokens')
        .selectAll()
        .where('label', '=', label)
        .where('id', '!=', keptId)
        .where('revoked_at', 'is', null)
        .where('expires_at', '>', at)
        .orderBy('id')
        .forUpdate()
        .execute();
      const revoked: JoinTokenRow[] = [];
      for (const row of rows) revoked.push(await revoke(transaction, row, at, actor));
      return revoked;
    }),
  );
}

async function revoke(transaction: Db, row: JoinTokenRow, at: Date, actor: Actor): Promise<JoinTokenRow> {
  const { id, label, expires_at } = row;
  await transaction.updateTable('join_tokens').set({ revoked_at: at }).where('id', '=', id).execute();
  const before = { id, label, expires_at };
  await writeAudit(
    transaction,
    { action: 'revoke', id, before, after: { ...before, revoked_at: at } },
    actor,
  );
  return { ...row, revoked_at: at };
}

/** Who may join is no configuration and has no revision, but it is remembered who decided it. */
async function writeAudit(
  transaction: Db,
  entry: { action: 'create' | 'revoke'; id: string; before: object | null; after: object },
  actor: Actor,
): Promise<void> {
  await transaction
    .insertInto('audit')
    .values({
      revision: null,
      actor: actor.name,
      action: entry.action,
      kind: 'join-token',
      name: entry.id,
      before: entry.before && JSON.stringify(entry.before),
      after: JSON.stringify(entry.after),
      request_id: actor.requestId,
      address: actor.address,
    })
    .execute();
}
