// Kept responses, for whoever made them: to look at again, as a body or as a stream; to list what was asked; to delete.
import { SignalboxError } from '#shared/errors.ts';
import { openaiResponses } from '../dialects/openai-responses/index.ts';
import { replay } from '../dialects/openai-responses/replay.ts';
import { parseJson } from '../json/parse.ts';
import { type JsonObject, objectOf } from '../json/values.ts';
import { itemsIn, readConversation, readOne } from '../responses/kept.ts';
import type { ResponseRecord } from '../responses/record.ts';
import type { Admitted, GatewayContext, KeyHandler } from './context.ts';
import { queryOf } from './headers.ts';
import type { PathParameters } from './router.ts';

const PAGE_MAX = 100;
const PAGE_DEFAULT = 20;

export const showResponse: KeyHandler = async (context, exchange, admitted, parameters) => {
  const { response } = await findResponse(context, admitted, parameters);
  const query = queryOf(exchange.request.url ?? '');
  if (query.get('stream') !== 'true') {
    exchange.answerJson(200, response);
    return;
  }
  const after = wholeNumber(query, 'starting_after', { fallback: -1, max: Number.MAX_SAFE_INTEGER });
  const { framing } = openaiResponses;
  const frames = replay(response).filter(({ data }) => sequenceIn(data) > after);
  exchange.answer(200, framing.contentType, framing.write(frames));
};

export const deleteResponse: KeyHandler = async ({ responses }, exchange, { principal }, parameters) => {
  const id = idIn(parameters);
  if (!(await responses.remove(principal.keyId, id))) throw notFound(id);
  exchange.answerJson(200, { id, object: 'response', deleted: true });
};

/** Everything the answer was made from, with what was said before it. */
export const listInputItems: KeyHandler = async (context, exchange, admitted, parameters) => {
  const record = await findResponse(context, admitted, parameters);
  const { keyId } = admitted.principal;
  const earlier =
    record.ancestors.length === 0
      ? []
      : (await readConversation(context.responses, keyId, record.id)).slice(0, -1);
  const items = [...earlier.flatMap(itemsIn), ...record.input];
  exchange.answerJson(200, pageOf(items, queryOf(exchange.request.url ?? '')));
};

/** OpenAI's clients cancel what runs in the background; nothing does here. */
export const cancelResponse: KeyHandler = async (context, _exchange, admitted, parameters) => {
  const { id } = await findResponse(context, admitted, parameters);
  throw new SignalboxError(
    'invalid_request',
    `The response "${id}" is finished: only responses that are made in the background can be cancelled, and there are none here.`,
  );
};

async function findResponse(
  { responses }: GatewayContext,
  { principal }: Admitted,
  parameters: PathParameters,
): Promise<ResponseRecord> {
  const id = idIn(parameters);
  const record = await readOne(responses, principal.keyId, id);
  if (record === undefined) throw notFound(id);
  return record;
}

function pageOf(items: readonly JsonObject[], query: URLSearchParams): object {
  const limit = wholeNumber(query, 'limit', { fallback: PAGE_DEFAULT, min: 1, max: PAGE_MAX });
  const order = query.get('order') ?? 'desc';
  if (order !== 'asc' && order !== 'desc') throw refused('order', '"asc" or "desc"');
  const sorted = order === 'asc' ? items : items.toReversed();
  const after = query.get('after');
  const from = after === null ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
  if (after !== null && from === 0) throw refused('after', 'the id of one of these items');
  const data = sorted.slice(from, from + limit);
  return {
    object: 'list',
    data,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: sorted.length > from + limit,
  };
}

function wholeNumber(
  query: URLSearchParams,
  name: string,
  { fallback, min = 0, max }: { readonly fallback: number; readonly min?: number; readonly max: number },
): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw refused(name, `a whole number from ${min} to ${max}`);
}

function sequenceIn(data: string): number {
  return Number(objectOf(parseJson(data)).sequence_number);
}

function idIn({ id = '' }: PathParameters): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function notFound(id: string): SignalboxError {
  return new SignalboxError(
    'not_found',
    `Response with id "${id}" not found. It was made with another key, with "store": false, or is kept no longer.`,
    { param: 'response_id' },
  );
}

function refused(name: string, expected: string): SignalboxError {
  return new SignalboxError('invalid_request', `The parameter "${name}" has to be ${expected}.`, {
    param: name,
  });
}
