// API keys as data planes are told of them.
import { create, toBinary } from '@bufbuild/protobuf';
import { ApiKeySchema, ResourceType } from '#proto/signalbox/config/v1/config_pb.ts';
import type { ResourceId, ResourceValue } from './resources.ts';

export interface ApiKeyFacts {
  readonly id: string;
  readonly name: string;
  readonly hmac: Uint8Array;
  readonly models: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly drop_unsupported: boolean;
  readonly queue_priority: number;
  readonly expires_at: Date | null;
}

export function apiKeyResource(key: ApiKeyFacts): ResourceValue {
  const message = create(ApiKeySchema, {
    id: key.id,
    name: key.name,
    hmac: key.hmac,
    models: [...key.models],
    metadata: { ...key.metadata },
    dropUnsupported: key.drop_unsupported,
    queuePriority: key.queue_priority,
    expiresAtMs: BigInt(key.expires_at?.getTime() ?? 0),
  });
  return { ...apiKeyResourceId(key.id), payload: toBinary(ApiKeySchema, message) };
}

export function apiKeyResourceId(id: string): ResourceId {
  return { type: ResourceType.API_KEY, name: id };
}
