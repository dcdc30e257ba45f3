// Taking attempts into the ledger. Everything one delivery changes (attempts, daily sums, how far each journal got) is one
// transaction, and sums are made from the rows that were really inserted, so a delivery may be repeated any number of
// times, anywhere. Rows are always touched in the same order (journals, attempts, sums; each sorted), so replicas that
// work side by side wait for each other instead of deadlocking.
import { type RawBuilder, sql, type Transaction } from 'kysely';
import { type JournalPosition, journalStart } from '../domain/journal-position.ts';
import { type Db, reachingDatabase } from './database.ts';
import { dailySums, outcomes, tokenColumns } from './ledger-columns.ts';
import type { Database } from './schema.ts';

/** One row of `attempts`, with the names of its columns, as JSON carries it. */
export interface AttemptRow {
  readonly day: string;
  readonly attempt_id: string;
  readonly request_id: string;
  readonly attempt_number: number;
  readonly node_id: string;
  readonly region: string;
  readonly started_at: string;
  readonly key_id: string;
  readonly requested_model: string;
  readonly route: string;
  readonly model: string;
  readonly deployment: string;
  readonly provider: string;
  readonly provider_key: string;
  readonly upstream_model: string;
  readonly operation: string;
  readonly streamed: boolean;
  readonly outcome: (typeof outcomes)[number];
  readonly upstream_status: number;
  readonly error_code: string;
  readonly duration_ms: number;
  readonly first_byte_ms: number;
  readonly input_tokens: number;
  readonly input_cache_read_tokens: number;
  readonly input_cache_write_tokens: number;
  readonly input_audio_tokens: number;
  readonly output_tokens: number;
  readonly output_reasoning_tokens: number;
  readonly output_audio_tokens: number;
  readonly usage_known: boolean;
  readonly raw_usage: string;
  readonly tags: readonly string[];
  readonly upstream_id: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly trail: string;
  readonly shadow: boolean;
}

const attemptColumns = [
  'day',
  'attempt_id',
  'request_id',
  'attempt_number',
  'node_id',
  'region',
  'started_at',
  'key_id',
  'requested_model',
  'route',
  'model',
  'deployment',
  'provider',
  'provider_key',
  'upstream_model',
  'operation',
  'streamed',
  'outcome',
  'upstream_status',
  'error_code',
  'duration_ms',
  'first_byte_ms',
  ...tokenColumns,
  'usage_known',
  'raw_usage',
  'tags',
  'upstream_id',
  'metadata',
  'trail',
  'shadow',
] as const satisfies readonly (keyof AttemptRow)[];

export interface JournalId {
  readonly nodeId: string;
  readonly epoch: string;
}

export interface PoisonRow {
  readonly messageId: string;
  readonly data: Uint8Array;
  readonly error: string;
}

/** What may be done within one ledger transaction, in this order. */
export interface LedgerTransaction {
  /** Keeps what cannot be taken in; returns how much of it is new. */
  park(poison: readonly PoisonRow[]): Promise<number>;
  /** Locks the positions of journals against other replicas and reads them; answers in the order asked. */
  lockPositions(journals: readonly JournalId[]): Promise<JournalPosition[]>;
  /** Inserts what is new and adds it to the daily sums; returns how many rows were new. */
  insert(rows: readonly AttemptRow[]): Promise<number>;
  savePosition(journal: JournalId, position: JournalPosition): Promise<void>;
}

export function inLedgerTransaction<T>(db: Db, work: (ledger: LedgerTransaction) => Promise<T>): Promise<T> {
  return reachingDatabase(() =>
    db.transaction().execute((tx) =>
      work({
        park: (poison) => park(tx, poison),
        lockPositions: (journals) => lockPositions(tx, journals),
        insert: (rows) => insertAttempts(tx, rows),
        savePosition: (journal, position) => savePosition(tx, journal, position),
      }),
    ),
  );
}

type LedgerTx = Transaction<Database>;

async function park(tx: LedgerTx, poison: readonly PoisonRow[]): Promise<number> {
  if (poison.length === 0) return 0;
  const values = poison.map(({ messageId, data, error }) => ({
    message_id: messageId,
    data: Buffer.from(data),
    error,
  }));
  const parked = await tx
    .insertInto('usage_poison')
    .values(values)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .execute();
  return parked.length;
}

function byJournal(a: JournalId, b: JournalId): number {
  if (a.nodeId !== b.nodeId) return a.nodeId < b.nodeId ? -1 : 1;
  return a.epoch < b.epoch ? -1 : 1;
}

