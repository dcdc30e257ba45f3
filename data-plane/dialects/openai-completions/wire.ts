// The shapes of OpenAI's text completions on the wire, as far as more than one file here needs them. They are older than chat:
// a prompt goes in and its continuation comes out.
import type { EndReason } from '../../turn/events.ts';
import { unreadableAnswer } from '../unreadable.ts';

export const DONE = '[DONE]';

/** Why a choice ended, in the words there are; nobody calls tools here. */
export const wireReasons: Readonly<Record<EndReason['reason'], string>> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'stop',
  'content-filter': 'content_filter',
};

export const unreadable = unreadableAnswer('The provider sent an answer that is not a text completion.');
