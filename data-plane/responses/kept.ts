// What a request needs to know of the answers before it: the conversation it goes on from and the items it refers to. All of it is
// looked up under the key of whoever asks, so that the id of another key's answer is the id of nothing.
import { SignalboxError } from '#shared/errors.ts';
import { limits } from '#shared/limits.ts';
import { type JsonObject, objectsIn } from '../json/values.ts';
import { type ResponseRecord, readRecord } from './record.ts';
import type { ResponseStore } from './store.ts';

/** The answers of a conversation up to this one, the first first. Throws `previous_response_not_found`. */
export async function readConversation(
  store: ResponseStore,
  keyId: string,
  id: string,
): Promise<readonly ResponseRecord[]> {
  const last = await readOne(store, keyId, id);
  if (last === undefined) throw previousNotFound(id, id);
  if (last.conversationBytes > limits.requestBodyBytesMax) throw tooLong(id);
  const earlier = await readAll(store, keyId, last.ancestors);
  const missing = last.ancestors.find((_, index) => earlier[index] === undefined);
  if (missing !== undefined) throw previousNotFound(id, missing);
  return [...earlier.filter((record) => record !== undefined), last];
}

export async function readOne(
  store: ResponseStore,
  keyId: string,
  id: string,
): Promise<ResponseRecord | undefined> {
  const [record] = await readAll(store, keyId, [id]);
  return record;
}

export interface FoundItem {
  readonly item: JsonObject;
  readonly record: ResponseRecord;
}

/** The items of these ids; what is not kept is not among them. */
export async function readItems(
  store: ResponseStore,
  keyId: string,
  itemIds: readonly string[],
): Promise<ReadonlyMap<string, FoundItem>> {
  const owners = await store.findItems(keyId, itemIds);
  const ids = [...new Set(owners.filter((id) => id !== undefined))];
  const records = (await readAll(store, keyId, ids)).filter((record) => record !== undefined);
  const found = new Map<string, FoundItem>();
  for (const record of records) {
    for (const item of itemsIn(record)) {
      if (typeof item.id === 'string' && itemIds.includes(item.id)) found.set(item.id, { item, record });
    }
  }
  return found;
}

/** What went in and what came out, in order. */
export function itemsIn({ input, response }: ResponseRecord): readonly JsonObject[] {
  return [...input, ...objectsIn(response.output)];
}

async function readAll(
  store: ResponseStore,
  keyId: string,
  ids: readonly string[],
): Promise<readonly (ResponseRecord | undefined)[]> {
  if (ids.length === 0) return [];
  const documents = await store.read(keyId, ids);
  return documents.map((document) => (document === undefined ? undefined : readRecord(document)));
}

function previousNotFound(id: string, missing: string): SignalboxError {
  const why = id === missing ? '' : ` The response "${missing}", which it went on from, is gone.`;
  return new SignalboxError(
    'previous_response_not_found',
    `Previous response with id "${id}" not found.${why} It was made with another key, with "store": false, or is kept no longer. Send the whole conversation as "input".`,
    { param: 'previous_response_id' },
  );
}

function tooLong(id: string): SignalboxError {
  return new SignalboxError(
    'request_too_large',
    `The conversation up to the response "${id}" is larger than ${limits.requestBodyBytesMax} bytes. Send what still matters of it as "input".`,
    { param: 'previous_response_id' },
  );
}
