// The fleet as people see it: one row per data plane, written by the replica that holds its stream. A replica keeps the
// truth about its nodes in memory and writes what changed about once a second, all nodes in one statement, so that a
// thousand heartbeats cost the database one round trip.
import { type Selectable, sql } from 'kysely';
import { type Db, reachingDatabase } from './database.ts';
import type { NodesTable } from './schema.ts';

export type NodeRow = Selectable<NodesTable>;

export interface NodeNack {
  readonly revision: string;
  readonly running_revision: string;
  readonly build: string;
  readonly at: string;
  readonly errors: readonly {
    readonly type: string;
    readonly name: string;
    readonly field: string;
    readonly code: string;
    readonly message: string;
  }[];
}

/** Everything a replica knows about one node. */
export interface NodeState {
  readonly id: string;
  readonly region: string;
  readonly build: string;
  readonly address: string;
  readonly bootEpoch: bigint;
  readonly connected: boolean;
  readonly appliedRevision: bigint;
  /** Null for what it already ran when it connected; this and the next then stay as they were. */
  readonly appliedAtMs: number | null;
  readonly applyMs: number | null;
  /** Null when it refused nothing on this stream; what it refused before stays on record. */
  readonly lastNack: NodeNack | null;
  readonly load: number;
  readonly spoolBytes: bigint;
  readonly lastSeenAtMs: number;
}

/**
 * Writes what this replica knows. A node that has meanwhile reached another replica is not marked away by this one, and
 * a ghost of an older boot changes nothing.
 */
export async function saveNodes(db: Db, replicaId: string, states: readonly NodeState[]): Promise<void> {
  if (states.length === 0) return;
  const rows = JSON.stringify(states.map((state) => toRecord(state, replicaId)));
  await reachingDatabase(() =>
    sql`
      insert into nodes (id, region, build, address, boot_epoch, replica_id, applied_revision, applied_at, apply_ms,
        last_nack, load, spool_bytes, last_seen_at)
      select id, region, build, address, boot_epoch, replica_id, applied_revision, applied_at, apply_ms,
        last_nack, load, spool_bytes, last_seen_at
      from jsonb_to_recordset(${rows}::jsonb) as given(id text, region text, build text, address text,
        boot_epoch bigint, replica_id text, applied_revision bigint, applied_at timestamptz,
        apply_ms double precision, last_nack jsonb, load integer, spool_bytes bigint, last_seen_at timestamptz)
      on conflict (id) do update set
        region = excluded.region, build = excluded.build, address = excluded.address,
        boot_epoch = excluded.boot_epoch, replica_id = excluded.replica_id,
        applied_revision = excluded.applied_revision,
        applied_at = coalesce(excluded.applied_at, nodes.applied_at),
        apply_ms = coalesce(excluded.apply_ms, nodes.apply_ms),
        last_nack = coalesce(excluded.last_nack, nodes.last_nack),
        load = excluded.load, spool_bytes = excluded.spool_bytes, last_seen_at = excluded.last_seen_at
      where nodes.boot_epoch <= excluded.boot_epoch
        and (excluded.replica_id is not null or nodes.replica_id is null or nodes.replica_id = ${replicaId})
    `.execute(db),
  );
}

function toRecord(state: NodeState, replicaId: string): Record<string, unknown> {
  return {
    id: state.id,
    region: state.region,
    build: state.build,
    address: state.address,
    boot_epoch: String(state.bootEpoch),
    replica_id: state.connected ? replicaId : null,
    applied_revision: String(state.appliedRevision),
    applied_at: toTime(state.appliedAtMs),
    apply_ms: state.applyMs,
    last_nack: state.lastNack,
    load: state.load,
    spool_bytes: String(state.spoolBytes),
    last_seen_at: toTime(state.lastSeenAtMs),
  };
}

function toTime(wallMs: number | null): string | null {
  return wallMs === null ? null : new Date(wallMs).toISOString();
}

/** For a replica that starts: nobody is connected to it yet, whatever it left behind when it ended. */
export async function markAllAway(db: Db, replicaId: string): Promise<void> {
  await reachingDatabase(() =>
    db.updateTable('nodes').set({ replica_id: null }).where('replica_id', '=', replicaId).execute(),
  );
}

export interface NodeFilter {
  readonly region?: string | undefined;
  readonly connected?: boolean | undefined;
  /** The id of the last node of the page before. */
  readonly after?: string | undefined;
  readonly limit: number;
  /** A stream whose node was last seen before this is dead, whatever its replica, perhaps dead too, wrote. */
  readonly aliveSince: Date;
}

/** With the time of the first change that the node has not applied; null when there is none. */
export type NodeView = NodeRow & { behind_since: Date | null };

export function listNodes(db: Db, filter: NodeFilter): Promise<NodeView[]> {
  const connected = sql<boolean>`(nodes.replica_id is not null and nodes.last_seen_at >= ${filter.aliveSince})`;
  return reachingDatabase(() =>
    nodeViews(db)
      .$if(filter.region !== undefined, (query) => query.where('nodes.region', '=', filter.region!))
      .$if(filter.connected !== undefined, (query) => query.where(connected, '=', filter.connected!))
      .$if(filter.after !== undefined, (query) => query.where('nodes.id', '>', filter.after!))
      .orderBy('nodes.id')
      .limit(filter.limit)
      .execute(),
  );
}

export function getNode(db: Db, id: string): Promise<NodeView | undefined> {
  return reachingDatabase(() => nodeViews(db).where('nodes.id', '=', id).executeTakeFirst());
}

/** Revisions are numbered without gaps, so the first one missing is the next. */
function nodeViews(db: Db) {
  return db
    .selectFrom('nodes')
    .leftJoin('revisions', (join) => join.on(sql<boolean>`revisions.revision = nodes.applied_revision + 1`))
    .selectAll('nodes')
    .select('revisions.created_at as behind_since');
}
