// Items as they are kept with an answer, and as they are sent again when a client goes on from it. What is kept has an id, so that it
// can be listed and referred to. What is sent to a provider that never saw it has none: a provider looks ids up, and reasoning
// that it did not encrypt itself is nothing it could read.
import { prefixedId } from '#shared/ids.ts';
import { isObject, type JsonObject, objectsIn, rowFor, textOf } from '../../json/values.ts';
import { carrierOf, isForeignReasoning, readSignature } from './signatures.ts';

const prefixes: Readonly<Record<string, string>> = {
  message: 'msg',
  function_call: 'fc',
  function_call_output: 'fco',
  reasoning: 'rs',
};

/** The input of a request as a list, as it stands. */
export function itemsOf(input: unknown): readonly unknown[] {
  if (input == null) return [];
  return Array.isArray(input) ? input : [{ role: 'user', content: input }];
}

/** Items in full: with a type, an id, and content as a list. What is no item is left out; the request is refused for it. */
export function keptItems(items: readonly unknown[]): readonly JsonObject[] {
  return objectsIn(items).map((item) => {
    const type = textOf(item.type) || 'message';
    const id = textOf(item.id) || prefixedId(rowFor(prefixes, type) ?? 'item');
    if (type !== 'message') return { ...item, id, type };
    const content = typeof item.content === 'string' ? [textPart(item.role, item.content)] : item.content;
    return { status: 'completed', ...item, id, type, content };
  });
}

function textPart(role: unknown, text: string): JsonObject {
  if (role !== 'assistant') return { type: 'input_text', text };
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

/** The id that an item refers to; undefined where it says something itself. */
export function referenceIn(item: unknown): string | undefined {
  if (!isObject(item) || typeof item.id !== 'string') return undefined;
  const isBare = item.type == null && item.role === undefined;
  return isBare || item.type === 'item_reference' ? item.id : undefined;
}

/** For a provider that has kept none of them. `readsReasoning`: whether it encrypted OpenAI's own reasoning among them. */
export function forStrangers(items: readonly unknown[], readsReasoning: boolean): readonly unknown[] {
  return items.filter(isObject).flatMap(({ id: _, status: __, ...item }): readonly unknown[] => {
    if (item.type !== 'reasoning') return [item];
    const isReadable = readsReasoning && readSignature(item)?.signature.maker === 'openai';
    return isReadable ? [item] : [];
  });
}

/** Without the reasoning of other makers, and what carries their signatures; the same list where there is none. */
export function withoutForeignReasoning(items: readonly unknown[]): readonly unknown[] {
  const isForeign = (item: unknown): boolean =>
    isObject(item) && (isForeignReasoning(item) || carrierOf(item) !== undefined);
  return items.some(isForeign) ? items.filter((item) => !isForeign(item)) : items;
}
