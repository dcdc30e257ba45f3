// The shapes of OpenAI's Responses API on the wire, as far as more than one file here needs them.
import { type JsonObject, objectsIn, textOf } from '../../json/values.ts';
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

export const DIALECT = 'openai-responses';

/** Why an answer is incomplete, in OpenAI's words; an answer that ended otherwise is complete. */
export const incompleteReasons: Readonly<Partial<Record<EndReason['reason'], string>>> = {
  length: 'max_output_tokens',
  'content-filter': 'content_filter',
};

/** The events that carry the whole response as it stands, the last three of which end a stream. */
export const lifecycleEvents: readonly string[] = [
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.completed',
  'response.incomplete',
  'response.failed',
];

/** What a reasoning item says: the summary that OpenAI shows, or the thoughts themselves where a host shows those. */
export function reasoningText(item: JsonObject): string {
  const pieces = [...objectsIn(item.summary), ...objectsIn(item.content)].map(({ text }) => textOf(text));
  return pieces.filter((text) => text !== '').join(PART_BREAK);
}

/** Between the parts of a summary, where they become one text. */
export const PART_BREAK = '\n\n';

export const unreadable = unreadableAnswer(
  'The provider sent an answer that is no response of the Responses API.',
);
