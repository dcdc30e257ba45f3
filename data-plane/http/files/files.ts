// /v1/files: a client's files at a provider. They are taken in whole, since those for batches have to be read; content goes out as
// it comes.
import { SignalboxError } from '#shared/errors.ts';
import { checkBatchInput } from '../../files/batch-input.ts';
import { contentTap, type ResultsTap, resultsTap } from '../../files/batch-usage.ts';
import { fileForClient } from '../../files/objects.ts';
import type { FilePlace } from '../../files/sealed-id.ts';
import type { JsonObject } from '../../json/values.ts';
import { textOf } from '../../json/values.ts';
import { type FormPart, scanForm } from '../../services/multipart.ts';
import type { Deployment } from '../../snapshot/snapshot.ts';
import { readFormBody } from '../body.ts';
import type { Admitted, GatewayContext } from '../context.ts';
import { answerError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { deploymentAskedAt } from '../place-at-provider.ts';
import { readRequestOptions } from '../request-options.ts';
import type { PathParameters } from '../router.ts';
import { enterBatch } from './batches.ts';
import { type AccountCall, answerCall } from './call.ts';
import { answerList } from './list.ts';
import { identityOf, locateFile, noSuch, ownerOf, providerForFiles } from './place.ts';

export async function uploadFile(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
): Promise<void> {
  const { files, limits } = context;
  if (files.uploads >= limits.fileUploadsAtOnceMax) throw tooManyUploads(limits.fileUploadsAtOnceMax);
  files.uploads += 1;
  try {
    await takeIn(context, exchange, admitted);
  } finally {
    files.uploads -= 1;
  }
}

async function takeIn(context: GatewayContext, exchange: Exchange, admitted: Admitted): Promise<void> {
  const { limits } = context;
  const { headers } = exchange.request;
  const options = readRequestOptions(undefined, headers, admitted.principal);
  if (options.timeoutMs !== undefined) exchange.limitTime(options.timeoutMs);
  const body = await readFormBody(exchange, { ...limits, requestBodyBytesMax: limits.fileUploadBytesMax });
  const contentType = headers['content-type']!;
  const form = readForm(body, contentType);
  const provider = providerForFiles(admitted.snapshot, form.provider ?? options.provider);
  const input =
    form.purpose === 'batch'
      ? await checked(form.content, context, (model) =>
          deploymentAskedAt(context, exchange, { admitted, options }, provider, model),
        )
      : undefined;
  if (exchange.stopReason) throw exchange.stopReason;
  const role = input && { kind: 'input' as const, models: input.models };
  await forward(context, exchange, admitted, {
    ...identityOf(exchange, admitted, options, input?.models),
    provider,
    providerKey: undefined,
    method: 'POST',
    path: '/files',
    contentType,
    body: form.rebuilt(input?.content),
    missing: noSuch('file', '', undefined),
    place: (id, providerKey) => ({ provider: provider.name, providerKey, id, role }),
  });
}

export function listFiles(context: GatewayContext, exchange: Exchange, admitted: Admitted): void {
  answerList(exchange, context.files.index.list(admitted.principal.keyId, 'files'));
}

export async function showFile(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { id = '' }: PathParameters,
): Promise<void> {
  const found = locateFile(admitted, id, 'id');
  await forward(context, exchange, admitted, { ...aboutFile(exchange, admitted, found), method: 'GET' });
}

export async function deleteFile(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { id = '' }: PathParameters,
): Promise<void> {
  const found = locateFile(admitted, id, 'id');
  const result = await forward(context, exchange, admitted, {
    ...aboutFile(exchange, admitted, found),
    method: 'DELETE',
  });
  const isGone =
    result.kind === 'answered' || (result.kind === 'failed' && result.error.code === 'not_found');
  if (isGone) context.files.index.forget(admitted.principal.keyId, 'files', id);
}

export async function showContent(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { id = '' }: PathParameters,
): Promise<void> {
  const found = locateFile(admitted, id, 'id');
  const { role } = found.place;
  const results: ResultsTap | undefined = role?.kind === 'output' ? resultsTap() : undefined;
  const call = aboutFile(exchange, admitted, found);
  const result = await answerCall(context, exchange, {
    ...call,
    operation: 'files',
    method: 'GET',
    path: `${call.path}/content`,
    retell: undefined,
    tap: () => results ?? contentTap(),
  });
  if (result.kind === 'failed') answerError(exchange, result.error);
  if (result.kind !== 'answered') return;
  exchange.error = result.error;
  const usage = result.error ? undefined : results?.used();
  if (!usage || role?.kind !== 'output') return;
  try {
    enterBatch(context, exchange, admitted, role.batch, usage);
  } catch {
    // The client has its results. Whoever asks next enters it.
  }
}

type FileCall = Omit<AccountCall, 'operation' | 'retell' | 'method'> & {
  readonly method: AccountCall['method'];
  readonly place: (id: string, providerKey: string) => FilePlace;
};

async function forward(context: GatewayContext, exchange: Exchange, admitted: Admitted, call: FileCall) {
  const owner = ownerOf(admitted);
  const { place, ...rest } = call;
  const retell = (answer: JsonObject, providerKey: string): JsonObject => {
    const told = fileForClient(owner, place(textOf(answer.id), providerKey), answer);
    if (call.method !== 'DELETE') context.files.index.remember(owner.keyId, 'files', textOf(told.id), told);
    return told;
  };
  const result = await answerCall(context, exchange, { ...rest, operation: 'files', retell });
  if (result.kind === 'failed') answerError(exchange, result.error);
  return result;
}

function aboutFile(
  exchange: Exchange,
  admitted: Admitted,
  { place, provider, missing }: ReturnType<typeof locateFile>,
): Omit<FileCall, 'method'> {
  const options = readRequestOptions(undefined, exchange.request.headers, admitted.principal);
  return {
    ...identityOf(exchange, admitted, options),
    provider,
    providerKey: place.providerKey,
    path: `/files/${encodeURIComponent(place.id)}`,
    contentType: '',
    body: [],
    missing,
    // Under the id by which it was asked for, whatever the provider calls it now.
    place: () => place,
  };
}

function checked(
  content: Buffer,
  { limits, attempts: { clock } }: GatewayContext,
  deploymentFor: (model: string) => Deployment,
) {
  const upstreamModel = (name: string): string => deploymentFor(name).upstreamModel;
  return checkBatchInput(content, { limits, clock, upstreamModel });
}

interface UploadForm {
  readonly purpose: string;
  /** For us, and not for the provider. */
  readonly provider: string | undefined;
  readonly content: Buffer;
  /** The form as the provider gets it, with other content where there is any. */
  rebuilt(content: readonly Buffer[] | undefined): readonly Buffer[];
}

function readForm(body: Buffer, contentType: string): UploadForm {
  const parts = scanForm(body, contentType);
  const one = (name: string): FormPart | undefined => {
    const found = parts.filter((part) => part.name === name);
    if (found.length <= 1) return found[0];
    throw new SignalboxError('invalid_request', `The form has the field "${name}" more than once.`, {
      param: name,
    });
  };
  const text = (part: FormPart | undefined) => part && body.toString('utf8', part.bodyStart, part.bodyEnd);
  const file = one('file');
  const purpose = text(one('purpose'));
  const own = one('provider');
  if (!file || purpose === undefined) {
    const param = file ? 'purpose' : 'file';
    throw new SignalboxError('invalid_request', `The form needs the field "${param}".`, { param });
  }
  return {
    purpose,
    provider: text(own),
    content: body.subarray(file.bodyStart, file.bodyEnd),
    rebuilt(content) {
      const cuts = [
        {
          start: file.bodyStart,
          end: file.bodyEnd,
          instead: content ?? [body.subarray(file.bodyStart, file.bodyEnd)],
        },
        ...(own ? [{ start: own.start, end: nextStart(parts, own), instead: [] }] : []),
      ].sort((one, other) => one.start - other.start);
      const pieces: Buffer[] = [];
      let from = 0;
      for (const { start, end, instead } of cuts) {
        pieces.push(body.subarray(from, start), ...instead);
        from = end;
      }
      pieces.push(body.subarray(from));
      return pieces.filter(({ length }) => length > 0);
    },
  };
}

/** Where the delimiter behind a part begins: two bytes, the line end that belongs to it, behind the part's body. */
function nextStart(parts: readonly FormPart[], { start, bodyEnd }: FormPart): number {
  return parts.find((part) => part.start > start)?.start ?? bodyEnd + 2;
}

function tooManyUploads(most: number): SignalboxError {
  return new SignalboxError(
    'overloaded',
    `This instance is taking in ${most} files already. Try again in a moment.`,
    { retryAfterMs: 1000 },
  );
}
