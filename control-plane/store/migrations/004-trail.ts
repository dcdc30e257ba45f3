// Why each target was asked, beside what became of it.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table attempts add column trail text not null default ''`.execute(db);
}
