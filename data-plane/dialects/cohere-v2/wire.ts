// The shapes of Cohere's chat (v2) on the wire, as far as more than one file here needs them.
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

/** Why an answer ended, in Cohere's words. Those that are not here say that it failed. */
export const endReasons: Readonly<Record<string, EndReason['reason']>> = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop',
  MAX_TOKENS: 'length',
  ERROR_LIMIT: 'length',
  TOOL_CALL: 'tool-calls',
  ERROR_TOXIC: 'content-filter',
};

export const unreadable = unreadableAnswer('The provider sent an answer that is not one of its chat API.');