async function lockPositions(tx: LedgerTx, journals: readonly JournalId[]): Promise<JournalPosition[]> {
  if (journals.length === 0) return [];
  const sorted = journals.toSorted(byJournal);
  await tx
    .insertInto('usage_watermarks')
    .values(sorted.map(({ nodeId, epoch }) => ({ node_id: nodeId, journal_epoch: epoch, sequence: 0n })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const positions = new Map<string, JournalPosition>();
  for (const { nodeId, epoch } of sorted) {
    const mark = await tx
      .selectFrom('usage_watermarks')
      .select('sequence')
      .where('node_id', '=', nodeId)
      .where('journal_epoch', '=', epoch)
      .forUpdate()
      .executeTakeFirst();
    const ahead = await tx
      .selectFrom('usage_spans')
      .select(['first_sequence as first', 'last_sequence as last'])
      .where('node_id', '=', nodeId)
      .where('journal_epoch', '=', epoch)
      .orderBy('first_sequence')
      .execute();
    positions.set(`${nodeId}/${epoch}`, { watermark: mark?.sequence ?? 0n, ahead });
  }
  return journals.map(({ nodeId, epoch }) => positions.get(`${nodeId}/${epoch}`) ?? journalStart);
}

async function insertAttempts(tx: LedgerTx, rows: readonly AttemptRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const columns = sql.join(attemptColumns.map((name) => sql.ref(name)));
  const result = await sql<{ inserted: bigint }>`
    with inserted as (
      insert into attempts (${columns})
      select ${columns} from json_populate_recordset(null::attempts, ${rowsAsJson(rows)}::json)
      order by day, attempt_id
      on conflict do nothing
      returning *
    ), summed as (${summed('usage_daily', sql`not shadow`)}), shadows as (${summed('shadow_daily', sql`shadow`)})
    select count(*) as inserted from inserted`.execute(tx);
  return Number(result.rows[0]?.inserted ?? 0n);
}

/** Adds those of `inserted` for which the condition holds to the sums of their days. */
function summed(table: 'usage_daily' | 'shadow_daily', condition: RawBuilder<unknown>): RawBuilder<unknown> {
  const tokens = sql.join(tokenColumns.map((name) => sql.ref(name)));
  const tokenSums = sql.join(tokenColumns.map((name) => sql`sum(${sql.ref(name)})`));
  const outcomeNames = sql.join(outcomes.map((name) => sql.ref(name)));
  const outcomeCounts = sql.join(
    outcomes.map((name) => sql`count(*) filter (where outcome = ${sql.lit(name)})`),
  );
  const sums = sql.join(
    dailySums.map(
      (name) => sql`${sql.ref(name)} = ${sql.ref(`total.${name}`)} + ${sql.ref(`excluded.${name}`)}`,
    ),
  );
  return sql`
    insert into ${sql.table(table)} as total
      (day, key_id, model, provider, route, requests, attempts, ${outcomeNames}, ${tokens}, cost_nanodollars, unpriced_attempts)
    select day, key_id, model, provider, route, count(*) filter (where attempt_number = 1), count(*), ${outcomeCounts},
      ${tokenSums}, sum(cost_nanodollars), count(*) filter (where cost_nanodollars is null)
    from inserted where ${condition}
    group by day, key_id, model, provider, route
    order by day, key_id, model, provider, route
    on conflict (day, key_id, model, provider, route) do update set ${sums},
      cost_nanodollars = case
        when total.cost_nanodollars is null then excluded.cost_nanodollars
        else total.cost_nanodollars + coalesce(excluded.cost_nanodollars, 0)
      end`;
}

/** The one character that Postgres cannot keep in text, and that a client can put into a name. */
function rowsAsJson(rows: readonly AttemptRow[]): string {
  const json = JSON.stringify(rows);
  if (!json.includes('\\u0000')) return json;
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'string' ? value.replaceAll('\0', '\ufffd') : value,
  );
}

async function savePosition(
  tx: LedgerTx,
  { nodeId, epoch }: JournalId,
  position: JournalPosition,
): Promise<void> {
  await tx
    .updateTable('usage_watermarks')
    .set({ sequence: position.watermark, updated_at: new Date() })
    .where('node_id', '=', nodeId)
    .where('journal_epoch', '=', epoch)
    .execute();
  await tx
    .deleteFrom('usage_spans')
    .where('node_id', '=', nodeId)
    .where('journal_epoch', '=', epoch)
    .execute();
  if (position.ahead.length === 0) return;
  const spans = position.ahead.map(({ first, last }) => ({
    node_id: nodeId,
    journal_epoch: epoch,
    first_sequence: first,
    last_sequence: last,
  }));
  await tx.insertInto('usage_spans').values(spans).execute();
}

/** How far the named journals of a node have been taken in, by epoch. A journal never heard of is left out. */
export async function watermarks(
  db: Db,
  nodeId: string,
  epochs: readonly string[],
): Promise<ReadonlyMap<string, bigint>> {
  if (epochs.length === 0) return new Map();
  const rows = await reachingDatabase(() =>
    db
      .selectFrom('usage_watermarks')
      .select(['journal_epoch', 'sequence'])
      .where('node_id', '=', nodeId)
      .where('journal_epoch', 'in', [...epochs])
      .execute(),
  );
  return new Map(rows.map(({ journal_epoch: epoch, sequence }) => [epoch, sequence]));
}
