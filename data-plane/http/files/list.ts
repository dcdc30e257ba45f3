// A page of a list of files or batches, with the cursor and the members that OpenAI's lists have.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type JsonObject, textOf } from '../../json/values.ts';
import type { Exchange } from '../exchange.ts';

const PAGE_DEFAULT = 20;

/** The part of a list, newest first, that the query asks for. Throws `invalid_request`. */
export function pageOf(
  exchange: Exchange,
  all: readonly JsonObject[],
): { readonly data: readonly JsonObject[]; readonly hasMore: boolean } {
  const query = new URLSearchParams((exchange.request.url ?? '').split('?')[1] ?? '');
  const purpose = query.get('purpose');
  const chosen = all.filter((object) => purpose === null || object.purpose === purpose);
  const ordered = query.get('order') === 'asc' ? chosen.toReversed() : chosen;
  const after = query.get('after');
  const from = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== null && from === 0) {
    throw new SignalboxError('invalid_request', `The list has no object "${after}" to go on after.`, {
      param: 'after',
    });
  }
  const data = ordered.slice(from, from + limitIn(query.get('limit')));
  return { data, hasMore: from + data.length < ordered.length };
}

export function answerList(exchange: Exchange, all: readonly JsonObject[]): void {
  const { data, hasMore } = pageOf(exchange, all);
  answerPage(exchange, data, hasMore);
}

export function answerPage(exchange: Exchange, data: readonly JsonObject[], hasMore: boolean): void {
  exchange.answerJson(200, {
    object: 'list',
    data,
    first_id: textOf(data[0]?.id) || null,
    last_id: textOf(data.at(-1)?.id) || null,
    has_more: hasMore,
  });
}

function limitIn(text: string | null): number {
  if (text === null) return PAGE_DEFAULT;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1) return Math.min(limit, limits.filesPageMax);
  throw new SignalboxError(
    'invalid_request',
    `The limit has to be a whole number from 1 on, not "${text}".`,
    {
      param: 'limit',
    },
  );
}
