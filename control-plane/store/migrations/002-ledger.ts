// The ledger: one row per upstream attempt, in daily partitions (created ahead by the ledger itself), and what is kept
// beside it in the same transaction: daily sums, and how far each journal has been taken in.
import { type Kysely, sql } from 'kysely';

const tokenColumns = sql`
  input_tokens bigint not null,
  input_cache_read_tokens bigint not null,
  input_cache_write_tokens bigint not null,
  input_audio_tokens bigint not null,
  output_tokens bigint not null,
  output_reasoning_tokens bigint not null,
  output_audio_tokens bigint not null`;

export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create table attempts (
      day date not null,
      attempt_id uuid not null,
      request_id text not null,
      attempt_number integer not null,
      node_id text not null,
      region text not null,
      started_at timestamptz not null,
      key_id text not null,
      requested_model text not null,
      route text not null,
      model text not null,
      deployment text not null,
      provider text not null,
      provider_key text not null,
      upstream_model text not null,
      operation text not null,
      streamed boolean not null,
      outcome text not null,
      upstream_status integer not null,
      error_code text not null,
      duration_ms bigint not null,
      first_byte_ms bigint not null,
      ${tokenColumns},
      usage_known boolean not null,
      raw_usage text not null,
      cost_nanodollars bigint,
      price_version text,
      tags jsonb not null,
      upstream_id text not null,
      primary key (day, attempt_id)
    ) partition by range (day)`.execute(db);
  // Attempt ids begin with the time, so the primary key also serves "newest first".
  await sql`create index attempts_key on attempts (key_id, day, attempt_id)`.execute(db);
  await sql`create index attempts_request on attempts (request_id)`.execute(db);

  await sql`
    create table usage_daily (
      day date not null,
      key_id text not null,
      model text not null,
      provider text not null,
      route text not null,
      requests bigint not null,
      attempts bigint not null,
      completed bigint not null,
      failed bigint not null,
      cancelled bigint not null,
      interrupted bigint not null,
      ${tokenColumns},
      cost_nanodollars bigint,
      unpriced_attempts bigint not null,
      primary key (day, key_id, model, provider, route)
    )`.execute(db);
  await sql`
    create table usage_watermarks (
      node_id text not null,
      journal_epoch text not null,
      sequence bigint not null,
      updated_at timestamptz not null default now(),
      primary key (node_id, journal_epoch)
    )`.execute(db);
  await sql`
    create table usage_spans (
      node_id text not null,
      journal_epoch text not null,
      first_sequence bigint not null,
      last_sequence bigint not null,
      primary key (node_id, journal_epoch, first_sequence)
    )`.execute(db);
  await sql`
    create table usage_poison (
      id bigint generated always as identity primary key,
      message_id text not null unique,
      data bytea not null,
      error text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
}
