// Providers, models, aliases and routes as rows: one table for all kinds, because everything that is done to them
// (listing, sources, revisions, audit) is the same. Written only inside a change.
import type { Selectable } from 'kysely';
import { kinds, type ObjectKind } from '../domain/kinds.ts';
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
export async function listObjects(
  db: Db,
  { kind, source, search, after, limit }: ObjectFilter,
): Promise<StoredObject[]> {
  const rows = await db
    .selectFrom('objects')
    .selectAll()
    .where('kind', '=', kind)
    .$if(source !== undefined, (query) => query.where('source', '=', source!))
    .$if(search !== undefined, (query) => query.where('name', 'ilike', `%${escapeLike(search!)}%`))
    .$if(after !== undefined, (query) => query.where('name', '>', after!))
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map(completed);
}

export async function readObject(db: Db, kind: ObjectKind, name: string): Promise<StoredObject | undefined> {
  const row = await db
    .selectFrom('objects')
    .selectAll()
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst();
  return row && completed(row);
}

/** The whole configuration as the change finds it. */
export async function readAllObjects({ transaction }: Change): Promise<StoredObject[]> {
  const rows = await transaction.selectFrom('objects').selectAll().orderBy('kind').orderBy('name').execute();
  return rows.map(completed);
}

/** What an earlier build has written lacks the fields that came later; they are at their defaults. */
function completed(row: StoredObject): StoredObject {
  const { success, data } = kinds[row.kind].output.safeParse(row.spec);
  return success ? { ...row, spec: data } : row;
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
