// Makes the objects of declared sources (file, environment, built-ins) exactly what those sources say, in one change: new
// ones appear, changed ones change, ones no longer named disappear; what is managed through the API stays as it is.
// Applied twice, the second time changes nothing. The sources are layers: where two name the same object, the earlier has
// it, and what an earlier one lets go a later one may take in the same moment.
import { type Problem, SignalboxError } from '#shared/errors.ts';
import type { WrittenObject } from '../domain/kinds.ts';
import { mayChange, type Source } from '../domain/sources.ts';
import { problemsError } from '../domain/validation.ts';
import type { ProviderSecrets } from '../secrets/provider-secrets.ts';
import type { Change } from '../store/changes.ts';
import { readAllObjects } from '../store/objects.ts';
import { addressOf, byAddress, type Current, type Edit, makeEdits } from './change.ts';

export interface Layer {
  readonly source: Exclude<Source, 'api'>;
  readonly wanted: readonly WrittenObject[];
  /** Whether objects that are managed through the API become managed by this source. */
  readonly takeOver?: boolean;
  /** Whether objects that the source no longer names stay while something refers to them. */
  readonly keepUsed?: boolean;
}

export async function applyLayers(
  change: Change,
  secrets: ProviderSecrets,
  layers: readonly Layer[],
): Promise<void> {
  const current = byAddress(await readAllObjects(change));
  const puts = wantedEdits(layers, current);
  const removals = leftBehind(layers, puts, current);
  const options = { current, secrets };
  const kept = new Set(layers.filter((layer) => layer.keepUsed).map((layer) => layer.source));
  const firmRemovals = removals.filter((edit) => !kept.has(edit.source as Layer['source']));
  try {
    await makeEdits(change, [...puts, ...removals], options);
  } catch (error) {
    const isInUse =
      error instanceof SignalboxError &&
      (error.code === 'conflict' || error.code === 'invalid_configuration');
    if (!isInUse || firmRemovals.length === removals.length) throw error;
    // Edits are planned and checked before any is written, so it is safe to try again with fewer.
    await makeEdits(change, [...puts, ...firmRemovals], options);
  }
}

function wantedEdits(layers: readonly Layer[], current: Current): Edit[] {
  const holders = new Map(
    layers.toReversed().flatMap((layer) => layer.wanted.map((object) => [addressOf(object), layer] as const)),
  );
  const isLetGo = (address: string, owner: Source | undefined) =>
    layers.some((layer) => layer.source === owner && holders.get(address) !== layer);
  const problems: Problem[] = [];

  const edits = layers.flatMap((layer) =>
    layer.wanted.flatMap((wanted): Edit[] => {
      const { kind, name } = wanted;
      const { source, takeOver = false } = layer;
      const address = addressOf(wanted);
      if (holders.get(address) !== layer) return [];
      const owner = current.get(address)?.source;
      const edit = { kind, name, wanted, source };
      if (isLetGo(address, owner)) return [edit];
      try {
        return mayChange({ by: source, takeOver, what: `${kind} ${name}`, owner }) ? [edit] : [];
      } catch (error) {
        problems.push({ path: address, message: (error as Error).message });
        return [];
      }
    }),
  );
  if (problems.length > 0) throw problemsError('managed_elsewhere', problems);
  return edits;
}

function leftBehind(layers: readonly Layer[], puts: readonly Edit[], current: Current): Edit[] {
  const sources = new Set<Source>(layers.map((layer) => layer.source));
  const named = new Set(puts.map(addressOf));
  return [...current.values()]
    .filter((object) => sources.has(object.source) && !named.has(addressOf(object)))
    .map(({ kind, name, source }) => ({ kind, name, source, wanted: undefined }));
}
