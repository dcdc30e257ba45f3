// The tables as Kysely sees them. One interface per table, in the order in which the migrations create them; a column's
// meaning is said once, here.
import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { ObjectKind } from '../domain/kinds.ts';
import type { Source } from '../domain/sources.ts';

/** Set by the database when left out, never changed afterwards. */
type CreatedAt = ColumnType<Date, Date | undefined, never>;
/** bigint columns come back as bigint (see database.ts) and may be written as either. */
type BigInteger = ColumnType<bigint, bigint | number, bigint | number>;
type Json<T> = ColumnType<T, string, string>;

export interface Database {
  configuration_head: ConfigurationHeadTable;
  objects: ObjectsTable;
  api_keys: ApiKeysTable;
  resources: ResourcesTable;
  revisions: RevisionsTable;
  audit: AuditTable;
  data_keys: DataKeysTable;
  provider_secrets: ProviderSecretsTable;
  fleet_secrets: FleetSecretsTable;
  join_tokens: JoinTokensTable;
  nodes: NodesTable;
  attempts: AttemptsTable;
  usage_daily: UsageDailyTable;
  usage_watermarks: UsageWatermarksTable;
  usage_spans: UsageSpansTable;
  usage_poison: UsagePoisonTable;
  /** As `usage_daily`, of copies alone. */
  shadow_daily: UsageDailyTable;
}

/** One row. Every configuration change locks it first, so revisions are numbered in the order in which they commit. */
export interface ConfigurationHeadTable {
  id: number;
  revision: BigInteger;
  history_id: string;
}

/** Providers, models, aliases and routes as people wrote them, secrets taken out. */
export interface ObjectsTable {
  kind: ObjectKind;
  name: string;
  spec: Json<Record<string, unknown>>;
  /** Who may change it (see domain/sources.ts). */
  source: Source;
  /** The revision that last changed it; also its ETag. */
  revision: BigInteger;
  created_at: CreatedAt;
  updated_at: Date;
}

export interface ApiKeysTable {
  id: string;
  name: string;
  hmac: Buffer;
  /** The first characters, to recognise the key by. */
  visible: string;
  models: Json<string[]>;
  metadata: Json<Record<string, string>>;
  /** Whether its requests go without what a provider cannot be asked, where they do not say. */
  drop_unsupported: ColumnType<boolean, boolean | undefined, boolean>;
  /** How urgent its requests are where they have to wait: 0 is the most urgent. */
  queue_priority: ColumnType<number, number | undefined, number>;
  expires_at: Date | null;
  revoked_at: Date | null;
  revision: BigInteger;
  created_by: string;
  created_at: CreatedAt;
}

/**
 * What data planes are told: every resource at its newest version, written in the transaction that changed what it was
 * made from. Removed resources stay as rows without payload, so that a node that was away is told of the removal.
 */
export interface ResourcesTable {
  type: number;
  name: string;
  version: BigInteger;
  payload: Buffer | null;
}

export interface RevisionsTable {
  revision: BigInteger;
  actor: string;
  summary: string;
  created_at: CreatedAt;
}

export interface AuditTable {
  id: Generated<bigint>;
  revision: BigInteger | null;
  actor: string;
  action: string;
  kind: string;
  name: string;
  before: JSONColumnType<Record<string, unknown>> | null;
  after: JSONColumnType<Record<string, unknown>> | null;
  request_id: string;
  address: string;
  created_at: CreatedAt;
}

/** Per organization; wraps that organization's secrets and is itself wrapped by the key-encryption key. */
export interface DataKeysTable {
  organization: string;
  version: number;
  wrapped: Buffer;
  created_at: CreatedAt;
}

export interface ProviderSecretsTable {
  id: string;
  organization: string;
  provider: string;
  version: number;
  data_key_version: number;
  box: Buffer;
  /** The last characters, to recognise the secret by. */
  hint: string;
  /** A keyed HMAC of the secret, by which the same secret given again is known without opening the box. */
  fingerprint: Buffer;
  created_at: CreatedAt;
}

/** Secrets of the fleet itself (signing key, authority, key sent to nodes), wrapped by the key-encryption key. */
export interface FleetSecretsTable {
  name: string;
  box: Buffer;
  created_at: CreatedAt;
}

