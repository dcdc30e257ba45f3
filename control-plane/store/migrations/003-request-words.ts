// What clients say about their requests, for the ledger to be asked by, and what a key says for requests that do not.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table attempts add column metadata jsonb not null default '{}'`.execute(db);
  // A rare word among many attempts is found by these; the primary key would have to be read to its end.
  await sql`create index attempts_tags on attempts using gin (tags jsonb_path_ops)`.execute(db);
  await sql`create index attempts_metadata on attempts using gin (metadata jsonb_path_ops)`.execute(db);
  await sql`alter table api_keys add column drop_unsupported boolean not null default false`.execute(db);
}
