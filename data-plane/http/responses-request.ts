// What a request for a response refers to: the answer it goes on from and items of earlier answers. It is looked up before any model is
// asked, and refused where it is not there: a model that answers without knowing what was said before is worse than an error.
import { SignalboxError } from '#shared/errors.ts';
import type { RequestHead } from '../dialects/dialect.ts';
import { itemsOf, referenceIn } from '../dialects/openai-responses/kept-items.ts';
import { readStoreWords, type StoreWords } from '../dialects/openai-responses/request-head.ts';
import { wrongType } from '../json/values.ts';
import { type FoundItem, itemsIn, readConversation, readItems } from '../responses/kept.ts';
import type { ResponseRecord } from '../responses/record.ts';
import type { ResponseStore } from '../responses/store.ts';

export interface ResponsesRequest {
  /** Whether the answer is to be kept. */
  readonly isKept: boolean;
  /** What the client sent, each reference as it stands … */
  readonly written: readonly unknown[];
  /** … and each reference resolved. */
  readonly items: readonly unknown[];
  /** The answers it goes on from, the first of the conversation first. */
  readonly conversation: readonly ResponseRecord[];
  /** Where the items that it refers to were kept. */
  readonly referred: readonly ResponseRecord[];
}

export async function readResponsesRequest(
  store: ResponseStore,
  keyId: string,
  head: RequestHead,
): Promise<ResponsesRequest> {
  const words = readStoreWords(head);
  refuseElsewhere(words);
  const isKept = booleanOf(words.store, 'store') ?? true;
  const previous = words.previousResponseId ?? undefined;
  if (previous !== undefined && (typeof previous !== 'string' || previous === '')) {
    throw wrongType('previous_response_id', 'the id of a response');
  }
  const written = itemsOf(words.input);
  const conversation = previous === undefined ? [] : await readConversation(store, keyId, previous);
  const references = written.flatMap((item) => referenceIn(item) ?? []);
  const found = references.length === 0 ? noItems : await readItems(store, keyId, references);
  return {
    isKept,
    written,
    items: references.length === 0 ? written : written.map((item, index) => resolve(item, index, found)),
    conversation,
    referred: [...new Set([...found.values()].map(({ record }) => record))],
  };
}

/** Everything the model has to know, as one list. */
export function wholeConversation({ conversation, items }: ResponsesRequest): readonly unknown[] {
  return [...conversation.flatMap(itemsIn), ...items];
}

const noItems: ReadonlyMap<string, FoundItem> = new Map();

function resolve(item: unknown, index: number, found: ReadonlyMap<string, FoundItem>): unknown {
  const id = referenceIn(item);
  if (id === undefined) return item;
  const known = found.get(id);
  if (known !== undefined) return known.item;
  throw new SignalboxError(
    'invalid_request',
    `Item with id "${id}" not found. It belongs to a response that was made with another key, with "store": false, or is kept no longer. Send the item itself.`,
    { param: `input[${index}].id` },
  );
}

function refuseElsewhere({ background, conversation }: StoreWords): void {
  if (booleanOf(background, 'background') === true) {
    throw new SignalboxError(
      'invalid_request',
      'The field "background" is not possible here: answers are made while the client waits. Leave it out, and send "stream": true for long ones.',
      { param: 'background' },
    );
  }
  if (conversation == null) return;
  throw new SignalboxError(
    'invalid_request',
    'The field "conversation" is not possible here: conversations are kept by their responses. Send "previous_response_id" instead.',
    { param: 'conversation' },
  );
}

function booleanOf(value: unknown, param: string): boolean | undefined {
  if (value == null) return undefined;
  if (typeof value !== 'boolean') throw wrongType(param, 'true or false');
  return value;
}
