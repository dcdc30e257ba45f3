// Reads the audit log. Entries are written in store/changes.ts, in the transaction of the change they tell of.
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { AuditTable } from './schema.ts';

export type StoredAuditEntry = Selectable<AuditTable>;

export interface AuditFilter {
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly revision?: bigint | undefined;
  /** Entries older than this one. */
  readonly before?: bigint | undefined;
  readonly limit: number;
}

/** Newest first. */
export function listAudit(
  db: Db,
  { kind, name, actor, action, revision, before, limit }: AuditFilter,
): Promise<StoredAuditEntry[]> {
  return db
    .selectFrom('audit')
    .selectAll()
    .$if(kind !== undefined, (query) => query.where('kind', '=', kind!))
    .$if(name !== undefined, (query) => query.where('name', '=', name!))
    .$if(actor !== undefined, (query) => query.where('actor', '=', actor!))
    .$if(action !== undefined, (query) => query.where('action', '=', action!))
    .$if(revision !== undefined, (query) => query.where('revision', '=', revision!))
    .$if(before !== undefined, (query) => query.where('id', '<', before!))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
}