export interface JoinTokensTable {
  id: string;
  label: string;
  hash: Buffer;
  expires_at: Date;
  revoked_at: Date | null;
  created_at: CreatedAt;
}

export interface NodesTable {
  id: string;
  region: string;
  build: string;
  address: string;
  boot_epoch: BigInteger;
  /** The control-plane replica that holds its stream; null while it is away. */
  replica_id: string | null;
  applied_revision: BigInteger;
  applied_at: Date | null;
  apply_ms: number | null;
  last_nack: Json<Record<string, unknown>> | null;
  load: number;
  spool_bytes: BigInteger;
  last_seen_at: Date;
  created_at: CreatedAt;
}

/** The ledger: one row per upstream attempt, partitioned by day. */
export interface AttemptsTable {
  /** The UTC day of `started_at`: part of the key because partitions need it, and a function of the attempt. */
  day: ColumnType<string, string, never>;
  attempt_id: string;
  request_id: string;
  attempt_number: number;
  node_id: string;
  region: string;
  started_at: Date;
  key_id: string;
  requested_model: string;
  route: string;
  model: string;
  deployment: string;
  provider: string;
  provider_key: string;
  upstream_model: string;
  operation: string;
  streamed: boolean;
  outcome: 'completed' | 'failed' | 'cancelled' | 'interrupted';
  upstream_status: number;
  error_code: string;
  duration_ms: BigInteger;
  first_byte_ms: BigInteger;
  input_tokens: BigInteger;
  input_cache_read_tokens: BigInteger;
  input_cache_write_tokens: BigInteger;
  input_audio_tokens: BigInteger;
  output_tokens: BigInteger;
  output_reasoning_tokens: BigInteger;
  output_audio_tokens: BigInteger;
  /** False when the provider reported no usage: the token columns are then 0 because nothing is known. */
  usage_known: boolean;
  raw_usage: string;
  /** Billionths of a dollar; null while no price is known, never 0 instead. */
  cost_nanodollars: BigInteger | null;
  price_version: string | null;
  /** Of the deployment, then of the request. */
  tags: Json<string[]>;
  upstream_id: string;
  /** The client's own words about the request. */
  metadata: ColumnType<Record<string, string>, string | undefined, string>;
  trail: ColumnType<string, string | undefined, string>;
  /** A copy of a request, whose answer nobody was given; its sums are in `shadow_daily`. */
  shadow: ColumnType<boolean, boolean | undefined, boolean>;
}

/** Sums per day, kept in the transaction that inserts the attempts they are sums of. */
export interface UsageDailyTable {
  day: ColumnType<string, string, never>;
  key_id: string;
  model: string;
  provider: string;
  route: string;
  requests: BigInteger;
  attempts: BigInteger;
  completed: BigInteger;
  failed: BigInteger;
  cancelled: BigInteger;
  interrupted: BigInteger;
  input_tokens: BigInteger;
  input_cache_read_tokens: BigInteger;
  input_cache_write_tokens: BigInteger;
  input_audio_tokens: BigInteger;
  output_tokens: BigInteger;
  output_reasoning_tokens: BigInteger;
  output_audio_tokens: BigInteger;
  /** The sum of what is priced; null when nothing is. */
  cost_nanodollars: BigInteger | null;
  unpriced_attempts: BigInteger;
}

/** Per journal: everything up to `sequence` is in the ledger. */
export interface UsageWatermarksTable {
  node_id: string;
  journal_epoch: string;
  sequence: BigInteger;
  updated_at: ColumnType<Date, Date | undefined, Date>;
}

/** Batches that arrived ahead of their turn, waiting to be joined to the watermark. */
export interface UsageSpansTable {
  node_id: string;
  journal_epoch: string;
  first_sequence: BigInteger;
  last_sequence: BigInteger;
}

/** What could not be taken into the ledger, kept for people to look at. */
export interface UsagePoisonTable {
  id: Generated<bigint>;
  /** Of the message; followed by `#` and the position where only one attempt of it is at fault. */
  message_id: string;
  data: Buffer;
  error: string;
  created_at: CreatedAt;
}
