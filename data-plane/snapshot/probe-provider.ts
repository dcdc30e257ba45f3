// Whether a provider can be reached from here, at no cost: by its list of models, or by a handshake where it has none. A refusal is an
// answer too: that a key is not taken, or taken too often, says nothing about the way there.
import { create } from '@bufbuild/protobuf';
import { AskSchema, Question } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { ErrorCode } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type AskTools, answerAsk } from './ask.ts';
import type { Snapshot } from './snapshot.ts';

const refusals: readonly ErrorCode[] = [
  'upstream_unauthorized',
  'upstream_quota_exhausted',
  'upstream_rate_limited',
  'upstream_model_missing',
  'upstream_rejected',
];

export async function probeProvider(
  provider: string,
  snapshot: Snapshot | undefined,
  tools: AskTools,
): Promise<'up' | 'down'> {
  const ask = create(AskSchema, { provider, question: Question.MODELS, timeoutMs: limits.probeMsMax });
  const { error, keys = [] } = await answerAsk(ask, snapshot, tools);
  if (error !== undefined) return 'down';
  const codes = keys.map((finding) => finding.error?.code);
  if (codes.some((code) => code === undefined || refusals.includes(code as ErrorCode))) return 'up';
  // Many servers that call themselves compatible answer, but have no such list.
  return codes.includes('upstream_invalid') ? shakeHands(provider, snapshot, tools) : 'down';
}

async function shakeHands(
  provider: string,
  snapshot: Snapshot | undefined,
  { upstream }: AskTools,
): Promise<'up' | 'down'> {
  const origin = snapshot?.providers.get(provider)?.origin;
  if (origin === undefined) return 'down';
  return upstream.reach(origin).then(
    () => 'up',
    () => 'down',
  );
}
