// The shapes of Anthropic's messages on the wire, as far as more than one file here needs them.
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

export const DIALECT = 'anthropic-messages';

/** Why an answer ended, in Anthropic's words … */
export const wireReasons: Readonly<Record<EndReason['reason'], string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
};

/** … and what each of their words means. */
export const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  compaction: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
};

export const unreadable = unreadableAnswer(
  'The provider sent an answer that is not a message of the Messages API.',
);
