// The life of an API key: made and shown once, changed, revoked. Stored and distributed is only its HMAC, so the key
// itself exists in the answer to the request that made it and nowhere else.
import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '#shared/clock.ts';
import { apiKeyHmac, newApiKey, preparePepper, visiblePart } from '#shared/crypto/api-key.ts';
import { SignalboxError } from '#shared/errors.ts';
import { prefixedId } from '#shared/ids.ts';
import { limits } from '#shared/limits.ts';
import type { Actor } from '../domain/actor.ts';
import { apiKeyResource, apiKeyResourceId } from '../domain/api-key.ts';
import { checkPrecondition, type Precondition } from '../domain/precondition.ts';
import { type Change, inChange } from '../store/changes.ts';
import { type Db, reachingDatabase } from '../store/database.ts';
import {
  insertKey,
  type KeyFilter,
  type KeyStatus,
  listKeys,
  readKey,
  readKeyInChange,
  type StoredKey,
  updateKey,
} from '../store/keys.ts';

export interface KeyInput {
  readonly name: string;
  readonly models: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** False when left out. */
  readonly dropsUnsupported?: boolean;
  /** 0 is the most urgent; `limits.queuePriorityDefault` when left out. */
  readonly queuePriority?: number;
  readonly expiresAt: Date | null;
}

export class KeyService {
  readonly #db: Db;
  readonly #pepper: KeyObject;
  readonly #clock: Clock;

  constructor(options: { db: Db; pepper: Buffer; clock: Clock }) {
    this.#db = options.db;
    this.#pepper = preparePepper(options.pepper);
    this.#clock = options.clock;
  }

  /** The key in the answer cannot be had again. */
  async create(input: KeyInput, actor: Actor): Promise<{ stored: StoredKey; key: string }> {
    this.#checkExpiry(input.expiresAt);
    const key = newApiKey();
    const { result: stored } = await inChange(this.#db, actor, async (change) => {
      const row = await insertKey(change, {
        id: prefixedId('key'),
        name: input.name,
        hmac: apiKeyHmac(this.#pepper, key),
        visible: visiblePart(key),
        models: JSON.stringify(input.models),
        metadata: JSON.stringify(input.metadata),
        drop_unsupported: input.dropsUnsupported ?? false,
        queue_priority: input.queuePriority ?? limits.queuePriorityDefault,
        expires_at: input.expiresAt,
        revoked_at: null,
        created_by: actor.name,
        created_at: this.#now(),
      });
      change.putResource(apiKeyResource(row));
      change.record({
        actor: actor.name,
        action: 'create',
        kind: 'key',
        name: row.id,
        before: null,
        after: auditView(row),
      });
      return row;
    });
    return { stored, key };
  }

  list(filter: Omit<KeyFilter, 'now'>): Promise<StoredKey[]> {
    return reachingDatabase(() => listKeys(this.#db, { ...filter, now: this.#now() }));
  }

  async get(id: string): Promise<StoredKey> {
    const row = await reachingDatabase(() => readKey(this.#db, id));
    if (row === undefined) throw unknownKey(id);
    return row;
  }

  async exists(id: string): Promise<boolean> {
    return (await reachingDatabase(() => readKey(this.#db, id)))?.revoked_at === null;
  }

  async update(
    id: string,
    input: Partial<KeyInput>,
    precondition: Precondition,
    actor: Actor,
  ): Promise<StoredKey> {
    if (input.expiresAt !== undefined) this.#checkExpiry(input.expiresAt);
    const { result } = await inChange(this.#db, actor, async (change) => {
      const before = await found(change, id);
      checkPrecondition(precondition, `Key ${id}`, before.revision);
      if (before.revoked_at !== null) {
        throw new SignalboxError('conflict', `Key ${id} is revoked and cannot be changed. Create a new one.`);
      }
      const wanted = {
        name: input.name ?? before.name,
        models: [...(input.models ?? before.models)],
        metadata: input.metadata ?? before.metadata,
        drop_unsupported: input.dropsUnsupported ?? before.drop_unsupported,
        queue_priority: input.queuePriority ?? before.queue_priority,
        expires_at: input.expiresAt === undefined ? before.expires_at : input.expiresAt,
      };
      if (isDeepStrictEqual(auditView({ ...before, ...wanted }), auditView(before))) return before;
      const after = await updateKey(change, id, {
        ...wanted,
        models: JSON.stringify(wanted.models),
        metadata: JSON.stringify(wanted.metadata),
      });
      change.putResource(apiKeyResource(after));
      change.record({
        actor: actor.name,
        action: 'update',
        kind: 'key',
        name: id,
        before: auditView(before),
        after: auditView(after),
      });
      return after;
    });
    return result;
  }

  /** Revoking a revoked key changes nothing and succeeds. */
  async revoke(id: string, precondition: Precondition, actor: Actor): Promise<void> {
    await inChange(this.#db, actor, async (change) => {
      const before = await found(change, id);
      if (before.revoked_at !== null) return;
      checkPrecondition(precondition, `Key ${id}`, before.revision);
      const after = await updateKey(change, id, { revoked_at: this.#now() });
      change.removeResource(apiKeyResourceId(id));
      change.record({
        actor: actor.name,
        action: 'revoke',
        kind: 'key',
        name: id,
        before: auditView(before),
        after: auditView(after),
      });
    });
  }

  statusOf(key: Pick<StoredKey, 'revoked_at' | 'expires_at'>): KeyStatus {
    if (key.revoked_at !== null) return 'revoked';
    return key.expires_at !== null && key.expires_at <= this.#now() ? 'expired' : 'active';
  }

  #checkExpiry(expiresAt: Date | null): void {
    if (expiresAt === null || expiresAt > this.#now()) return;
    throw new SignalboxError(
      'invalid_request',
      `expires_at is ${expiresAt.toISOString()}, which has passed. Give a time in the future, or null for never.`,
      { param: 'expires_at', problems: [{ path: 'expires_at', message: 'has passed' }] },
    );
  }

  #now(): Date {
    return new Date(this.#clock.wallMs());
  }
}

async function found(change: Change, id: string): Promise<StoredKey> {
  const row = await readKeyInChange(change, id);
  if (row === undefined) throw unknownKey(id);
  return row;
}

function unknownKey(id: string): SignalboxError {
  return new SignalboxError('not_found', `There is no key with the id ${id}.`);
}

/** What the audit log remembers of a key: everything that people see, nothing that opens a door. */
function auditView(key: StoredKey) {
  const { name, visible, models, metadata, drop_unsupported, queue_priority, expires_at, revoked_at } = key;
  return { name, visible, models, metadata, drop_unsupported, queue_priority, expires_at, revoked_at };
}
