// How urgent the requests of a key are. Those that exist are as urgent as one that says nothing.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table api_keys add column queue_priority smallint not null default 5`.execute(db);
}
