// How configuration is written, and the only way: a change is one transaction that locks the head, so that changes commit
// one after another in the order of their revisions, on however many replicas they are made. Whatever the work inside
// does (rows, resources for data planes, audit entries) becomes visible together with one new revision, or not at all; a
// change that turns out to change nothing leaves no trace and no revision.
import { sql, type Transaction } from 'kysely';
import type { Actor } from '../domain/actor.ts';
import type { ResourceId, ResourceValue } from '../domain/resources.ts';
import { type Db, reachingDatabase } from './database.ts';
import type { Database } from './schema.ts';

/** The channel on which other replicas hear of a new revision, as its decimal digits. */
export const revisionChannel = 'signalbox_revision';

/** Postgres takes at most 65,535 parameters in a statement; a resource has four. */
const RESOURCES_PER_STATEMENT = 5_000;
const SUMMARY_ENTRIES_MAX = 3;

export interface AuditEntry {
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete' | 'revoke';
  readonly kind: string;
  readonly name: string;
  readonly before: object | null;
  readonly after: object | null;
}

/** An open change. Valid until the work it was given to returns. */
export class Change {
  readonly transaction: Transaction<Database>;
  /** The revision in force before this change. */
  readonly previousRevision: bigint;
  /** The revision this change has if it changes anything. */
  readonly revision: bigint;
  readonly actor: Actor;
  readonly #entries: AuditEntry[] = [];
  readonly #resources = new Map<string, ResourceId & { payload: Uint8Array | null }>();

  constructor(transaction: Transaction<Database>, previousRevision: bigint, actor: Actor) {
    this.transaction = transaction;
    this.previousRevision = previousRevision;
    this.revision = previousRevision + 1n;
    this.actor = actor;
  }

  /** Notes one change to one thing, for the audit log. A change without entries is no change. */
  record(entry: AuditEntry): void {
    this.#entries.push(entry);
  }

  putResource({ type, name, payload }: ResourceValue): void {
    this.#resources.set(`${type}/${name}`, { type, name, payload });
  }

  /** Leaves a row without payload, so that a data plane which was away is told of the removal. */
  removeResource({ type, name }: ResourceId): void {
    this.#resources.set(`${type}/${name}`, { type, name, payload: null });
  }

  async finish(): Promise<boolean> {
    if (this.#entries.length === 0) return false;
    await this.#writeResources();
    await this.#writeAudit();
    const { revision, actor } = this;
    await this.transaction
      .insertInto('revisions')
      .values({ revision, actor: actor.name, summary: this.#summary() })
      .execute();
    await this.transaction.updateTable('configuration_head').set({ revision }).execute();
    await sql`select pg_notify(${revisionChannel}, ${String(revision)})`.execute(this.transaction);
    return true;
  }

  async #writeResources(): Promise<void> {
    const rows = [...this.#resources.values()].map(({ type, name, payload }) => ({
      type,
      name,
      version: this.revision,
      payload: payload && Buffer.from(payload),
    }));
    for (let start = 0; start < rows.length; start += RESOURCES_PER_STATEMENT) {
      await this.transaction
        .insertInto('resources')
        .values(rows.slice(start, start + RESOURCES_PER_STATEMENT))
        .onConflict((conflict) =>
          conflict.columns(['type', 'name']).doUpdateSet((row) => ({
            version: row.ref('excluded.version'),
            payload: row.ref('excluded.payload'),
          })),
        )
        .execute();
    }
  }

  async #writeAudit(): Promise<void> {
    for (const { before, after, ...entry } of this.#entries) {
      await this.transaction
        .insertInto('audit')
        .values({
          ...entry,
          revision: this.revision,
          before: before && JSON.stringify(before),
          after: after && JSON.stringify(after),
          request_id: this.actor.requestId,
          address: this.actor.address,
        })
        .execute();
    }
  }

  #summary(): string {
    const named = this.#entries
      .slice(0, SUMMARY_ENTRIES_MAX)
      .map(({ action, kind, name }) => `${action} ${kind} ${name}`)
      .join(', ');
    const more = this.#entries.length - SUMMARY_ENTRIES_MAX;
    return more > 0 ? `${named} and ${more} more` : named;
  }
}

export interface Changed<T> {
  readonly result: T;
  /** The revision in force afterwards, whether or not this change made it. */
  readonly revision: bigint;
  readonly changed: boolean;
}

export function inChange<T>(db: Db, actor: Actor, work: (change: Change) => Promise<T>): Promise<Changed<T>> {
  return reachingDatabase(() =>
    db.transaction().execute(async (transaction) => {
      const head = await transaction
        .selectFrom('configuration_head')
        .select('revision')
        .forUpdate()
        .executeTakeFirstOrThrow();
      const change = new Change(transaction, head.revision, actor);
      const result = await work(change);
      const changed = await change.finish();
      return { result, changed, revision: changed ? change.revision : head.revision };
    }),
  );
}
