// Files and batches as a provider describes them and as a client sees them: the same, but for the ids.
import { type JsonObject, textOf } from '../json/values.ts';
import { type BatchPlace, type FilePlace, type IdOwner, sealBatch, sealFile } from './sealed-id.ts';

/** What an object is for whoever keeps lists of them. */
export type ObjectKind = 'files' | 'batches';

export function fileForClient(owner: IdOwner, place: FilePlace, file: JsonObject): JsonObject {
  return { ...file, id: sealFile(owner, place) };
}

export function batchForClient(owner: IdOwner, place: BatchPlace, batch: JsonObject): JsonObject {
  const { provider, providerKey, models } = place;
  const sealed: Record<string, unknown> = { ...batch, id: sealBatch(owner, place) };
  const roles = {
    input_file_id: { kind: 'input', models },
    output_file_id: { kind: 'output', batch: place },
    error_file_id: undefined,
  } as const;
  for (const [name, role] of Object.entries(roles)) {
    const id = textOf(batch[name]);
    if (id !== '') sealed[name] = sealFile(owner, { provider, providerKey, id, role });
  }
  return sealed;
}

/** After which nothing about a batch changes any more. */
const finalStatuses: readonly string[] = ['completed', 'failed', 'expired', 'cancelled'];

export function hasEnded(batch: JsonObject): boolean {
  return finalStatuses.includes(textOf(batch.status));
}
