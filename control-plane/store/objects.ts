// Providers, models, aliases and routes as rows: one table for all kinds, because everything that is done to them
// (listing, sources, revisions, audit) is the same. Written only inside a change.
import type { Selectable } from 'kysely';
import type { ObjectKind } from '../domain/kinds.ts';
import type { Source } from '../domain/sources.ts';
import type { Change } from './changes.ts';
import type { Db } from './database.ts';
import type { ObjectsTable } from './schema.ts';

export type StoredObject = Selectable<ObjectsTable>;

export interface ObjectFilter {
  readonly kind: ObjectKind;
  readonly source?: Source | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
  /** Names after this one. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** In the order of their names. */
export function listObjects(
  db: Db,
  { kind, source, search, after, limit }: ObjectFilter,
): Promise<StoredObject[]> {
  return db
    .selectFrom('objects')
    .selectAll()
    .where('kind', '=', kind)
    .$if(source !== undefined, (query) => query.where('source', '=', source!))
    .$if(search !== undefined, (query) => query.where('name', 'ilike', `%${escapeLike(search!)}%`))
    .$if(after !== undefined, (query) => query.where('name', '>', after!))
    .orderBy('name')
    .limit(limit)
    .execute();
}

export function readObject(db: Db, kind: ObjectKind, name: string): Promise<StoredObject | undefined> {
  return db
    .selectFrom('objects')
    .selectAll()
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** The whole configuration as the change finds it. */
export function readAllObjects({ transaction }: Change): Promise<StoredObject[]> {
  return transaction.selectFrom('objects').selectAll().orderBy('kind').orderBy('name').execute();
}

export async function putObject(
  { transaction, revision }: Change,
  object: { kind: ObjectKind; name: string; spec: object; source: Source },
): Promise<StoredObject> {
  const { kind, name, source } = object;
  const values = { spec: JSON.stringify(object.spec), source, revision, updated_at: new Date() };
  return transaction
    .insertInto('objects')
    .values({ kind, name, ...values })
    .onConflict((conflict) => conflict.columns(['kind', 'name']).doUpdateSet(values))
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function removeObject({ transaction }: Change, kind: ObjectKind, name: string): Promise<void> {
  await transaction.deleteFrom('objects').where('kind', '=', kind).where('name', '=', name).execute();
}

export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}
