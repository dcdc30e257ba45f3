// The shapes of OpenAI's chat completions on the wire, as far as more than one file here needs them.
import { objectsIn, textOf } from '../../json/values.ts';
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

export const DIALECT = 'openai-chat';
export const DONE = '[DONE]';

/** Why a choice ended, in OpenAI's words. */
export const wireReasons: Readonly<Record<EndReason['reason'], string>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
};

/** What Mistral's models think stands in a list of text parts, or in a string. */
export function thinkingText(thinking: unknown): string {
  if (typeof thinking === 'string') return thinking;
  return objectsIn(thinking)
    .map((part) => textOf(part.text))
    .join('');
}

export const unreadable = unreadableAnswer('The provider sent an answer that is not a chat completion.');
