// Copies of requests stand among the attempts and have daily sums of their own. Not as a part of the key of `usage_daily`: a build that
// knows no copies names that key when it adds to the sums, and what clients asked for has to stay readable to it as it was.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table attempts add column shadow boolean not null default false`.execute(db);
  await sql`create table shadow_daily (like usage_daily including all)`.execute(db);
}
