// Reads the numbered history of the configuration. Revisions are written in store/changes.ts, with what they number.
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { RevisionsTable } from './schema.ts';

export type Revision = Selectable<RevisionsTable>;

/** Newest first, starting below `before`. */
export function listRevisions(
  db: Db,
  { before, limit }: { before: bigint | undefined; limit: number },
): Promise<Revision[]> {
  return db
    .selectFrom('revisions')
    .selectAll()
    .$if(before !== undefined, (query) => query.where('revision', '<', before!))
    .orderBy('revision', 'desc')
    .limit(limit)
    .execute();
}
