// Answers that are kept so that a client can go on from them, look at them again, or delete them: each under the API key that asked
// for it, because a key is what tells tenants apart. A store knows ids and bytes and nothing of what they mean. It is bounded in
// every direction and forgets what was not used for longest, so a client may always be told that something is no longer there.
import { SignalboxError } from '#shared/errors.ts';

/** An answer as it is kept. */
export interface KeptAnswer {
  readonly id: string;
  /** By which its items can be found one by one. */
  readonly itemIds: readonly string[];
  readonly document: Buffer;
}

/** One key's answers, by name of key and answer: another key's are not there. */
export interface ResponseStore {
  /** Never throws and never waits: what cannot be kept is forgotten, and the answer goes out all the same. */
  put(keyId: string, answer: KeptAnswer): void;
  /** The documents of these answers, in this order; undefined for what is not there. Keeps what is there for longer. */
  read(keyId: string, ids: readonly string[]): Promise<readonly (Buffer | undefined)[]>;
  /** The ids of the answers that hold these items, in this order. */
  findItems(keyId: string, itemIds: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** Whether it was there. */
  remove(keyId: string, id: string): Promise<boolean>;
  close(): Promise<void>;
}

/** The bounds of a store, from the table of limits unless a test says otherwise. */
export interface StoreLimits {
  readonly responseStoreDocumentBytesMax: number;
  readonly responseStorePerKeyMax: number;
  readonly responseStoreBytesMax: number;
  readonly responseStoreTtlMs: number;
  readonly responseStoreWaitMs: number;
  readonly redisSilentMs: number;
}

export function storeUnavailable(cause: unknown): SignalboxError {
  return new SignalboxError(
    'response_store_unavailable',
    'The store of responses cannot be reached, so that what was said before is not known. Try again in a moment, or send the whole conversation as "input".',
    { retryAfterMs: 1000, cause },
  );
}
