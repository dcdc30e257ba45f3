// The words of Converse that more than one file here needs.
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

/** Why an answer ended. What is not here ended well, as far as anybody knows. */
export const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  tool_use: 'tool-calls',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  guardrail_intervened: 'content-filter',
  content_filtered: 'content-filter',
};

/** Ends of answers that the model spoilt: what has arrived is not what it meant. */
export const spoiltEnds: Readonly<Record<string, string>> = {
  malformed_model_output: 'The model wrote an answer that Bedrock could not read.',
  malformed_tool_use: 'The model wrote a call of a tool that Bedrock could not read.',
};

export const unreadable = unreadableAnswer('The provider sent an answer that is not one of Converse.');
