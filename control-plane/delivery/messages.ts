// The control plane's half of the conversation, as messages. Each is made here and nowhere else.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type SyncResponse, SyncResponseSchema } from '#proto/signalbox/sync/v1/sync_pb.ts';
import type { SealedKeyParts } from '#shared/crypto/sealed-key.ts';
import type { Transfer } from './transfer.ts';

type Content = NonNullable<MessageInitShape<typeof SyncResponseSchema>['message']>;
type ContentOf<Case extends string> = Extract<Content, { case: Case }>['value'];

function message(content: Content): SyncResponse {
  return create(SyncResponseSchema, { message: content });
}

export function welcome(value: ContentOf<'welcome'>): SyncResponse {
  return message({ case: 'welcome', value });
}

export function throttle(retryAfterMs: number): SyncResponse {
  return message({ case: 'throttle', value: { retryAfterMs } });
}

export function drain(reconnectWithinMs: number, hosts: readonly string[]): SyncResponse {
  return message({ case: 'drain', value: { reconnectWithinMs, hosts: [...hosts] } });
}

export function ask(value: ContentOf<'ask'>): SyncResponse {
  return message({ case: 'ask', value });
}

export function heartbeatReply(watermarks: ReadonlyMap<string, bigint>): SyncResponse {
  const list = [...watermarks].map(([journalEpoch, sequence]) => ({ journalEpoch, sequence }));
  return message({ case: 'heartbeat', value: { watermarks: list } });
}

/** Made one by one as they are taken: the bytes of the chunks are shared by all nodes. */
export function* transferMessages(
  transfer: Transfer,
  nonce: bigint,
  sealedKey: SealedKeyParts,
): Generator<SyncResponse, void, undefined> {
  const { historyId, from, to, full, totalBytes, sha256, digest, signature } = transfer;
  yield message({
    case: 'begin',
    value: {
      nonce,
      fromRevision: from,
      toRevision: to,
      full,
      totalBytes: BigInt(totalBytes),
      sha256,
      historyId,
      sealedKey,
    },
  });
  for (const { data, encoding } of transfer.chunks) {
    yield message({ case: 'chunk', value: { nonce, data, encoding } });
  }
  yield message({ case: 'commit', value: { nonce, digest, signature } });
}
