// /v1/batches: many requests in one file, answered within a day. The file was read when it was uploaded, so here only the batch
// itself is passed on; and whenever one is seen to have ended, what it used is entered into the ledger.
import { SignalboxError } from '#shared/errors.ts';
import { usageOfBatch } from '../../files/batch-usage.ts';
import { batchForClient, hasEnded } from '../../files/objects.ts';
import { type BatchPlace, openBatch } from '../../files/sealed-id.ts';
import { parseJson } from '../../json/parse.ts';
import { isObject, type JsonObject, textOf, wrongType } from '../../json/values.ts';
import { admitRequest } from '../../policy/admission.ts';
import type { ProviderEntry } from '../../snapshot/snapshot.ts';
import type { Usage } from '../../turn/usage.ts';
import { readJsonBody } from '../body.ts';
import type { Admitted, GatewayContext } from '../context.ts';
import { answerError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { deploymentAt } from '../place-at-provider.ts';
import { readRequestOptions } from '../request-options.ts';
import type { PathParameters } from '../router.ts';
import { type AccountCall, answerCall } from './call.ts';
import { CollectedAnswer, collectFor } from './collected.ts';
import { answerPage, pageOf } from './list.ts';
import { identityOf, type Located, locateBatch, locateFile, ownerOf } from './place.ts';

/** A provider's clock may differ from ours; by more than this it is not the time. */
const SECONDS_PER_DAY = 86_400;

export async function createBatch(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
): Promise<void> {
  const asked = parseJson(await readJsonBody(exchange, context.limits));
  if (!isObject(asked)) throw wrongType('body', 'an object');
  const { 'x-gateway': gateway, ...batch } = asked;
  const options = readRequestOptions(gateway, exchange.request.headers, admitted.principal);
  if (options.timeoutMs !== undefined) exchange.limitTime(options.timeoutMs);
  if (typeof batch.input_file_id !== 'string') throw wrongType('input_file_id', 'a text');
  const { place, provider, missing } = locateFile(admitted, batch.input_file_id, 'input_file_id');
  if (place.role?.kind !== 'input') throw notChecked(batch.input_file_id);
  if (options.provider !== undefined && options.provider !== provider.name) throw elsewhere(provider);
  const { models } = place.role;
  // What the key may use can have changed since the file was read.
  for (const model of models) admitRequest({ principal: admitted.principal, model });
  const { clock } = context.attempts;
  await forward(context, exchange, admitted, {
    ...identityOf(exchange, admitted, options, models),
    provider,
    providerKey: place.providerKey,
    method: 'POST',
    path: '/batches',
    contentType: 'application/json',
    body: [Buffer.from(JSON.stringify({ ...batch, input_file_id: place.id }))],
    missing,
    place: ({ id, created_at: createdAt }) => ({
      provider: provider.name,
      providerKey: place.providerKey,
      id: textOf(id),
      models,
      createdAt: plausible(createdAt, clock.wallMs()),
    }),
  });
}

export async function showBatch(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { id = '' }: PathParameters,
): Promise<void> {
  const found = locateBatch(admitted, id);
  await forward(context, exchange, admitted, aboutBatch(exchange, admitted, found));
}

export async function cancelBatch(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { id = '' }: PathParameters,
): Promise<void> {
  const found = aboutBatch(exchange, admitted, locateBatch(admitted, id));
  const body = [Buffer.from('{}')];
  const cancel = {
    ...found,
    method: 'POST',
    path: `${found.path}/cancel`,
    contentType: 'application/json',
    body,
  } as const;
  await forward(context, exchange, admitted, cancel);
}

/** Batches that have ended are told from memory; those under way are asked about, side by side. */
export async function listBatches(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
): Promise<void> {
  const { data, hasMore } = pageOf(exchange, context.files.index.list(admitted.principal.keyId, 'batches'));
  const owner = ownerOf(admitted);
  const answers: CollectedAnswer[] = [];
  const refreshed = data.map(async (known) => {
    const place = hasEnded(known) ? undefined : openBatch(owner, textOf(known.id));
    const provider = place && admitted.snapshot.providers.get(place.provider);
    if (!place || !provider?.kind.files) return known;
    const answer = new CollectedAnswer();
    answers.push(answer);
    const about = { place, provider, missing: noLonger(textOf(known.id)) };
    return refresh(context, exchange, admitted, { answer, about, known });
  });
  collectFor(exchange, answers);
  const page = await Promise.all(refreshed);
  exchange.listener = undefined;
  if (exchange.stopReason) throw exchange.stopReason;
  answerPage(exchange, page, hasMore);
}

/** Enters what a batch used, under the model that its requests named. */
export function enterBatch(
  context: GatewayContext,
  { requestId }: Exchange,
  admitted: Admitted,
  place: BatchPlace,
  usage: Usage,
): void {
  const provider = admitted.snapshot.providers.get(place.provider);
  const { keyId } = admitted.principal;
  const deployment = provider && deploymentOf(admitted, provider, place);
  context.files.accounts.enter(context.attempts, { place, keyId, requestId, deployment, usage });
}

interface Refresh {
  readonly answer: CollectedAnswer;
  readonly about: Located<BatchPlace>;
  readonly known: JsonObject;
}

/** What cannot be asked is told as it was last seen. */
async function refresh(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { answer, about, known }: Refresh,
): Promise<JsonObject> {
  try {
    const call = callFor(context, exchange, admitted, aboutBatch(exchange, admitted, about));
    const result = await answerCall(context, answer, call);
    if (result.kind !== 'answered' || result.error) return known;
    return parseJson(answer.body) as JsonObject;
  } catch {
    return known;
  }
}

type BatchCall = Omit<AccountCall, 'operation' | 'retell'> & {
  readonly place: (answer: JsonObject) => BatchPlace;
};

async function forward(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  call: BatchCall,
): Promise<void> {
  const result = await answerCall(context, exchange, callFor(context, exchange, admitted, call));
  if (result.kind === 'failed') answerError(exchange, result.error);
}

function callFor(
  context: GatewayContext,
  exchange: Exchange,
  admitted: Admitted,
  { place, ...call }: BatchCall,
): AccountCall {
  const owner = ownerOf(admitted);
  const retell = (answer: JsonObject): JsonObject => {
    const at = place(answer);
    const usage = hasEnded(answer) ? usageOfBatch(answer) : undefined;
    if (usage) enterBatch(context, exchange, admitted, at, usage);
    const told = batchForClient(owner, at, answer);
    context.files.index.remember(owner.keyId, 'batches', textOf(told.id), told);
    return told;
  };
  return { ...call, operation: 'batches', retell };
}

function aboutBatch(
  exchange: Exchange,
  admitted: Admitted,
  { place, provider, missing }: Located<BatchPlace>,
): BatchCall {
  const options = readRequestOptions(undefined, exchange.request.headers, admitted.principal);
  return {
    ...identityOf(exchange, admitted, options, place.models),
    provider,
    providerKey: place.providerKey,
    method: 'GET',
    path: `/batches/${encodeURIComponent(place.id)}`,
    contentType: '',
    body: [],
    missing,
    place: () => place,
  };
}

/** Undefined where the batch has several models, or its model has gone from the configuration or from the key. */
function deploymentOf(admitted: Admitted, provider: ProviderEntry, { models }: BatchPlace) {
  const [model] = models;
  if (model === undefined || models.length > 1) return undefined;
  try {
    return deploymentAt(admitted, provider, model);
  } catch {
    return undefined;
  }
}

/** The time under which the ledger will know the batch; a provider's word for it only where it can be true. */
function plausible(createdAt: unknown, nowMs: number): number {
  const now = Math.trunc(nowMs / 1000);
  const isPlausible = typeof createdAt === 'number' && Math.abs(createdAt - now) < SECONDS_PER_DAY;
  return isPlausible ? Math.trunc(createdAt) : now;
}

function notChecked(id: string): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    `The file "${id}" was not uploaded as the input of a batch. Upload it with the purpose "batch".`,
    { param: 'input_file_id' },
  );
}

function elsewhere({ name }: ProviderEntry): SignalboxError {
  return new SignalboxError(
    'invalid_request',
    `The file of this batch is at the provider "${name}". Leave the provider out.`,
    {
      param: 'x-gateway.provider',
    },
  );
}

function noLonger(id: string): SignalboxError {
  return new SignalboxError('not_found', `The batch "${id}" is not there any more.`);
}
