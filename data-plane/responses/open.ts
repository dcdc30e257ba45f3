// Which store there is: Redis where one is configured, this process's memory where none is.
import type { Clock } from '#shared/clock.ts';
import { limits } from '#shared/limits.ts';
import type { Logger } from '#shared/log.ts';
import type { Secret } from '#shared/secret.ts';
import { createMemoryStore } from './memory-store.ts';
import { createRedisStore } from './redis-store.ts';
import type { ResponseStore } from './store.ts';

export interface OpenStoreOptions {
  readonly redisUrl: Secret | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export function openResponseStore({ redisUrl, clock, log }: OpenStoreOptions): ResponseStore {
  if (redisUrl === undefined) return createMemoryStore(clock, limits);
  return createRedisStore({ url: redisUrl.reveal(), clock, limits, log });
}
