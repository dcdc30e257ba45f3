// API keys as rows. A revoked key stays as a row, so that usage keeps its name and a second revocation finds it.
import type { Insertable, Selectable, Updateable } from 'kysely';
import type { Change } from './changes.ts';
import type { Db } from './database.ts';
import { escapeLike } from './objects.ts';
import type { ApiKeysTable } from './schema.ts';

export type StoredKey = Selectable<ApiKeysTable>;
export type KeyStatus = 'active' | 'expired' | 'revoked';

export interface KeyFilter {
  readonly status?: KeyStatus | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
  readonly now: Date;
  /** Keys listed after this one. */
  readonly after?: { readonly createdAt: Date; readonly id: string } | undefined;
  readonly limit: number;
}

/** Newest first. */
export function listKeys(db: Db, { status, search, now, after, limit }: KeyFilter): Promise<StoredKey[]> {
  return db
    .selectFrom('api_keys')
    .selectAll()
    .$if(status === 'revoked', (query) => query.where('revoked_at', 'is not', null))
    .$if(status === 'expired', (query) =>
      query.where('revoked_at', 'is', null).where('expires_at', '<=', now),
    )
    .$if(status === 'active', (query) =>
      query
        .where('revoked_at', 'is', null)
        .where((key) => key.or([key('expires_at', 'is', null), key('expires_at', '>', now)])),
    )
    .$if(search !== undefined, (query) => query.where('name', 'ilike', `%${escapeLike(search!)}%`))
    .$if(after !== undefined, (query) =>
      query.where((key) =>
        key(key.refTuple('created_at', 'id'), '<', key.tuple(after!.createdAt, after!.id)),
      ),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
}

export function readKey(db: Db, id: string): Promise<StoredKey | undefined> {
  return db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
}

export function readKeyInChange({ transaction }: Change, id: string): Promise<StoredKey | undefined> {
  return transaction.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
}

export function insertKey(
  { transaction, revision }: Change,
  key: Omit<Insertable<ApiKeysTable>, 'revision'>,
): Promise<StoredKey> {
  return transaction
    .insertInto('api_keys')
    .values({ ...key, revision })
    .returningAll()
    .executeTakeFirstOrThrow();
}

export function updateKey(
  { transaction, revision }: Change,
  id: string,
  values: Omit<Updateable<ApiKeysTable>, 'id' | 'revision'>,
): Promise<StoredKey> {
  return transaction
    .updateTable('api_keys')
    .set({ ...values, revision })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}
