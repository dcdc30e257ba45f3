// Which account a request about files or batches is for, and whose. A new file goes where the client says, or to the only provider
// that keeps files; everything else is where its id says. An id that is another key's, or made up, is an object that does not exist.
import { SignalboxError } from '#shared/errors.ts';
import { BatchAccounts } from '../../files/batch-accounts.ts';
import { type IndexLimits, ObjectIndex } from '../../files/object-index.ts';
import { type BatchPlace, type FilePlace, type IdOwner, openBatch, openFile } from '../../files/sealed-id.ts';
import type { ProviderEntry, Snapshot } from '../../snapshot/snapshot.ts';
import type { Admitted } from '../context.ts';
import type { Exchange } from '../exchange.ts';
import type { RequestOptions } from '../request-options.ts';
import type { AccountCall } from './call.ts';

/** What one gateway remembers of files and batches. */
export class FilesRoom {
  readonly index: ObjectIndex;
  readonly accounts: BatchAccounts;
  /** Files being taken in at the moment. */
  uploads = 0;

  constructor(limits: IndexLimits & { readonly batchesAccountedMax: number }) {
    this.index = new ObjectIndex(limits);
    this.accounts = new BatchAccounts(limits.batchesAccountedMax);
  }
}

export function ownerOf({ snapshot, principal }: Admitted): IdOwner {
  const { sealingKey } = snapshot;
  if (sealingKey === undefined) {
    throw new SignalboxError(
      'not_ready',
      'This instance has no key for ids yet. Send the request again in a moment.',
    );
  }
  return { sealingKey, keyId: principal.keyId };
}

export interface Located<Place> {
  readonly place: Place;
  readonly provider: ProviderEntry;
  readonly missing: SignalboxError;
}

export function locateFile(admitted: Admitted, id: string, param: string | undefined): Located<FilePlace> {
  return located(admitted.snapshot, openFile(ownerOf(admitted), id), noSuch('file', id, param));
}

export function locateBatch(admitted: Admitted, id: string): Located<BatchPlace> {
  return located(admitted.snapshot, openBatch(ownerOf(admitted), id), noSuch('batch', id, undefined));
}

function located<Place extends { readonly provider: string }>(
  snapshot: Snapshot,
  place: Place | undefined,
  missing: SignalboxError,
): Located<Place> {
  const provider = place && snapshot.providers.get(place.provider);
  if (!place || !provider?.kind.files) throw missing;
  return { place, provider, missing };
}

export function noSuch(what: 'file' | 'batch', id: string, param: string | undefined): SignalboxError {
  return new SignalboxError('not_found', `There is no ${what} "${id}" that this API key may see.`, {
    ...(param !== undefined && { param }),
  });
}

/** `named`: by the client, in a header or a field. */
export function providerForFiles({ providers }: Snapshot, named: string | undefined): ProviderEntry {
  const offering = [...providers.values()].filter(({ kind, origin }) => kind.files && origin);
  const found = offering.find(({ name }) => name === named);
  if (found) return found;
  const choices = offering.map(({ name }) => name).join(', ');
  if (named !== undefined || offering.length === 0) {
    const what =
      named === undefined
        ? 'No provider here keeps files'
        : `There is no provider "${named}" that keeps files`;
    throw new SignalboxError(
      'unsupported_by_provider',
      choices === '' ? `${what}.` : `${what}. These do: ${choices}.`,
      {
        param: 'provider',
      },
    );
  }
  if (offering.length === 1) return offering[0]!;
  throw new SignalboxError(
    'invalid_request',
    `Several providers keep files: ${choices}. Name one in the header "x-signalbox-provider" or in the field "provider".`,
    { param: 'provider' },
  );
}

/** What the journal has to know beside the call itself. */
export function identityOf(
  exchange: Exchange,
  { principal }: Admitted,
  { metadata, tags }: Pick<RequestOptions, 'metadata' | 'tags'>,
  models: readonly string[] = [],
): Pick<AccountCall, 'identity'> {
  const { requestId } = exchange;
  return { identity: { requestId, keyId: principal.keyId, models, metadata, tags } };
}
