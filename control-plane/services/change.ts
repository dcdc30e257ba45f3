// Writes edits of configuration objects inside one change, whoever makes them: credentials are taken out, references are
// checked over the whole configuration as it would be, and then rows, audit entries and the resources for data planes are
// written for what really differs. Everything is decided before anything is written.
import { isDeepStrictEqual } from 'node:util';
import { type Problem, SignalboxError } from '#shared/errors.ts';
import { kinds, type ObjectKind, type Spec, type WrittenObject } from '../domain/kinds.ts';
import { takeKeys } from '../domain/provider-keys.ts';
import { brokenReferences } from '../domain/references.ts';
import { differenceOf } from '../domain/resources.ts';
import type { Source } from '../domain/sources.ts';
import { problemsError } from '../domain/validation.ts';
import { type ProviderSecrets, secretResourceId } from '../secrets/provider-secrets.ts';
import type { Change } from '../store/changes.ts';
import { putObject, removeObject, type StoredObject } from '../store/objects.ts';
import {
  insertProviderSecret,
  readProviderSecrets,
  removeProviderSecrets,
  type StoredProviderSecret,
} from '../store/secrets.ts';

export type Current = ReadonlyMap<string, StoredObject>;

export interface Edit {
  readonly kind: ObjectKind;
  readonly name: string;
  /** Undefined removes the object. */
  readonly wanted: WrittenObject | undefined;
  /** Who makes the edit, and manages the object from then on. */
  readonly source: Source;
}

interface PlannedEdit {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly source: Source;
  readonly old: StoredObject | undefined;
  readonly spec: Spec | undefined;
  readonly added: readonly Omit<StoredProviderSecret, 'created_at'>[];
  readonly gone: readonly string[];
}

export function addressOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind}/${name}`;
}

export function byAddress(objects: readonly StoredObject[]): Current {
  return new Map(objects.map((object) => [addressOf(object), object]));
}

export interface EditOptions {
  readonly current: Current;
  readonly secrets: ProviderSecrets;
}

/** Makes the edits, or throws and leaves everything as it was. What is already as wanted is not touched. */
export async function makeEdits(change: Change, edits: readonly Edit[], options: EditOptions): Promise<void> {
  const planned: PlannedEdit[] = [];
  for (const edit of edits) {
    const plan = await planEdit(change, edit, options);
    if (plan !== undefined) planned.push(plan);
  }
  refuseBrokenReferences(planned, options.current);
  for (const plan of planned) await writeEdit(change, plan, options.secrets);
}

async function planEdit(
  change: Change,
  { kind, name, wanted, source }: Edit,
  { current, secrets }: EditOptions,
): Promise<PlannedEdit | undefined> {
  const old = current.get(addressOf({ kind, name }));
  if (wanted === undefined) {
    if (old === undefined) return undefined;
    const known = kind === 'provider' ? await readProviderSecrets(change, name) : [];
    return { kind, name, source, old, spec: undefined, added: [], gone: known.map(({ id }) => id) };
  }
  const { keys } = wanted;
  const taken =
    keys &&
    takeKeys(keys, await readProviderSecrets(change, name), {
      fingerprint: (secret) => secrets.fingerprint(secret),
      seal: (secret) => secrets.seal(name, secret),
    });
  const spec = asStored({ ...wanted.spec, ...(taken && { api_keys: taken.entries }) });
  if (old !== undefined && old.source === source && isDeepStrictEqual(old.spec, spec)) return undefined;
  return { kind, name, source, old, spec, added: taken?.added ?? [], gone: taken?.gone ?? [] };
}

function refuseBrokenReferences(planned: readonly PlannedEdit[], current: Current): void {
  const after = new Map<string, { kind: ObjectKind; name: string; spec: Spec }>(current);
  for (const { kind, name, spec } of planned) {
    if (spec === undefined) after.delete(addressOf({ kind, name }));
    else after.set(addressOf({ kind, name }), { kind, name, spec });
  }
  const problems = brokenReferences([...after.values()]);
  if (problems.length === 0) return;
  const removed = planned.filter(({ spec }) => spec === undefined);
  if (removed.length === planned.length) throw stillInUse(removed, problems);
  throw problemsError('invalid_configuration', problems);
}

function stillInUse(removed: readonly PlannedEdit[], problems: readonly Problem[]): SignalboxError {
  const what = removed.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  const users = [...new Set(problems.map(({ path }) => path))].join(', ');
  return new SignalboxError('conflict', `${what} cannot be deleted, it is used by: ${users}.`, { problems });
}

async function writeEdit(change: Change, plan: PlannedEdit, secrets: ProviderSecrets): Promise<void> {
  const { kind, name, source, old, spec, added, gone } = plan;
  for (const secret of added) {
    await insertProviderSecret(change, secret);
    change.putResource(secrets.resourceOf(secret));
  }
  await removeProviderSecrets(change, gone);
  for (const id of gone) change.removeResource(secretResourceId(id));

  const { compile } = kinds[kind];
  const { put, remove } = differenceOf(old ? compile(old.spec) : [], spec ? compile(spec) : []);
  for (const resource of put) change.putResource(resource);
  for (const resource of remove) change.removeResource(resource);

  if (spec === undefined) await removeObject(change, kind, name);
  else await putObject(change, { kind, name, spec, source });
  change.record({
    // Changes that nobody typed are made by what they were read from.
    actor: source === 'api' ? change.actor.name : source,
    action: old === undefined ? 'create' : spec === undefined ? 'delete' : 'update',
    kind,
    name,
    before: old ? { ...old.spec, source: old.source } : null,
    after: spec ? { ...spec, source } : null,
  });
}

/** As it comes back from the database, where members without a value do not exist. */
function asStored(spec: Spec): Spec {
  return JSON.parse(JSON.stringify(spec)) as Spec;
}
