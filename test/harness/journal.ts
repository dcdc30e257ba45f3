// Attempts as a request makes them, and what a journal has of them, for tests of the journal and of what reads it.
import { fromBinary } from '@bufbuild/protobuf';
import type { EpochLog } from '#data-plane/meter/epoch-log.ts';
import type { Journal } from '#data-plane/meter/journal.ts';
import type { Intent, Settlement } from '#data-plane/meter/ledger.ts';
import { type Attempt, type UsageBatch, UsageBatchSchema } from '#proto/signalbox/usage/v1/usage_pb.ts';
import { uuidV7 } from '#shared/ids.ts';

export function madeIntent(fields: Partial<Intent> = {}): Intent {
  return {
    attemptId: uuidV7(Date.now()),
    requestId: 'req_000000000000000000000001',
    attemptNumber: 1,
    startedAtMs: Date.now(),
    keyId: 'key_a',
    requestedModel: 'fast',
    route: 'smart',
    model: 'gpt-4o',
    deployment: 'gpt-4o@openai',
    provider: 'openai',
    providerKey: 'openai/0',
    upstreamModel: 'gpt-4o-2024-11-20',
    metadata: {},
    trail: 'priority 1',
    shadow: false,
    operation: 'openai-chat',
    streamed: true,
    tags: ['chat'],
    ...fields,
  };
}

export function madeSettlement(fields: Partial<Settlement> = {}): Settlement {
  return {
    outcome: 'completed',
    upstreamStatus: 200,
    errorCode: '',
    durationMs: 812,
    firstByteMs: 321,
    usage: {
      input: 10,
      inputCacheRead: 0,
      inputCacheWrite: 0,
      inputAudio: 0,
      output: 20,
      outputReasoning: 0,
      outputAudio: 0,
    },
    rawUsage: '{"prompt_tokens":10,"completion_tokens":20}',
    upstreamId: 'chatcmpl-1',
    ...fields,
  };
}

/** Everything one log can publish, batch by batch. */
export async function batchesOf(log: EpochLog, journal: Journal): Promise<UsageBatch[]> {
  const batches: UsageBatch[] = [];
  let from = log.start;
  let firstSequence = log.watermark + 1;
  for (;;) {
    const cut = await log.cut({
      from,
      firstSequence,
      lastSequence: log.lastSequence,
      sender: journal.sender,
    });
    if (cut === undefined) return batches;
    batches.push(fromBinary(UsageBatchSchema, cut.data));
    from = cut.to;
    firstSequence = cut.lastSequence + 1;
  }
}

/** All settlements of all epochs that the ledger has not confirmed. */
export async function settledAttempts(journal: Journal): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const log of journal.logs()) {
    for (const batch of await batchesOf(log, journal)) attempts.push(...batch.attempts);
  }
  return attempts;
}
