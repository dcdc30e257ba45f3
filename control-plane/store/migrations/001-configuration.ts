// Configuration: the objects people write, the keys, the resources made from them, who changed what, and the fleet.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<never>): Promise<void> {
  await sql`
    create table configuration_head (
      id smallint primary key check (id = 1),
      revision bigint not null,
      history_id text not null
    )`.execute(db);
  await sql`insert into configuration_head values (1, 0, gen_random_uuid()::text)`.execute(db);

  await sql`
    create table objects (
      kind text not null,
      name text not null,
      spec jsonb not null,
      source text not null,
      revision bigint not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      primary key (kind, name)
    )`.execute(db);

  await sql`
    create table api_keys (
      id text primary key,
      name text not null,
      hmac bytea not null unique,
      visible text not null,
      models jsonb not null,
      metadata jsonb not null,
      expires_at timestamptz,
      revoked_at timestamptz,
      revision bigint not null,
      created_by text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index api_keys_created on api_keys (created_at desc, id desc)`.execute(db);

  await sql`
    create table resources (
      type smallint not null,
      name text not null,
      version bigint not null,
      payload bytea,
      primary key (type, name)
    )`.execute(db);
  await sql`create index resources_version on resources (version)`.execute(db);

  await sql`
    create table revisions (
      revision bigint primary key,
      actor text not null,
      summary text not null,
      created_at timestamptz not null default now()
    )`.execute(db);

  await sql`
    create table audit (
      id bigint generated always as identity primary key,
      revision bigint,
      actor text not null,
      action text not null,
      kind text not null,
      name text not null,
      before jsonb,
      after jsonb,
      request_id text not null,
      address text not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index audit_object on audit (kind, name, id desc)`.execute(db);
  await sql`create index audit_revision on audit (revision)`.execute(db);

  await sql`
    create table data_keys (
      organization text not null,
      version integer not null,
      wrapped bytea not null,
      created_at timestamptz not null default now(),
      primary key (organization, version)
    )`.execute(db);
  await sql`
    create table provider_secrets (
      id text primary key,
      organization text not null,
      provider text not null,
      version integer not null,
      data_key_version integer not null,
      box bytea not null,
      hint text not null,
      fingerprint bytea not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index provider_secrets_provider on provider_secrets (provider)`.execute(db);
  await sql`
    create table fleet_secrets (
      name text primary key,
      box bytea not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table join_tokens (
      id text primary key,
      label text not null,
      hash bytea not null unique,
      expires_at timestamptz not null,
      revoked_at timestamptz,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table nodes (
      id text primary key,
      region text not null,
      build text not null,
      address text not null,
      boot_epoch bigint not null,
      replica_id text,
      applied_revision bigint not null,
      applied_at timestamptz,
      apply_ms double precision,
      last_nack jsonb,
      load integer not null default 0,
      spool_bytes bigint not null default 0,
      last_seen_at timestamptz not null,
      created_at timestamptz not null default now()
    )`.execute(db);
}
