// Reading what data planes send. A message that cannot be read at all, or an attempt in it that cannot be stored, is set
// aside with the reason; it must neither block what comes behind it nor disappear.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type Attempt,
  AttemptSchema,
  Outcome,
  type UsageBatch,
  UsageBatchSchema,
} from '#proto/signalbox/usage/v1/usage_pb.ts';
import type { IncomingMessage } from '#shared/bus/bus.ts';
import type { Span } from '../domain/journal-position.ts';
import type { AttemptRow, JournalId, PoisonRow } from '../store/ledger.ts';

export interface ReadBatch {
  readonly journal: JournalId;
  readonly span: Span;
  /** Up to where the ledger once told the journal that it has everything; 0 when it never did. */
  readonly confirmed: bigint;
  readonly records: readonly { readonly sequence: bigint; readonly row: AttemptRow }[];
}

export interface Reading {
  readonly batches: readonly ReadBatch[];
  readonly poison: readonly PoisonRow[];
}

const outcomeNames = {
  [Outcome.COMPLETED]: 'completed',
  [Outcome.FAILED]: 'failed',
  [Outcome.CANCELLED]: 'cancelled',
  [Outcome.INTERRUPTED]: 'interrupted',
} as const;

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const INT32_MAX = 2 ** 31 - 1;
/** Nodes count in doubles. */
const SEQUENCE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
// A node whose clock is this wrong would create partitions nobody looks for.
const STARTED_MS_MIN = Date.parse('2020-01-01');
const STARTED_MS_MAX = Date.parse('2100-01-01');

export function readMessages(messages: readonly IncomingMessage[]): Reading {
  const batches: ReadBatch[] = [];
  const poison: PoisonRow[] = [];
  for (const message of messages) {
    try {
      batches.push(readBatch(message, poison));
    } catch (error) {
      poison.push({ messageId: message.id, data: message.data, error: String(error) });
    }
  }
  return { batches, poison };
}

function readBatch(message: IncomingMessage, poison: PoisonRow[]): ReadBatch {
  const batch = fromBinary(UsageBatchSchema, message.data);
  const { nodeId, journalEpoch, firstSequence, attempts, confirmedSequence: confirmed } = batch;
  const named =
    nodeId !== '' && journalEpoch !== '' && !`${nodeId}${journalEpoch}${batch.region}`.includes('\0');
  if (!named || firstSequence < 1n || attempts.length === 0) {
    throw new Error('a batch needs node_id, journal_epoch, first_sequence of at least 1, and attempts');
  }
  const last = firstSequence + BigInt(attempts.length) - 1n;
  if (last > SEQUENCE_MAX || confirmed > SEQUENCE_MAX) {
    throw new Error(`first_sequence and confirmed_sequence must stay below ${SEQUENCE_MAX}`);
  }
  const records: { sequence: bigint; row: AttemptRow }[] = [];
  for (const [index, attempt] of attempts.entries()) {
    const fault = faultOf(attempt);
    if (fault === undefined) {
      records.push({ sequence: firstSequence + BigInt(index), row: rowOf(batch, attempt) });
    } else {
      poison.push({
        messageId: `${message.id}#${index}`,
        data: toBinary(AttemptSchema, attempt),
        error: fault,
      });
    }
  }
  return {
    journal: { nodeId, epoch: journalEpoch },
    span: { first: firstSequence, last },
    confirmed,
    records,
  };
}

function faultOf(attempt: Attempt): string | undefined {
  const startedAtMs = Number(attempt.startedAtMs);
  if (!uuidPattern.test(attempt.attemptId)) return 'attempt_id is not a UUID';
  if (startedAtMs < STARTED_MS_MIN || startedAtMs >= STARTED_MS_MAX)
    return 'started_at_ms is not between 2020 and 2100';
  if (!(attempt.outcome in outcomeNames)) return `outcome ${attempt.outcome} is not known`;
  if (attempt.attemptNumber > INT32_MAX) return 'attempt_number is out of range';
  if (attempt.upstreamStatus > INT32_MAX) return 'upstream_status is out of range';
  return undefined;
}

function rowOf({ nodeId, region }: UsageBatch, attempt: Attempt): AttemptRow {
  const startedAt = new Date(Number(attempt.startedAtMs)).toISOString();
  const { usage } = attempt;
  return {
    // A function of the record, so that a repeated delivery meets the row it made before.
    day: startedAt.slice(0, 10),
    attempt_id: attempt.attemptId.toLowerCase(),
    request_id: attempt.requestId,
    attempt_number: attempt.attemptNumber,
    node_id: nodeId,
    region,
    started_at: startedAt,
    key_id: attempt.keyId,
    requested_model: attempt.requestedModel,
    route: attempt.route,
    model: attempt.model,
    deployment: attempt.deployment,
    provider: attempt.provider,
    provider_key: attempt.providerKey,
    upstream_model: attempt.upstreamModel,
    operation: attempt.operation,
    streamed: attempt.streamed,
    outcome: outcomeNames[attempt.outcome as keyof typeof outcomeNames],
    upstream_status: attempt.upstreamStatus,
    error_code: attempt.errorCode,
    duration_ms: attempt.durationMs,
    first_byte_ms: attempt.firstByteMs,
    input_tokens: usage?.input ?? 0,
    input_cache_read_tokens: usage?.inputCacheRead ?? 0,
    input_cache_write_tokens: usage?.inputCacheWrite ?? 0,
    input_audio_tokens: usage?.inputAudio ?? 0,
    output_tokens: usage?.output ?? 0,
    output_reasoning_tokens: usage?.outputReasoning ?? 0,
    output_audio_tokens: usage?.outputAudio ?? 0,
    usage_known: usage !== undefined,
    raw_usage: attempt.rawUsage,
    tags: attempt.tags,
    upstream_id: attempt.upstreamId,
    metadata: attempt.metadata,
    trail: attempt.trail,
    shadow: attempt.shadow,
  };
}
