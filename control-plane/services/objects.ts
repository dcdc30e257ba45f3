// What the admin API does with providers, models, aliases and routes. The kinds differ only in domain/kinds.ts.
import { SignalboxError } from '#shared/errors.ts';
import type { Actor } from '../domain/actor.ts';
import { kinds, type ObjectKind, type Spec, type WrittenObject } from '../domain/kinds.ts';
import { mergePatch } from '../domain/merge-patch.ts';
import { checkPrecondition, type Precondition } from '../domain/precondition.ts';
import { mayChange } from '../domain/sources.ts';
import { problemsError, validate } from '../domain/validation.ts';
import type { ProviderSecrets } from '../secrets/provider-secrets.ts';
import { type Change, inChange } from '../store/changes.ts';
import { type Db, reachingDatabase } from '../store/database.ts';
import {
  listObjects,
  type ObjectFilter,
  readAllObjects,
  readObject,
  type StoredObject,
} from '../store/objects.ts';
import { addressOf, byAddress, makeEdits } from './change.ts';

export interface WriteOptions {
  readonly actor: Actor;
  readonly precondition: Precondition;
  /** Whether an object that is managed elsewhere becomes managed through the API. */
  readonly takeOver: boolean;
}

interface Target {
  readonly kind: ObjectKind;
  readonly name: string;
}

/** What the object shall be, given what it is; undefined for no object, before and after. */
type Decision = (old: StoredObject | undefined) => WrittenObject | undefined;

export class ObjectService {
  readonly #db: Db;
  readonly #secrets: ProviderSecrets;

  constructor(options: { db: Db; secrets: ProviderSecrets }) {
    this.#db = options.db;
    this.#secrets = options.secrets;
  }

  list(filter: ObjectFilter): Promise<StoredObject[]> {
    return reachingDatabase(() => listObjects(this.#db, filter));
  }

  async get(target: Target): Promise<StoredObject> {
    const found = await reachingDatabase(() => readObject(this.#db, target.kind, target.name));
    return found ?? refuseUnknown(target);
  }

  /** A new object; an existing one of that name is refused. */
  async create(kind: ObjectKind, input: Spec, options: WriteOptions): Promise<StoredObject> {
    const wanted = written(kind, input);
    const { after } = await this.#change(wanted, options, (old) => {
      if (old !== undefined && (old.source === 'api' || !options.takeOver)) throw alreadyExists(old);
      return wanted;
    });
    return after!;
  }

  /** The whole object anew. */
  async replace(
    target: Target,
    input: Spec,
    options: WriteOptions,
  ): Promise<{ object: StoredObject; created: boolean }> {
    const wanted = written(target.kind, named(target, input));
    const { before, after } = await this.#change(target, options, () => wanted);
    return { object: after!, created: before === undefined };
  }

  /** Some fields of an existing object. */
  async patch(target: Target, changes: Spec, options: WriteOptions): Promise<StoredObject> {
    const { after } = await this.#change(target, options, (old) => {
      if (old === undefined) return refuseUnknown(target);
      const merged = named(target, mergePatch(old.spec, changes) as Spec);
      return written(target.kind, parsed(target.kind, merged));
    });
    return after!;
  }

  async remove(target: Target, options: WriteOptions): Promise<void> {
    await this.#change(target, options, (old) => {
      if (old === undefined) refuseUnknown(target);
      return undefined;
    });
  }

  async #change(
    target: Target,
    { actor, precondition, takeOver }: WriteOptions,
    decide: Decision,
  ): Promise<{ before: StoredObject | undefined; after: StoredObject | undefined }> {
    const { kind, name } = target;
    const { result } = await inChange(this.#db, actor, async (change: Change) => {
      const current = byAddress(await readAllObjects(change));
      const before = current.get(addressOf(target));
      const wanted = decide(before);
      const what = `${capitalized(kinds[kind].title)} ${name}`;
      mayChange({ by: 'api', takeOver, what, owner: before?.source });
      checkPrecondition(precondition, what, before?.revision);
      await makeEdits(change, [{ kind, name, wanted, source: 'api' }], { current, secrets: this.#secrets });
      return { before, after: await readObject(change.transaction, kind, name) };
    });
    return result;
  }
}

function written(kind: ObjectKind, input: Spec): WrittenObject {
  const { check, write } = kinds[kind];
  const problems = check?.(input) ?? [];
  if (problems.length === 0) return write(input);
  throw problemsError('invalid_configuration', problems);
}

function parsed(kind: ObjectKind, input: Spec): Spec {
  const result = validate(kinds[kind].input, input, 'With these changes,');
  if ('error' in result) throw result.error;
  return result.value;
}

/** The name in the path is the object's name; one in the body may only repeat it. */
function named({ kind, name }: Target, input: Spec): Spec {
  const { nameField, title } = kinds[kind];
  const given = input[nameField];
  if (given === undefined || given === name) return { ...input, [nameField]: name };
  throw new SignalboxError(
    'invalid_request',
    `${nameField} is "${given}", but the path names the ${title} "${name}". An object keeps its name; create another one.`,
    { param: nameField, problems: [{ path: nameField, message: `must be "${name}"` }] },
  );
}

function alreadyExists({ kind, name, source }: StoredObject): SignalboxError {
  const { title, collection } = kinds[kind];
  const how =
    source === 'api'
      ? `Change it with PUT or PATCH /api/v1/${collection}/${encodeURIComponent(name)}.`
      : `Its source is ${source}; repeat the request with ?take_over=true to manage it through the API.`;
  return new SignalboxError('conflict', `There is already a ${title} "${name}". ${how}`);
}

function refuseUnknown({ kind, name }: Target): never {
  throw new SignalboxError('not_found', `There is no ${kinds[kind].title} "${name}".`);
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
