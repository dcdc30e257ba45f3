// Attempts as a data plane reports them, for tests of what comes after.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type Attempt,
  AttemptSchema,
  Outcome,
  UsageBatchSchema,
} from '#proto/signalbox/usage/v1/usage_pb.ts';
import { uuidV7 } from '#shared/ids.ts';

export const someDayMs = Date.parse('2026-03-14T15:09:26Z');

export function madeAttempt(
  fields: Partial<Omit<Attempt, '$typeName' | '$unknown' | 'usage'>> & { usage?: Attempt['usage'] } = {},
): Attempt {
  const startedAtMs = fields.startedAtMs ?? BigInt(someDayMs);
  const base = create(AttemptSchema, {
    attemptId: uuidV7(Number(startedAtMs)),
    requestId: 'req_000000000000000000000001',
    attemptNumber: 1,
    startedAtMs,
    keyId: 'key_a',
    requestedModel: 'fast',
    route: '',
    model: 'gpt-4o',
    deployment: 'gpt-4o@openai',
    provider: 'openai',
    providerKey: 'openai/0',
    upstreamModel: 'gpt-4o-2024-11-20',
    operation: 'openai-chat',
    streamed: true,
    outcome: Outcome.COMPLETED,
    upstreamStatus: 200,
    durationMs: 800,
    firstByteMs: 300,
    usage: { input: 10, output: 20 },
    rawUsage: '{"prompt_tokens":10,"completion_tokens":20}',
    tags: ['chat'],
    upstreamId: 'chatcmpl-1',
    trail: 'priority 1',
    shadow: false,
  });
  return Object.assign(base, fields);
}

export interface BatchFields {
  readonly nodeId?: string;
  readonly epoch?: string;
  readonly first?: number;
  readonly confirmed?: number;
  readonly attempts: readonly Attempt[];
}

export function encodedBatch({
  nodeId = 'node_a',
  epoch = 'epoch-1',
  first = 1,
  confirmed = 0,
  attempts,
}: BatchFields): Uint8Array {
  const fields = {
    nodeId,
    region: 'eu',
    journalEpoch: epoch,
    firstSequence: BigInt(first),
    confirmedSequence: BigInt(confirmed),
    attempts: [...attempts],
  };
  return toBinary(UsageBatchSchema, create(UsageBatchSchema, fields));
}
